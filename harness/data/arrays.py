"""Arrays out of the files of old data sets: IDX files, and pickles, which are read without unpickling anything."""

from __future__ import annotations

import gzip
import pickletools
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from harness.errors import HarnessError

if TYPE_CHECKING:
    import numpy as np

SMALLEST_BUFFER: Final = 1024
"""What is shorter in a pickle is a name, not the content of an array."""

_STRINGS: Final = {"BINSTRING", "BINBYTES", "BINBYTES8"}
_IDX_BYTES: Final = 0x08
_BRIGHTEST: Final = 255


def read_idx(path: Path) -> np.ndarray[Any, Any]:
    """Return the array of bytes in a gzip-compressed IDX file (the format of MNIST).

    Format: two zero bytes, the type, the number of dimensions, each dimension as 4 bytes big-endian, then the data.
    Raises HarnessError for anything else.
    """
    import numpy as np

    content = gzip.decompress(path.read_bytes())
    if content[:3] != bytes((0, 0, _IDX_BYTES)):
        raise HarnessError(f"{path.name} is not an IDX file of bytes")
    dimensions = content[3]
    start = 4 + 4 * dimensions
    shape = [int.from_bytes(content[at : at + 4], "big") for at in range(4, start, 4)]
    try:
        return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
    except ValueError:
        raise HarnessError(f"{path.name} is damaged: its length does not fit its shape {shape}") from None


def pickled_buffers(path: Path) -> list[bytes]:
    """Return the contents of the arrays in a gzip-compressed pickle, in their order, as raw bytes.

    The pickle is taken apart as a list of instructions; none is carried out, so nothing in it can run.
    """
    found = []
    for instruction, argument, _ in pickletools.genops(gzip.decompress(path.read_bytes())):
        if instruction.name in _STRINGS and isinstance(argument, (str, bytes)) and len(argument) >= SMALLEST_BUFFER:
            found.append(argument.encode("latin-1") if isinstance(argument, str) else argument)
    return found


def as_array(buffer: bytes, dtype: str, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Return raw bytes as an array. Raises HarnessError when their number does not fit."""
    import numpy as np

    try:
        return np.frombuffer(buffer, np.dtype(dtype)).reshape(shape)
    except ValueError:
        raise HarnessError(f"{len(buffer):,} bytes are no array of {dtype} of shape {shape}") from None


def as_grey(pictures: np.ndarray[Any, Any], scale: float) -> np.ndarray[Any, Any]:
    """Return pictures of numbers as bytes: multiplied by `scale`, rounded, kept within 0 to 255."""
    import numpy as np

    return np.clip(np.rint(pictures * scale), 0, _BRIGHTEST).astype(np.uint8)
