"""Short descriptions of examples by which equal and similar ones are found again, kept on disk by data identity.

Of a picture: a perceptual hash (Zauner, 2010) and a version of 16 x 16 pixels. Of a text: a min-hash signature (Broder,
1997) of its runs of five characters. Of anything, its sha256.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from harness.data.locations import data_root, publish, work_folder

if TYPE_CHECKING:
    import numpy as np

VERSION: Final = 1
"""Raised when the same examples get other fingerprints."""

SIDE: Final = 32
LOW: Final = 8
THUMB: Final = 16
COLOURS: Final = 3
PIECE: Final = 512
"""Pictures looked at together."""

RUN: Final = 5
"""Characters in a run; texts are compared by the runs they share."""

SIGNATURE: Final = 128
"""Numbers in the signature of a text: the share on which two agree estimates the share of runs they share, to .04."""

LETTERS_AT_ONCE: Final = 100_000
DIGEST_BYTES: Final = 32

_WORD: Final = re.compile(r"\w+")


@dataclass(frozen=True)
class Prints:
    """Fingerprints of n examples that are only compared whole: the sha256 of each."""

    digests: tuple[bytes, ...]

    def __len__(self) -> int:
        return len(self.digests)

    @functools.cached_property
    def places(self) -> Mapping[bytes, int]:
        """The first position of each digest."""
        found: dict[bytes, int] = {}
        for position, digest in enumerate(self.digests):
            found.setdefault(digest, position)
        return found


@dataclass(frozen=True)
class Fingerprints(Prints):
    """Of n pictures: perceptual hashes [n] uint64, and small versions [n, c * 256] from 0 to 255."""

    hashes: np.ndarray[Any, Any]
    thumbs: np.ndarray[Any, Any]


@dataclass(frozen=True)
class TextPrints(Prints):
    """Of n texts: min-hash signatures [n, 128] uint32."""

    signatures: np.ndarray[Any, Any]


def prints_of(inputs: Any) -> Prints:
    """Fingerprint the inputs of a split: pictures [n, c, h, w], texts [n], or other tensors [n, ...]."""
    import numpy as np

    if len(inputs.shape) == 1 and isinstance(inputs[0] if len(inputs) else "", str):
        return text_prints(list(inputs))
    if len(inputs.shape) == 4:
        found = fingerprints(inputs)
        # Rounded at once, so that what is computed afresh equals what is read from disk.
        return Fingerprints(found.digests, found.hashes, np.rint(found.thumbs).astype(np.uint8))
    pieces = (inputs[start : start + PIECE] for start in range(0, len(inputs), PIECE))
    return Prints(tuple(hashlib.sha256(one.numpy().tobytes()).digest() for piece in pieces for one in piece))


def kept(identity: Mapping[str, Any], load: Callable[[], Any]) -> Prints:
    """Return the fingerprints of the examples that `identity` stands for, from the cache or else of what `load` gives.

    identity: what makes the examples what they are, as JSON; load: gives the inputs of a split.
    """
    text = json.dumps({"fingerprints": VERSION, **identity}, sort_keys=True)
    path = data_root() / "fingerprints" / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.npz"
    found = _read(path)
    if found is None:
        found = prints_of(load())
        _write(path, found)
    return found


def fingerprints(pictures: Any) -> Fingerprints:
    """Fingerprint pictures [n, c, h, w], a tensor from 0 to 1 or what reads like one."""
    import numpy as np

    digests: list[bytes] = []
    hashes = [np.empty(0, np.uint64)]
    thumbs = [np.empty((0, COLOURS * THUMB**2), np.float32)]
    for start in range(0, len(pictures), PIECE):
        piece = pictures[start : start + PIECE].float()
        digests += [hashlib.sha256(picture.numpy().tobytes()).digest() for picture in piece]
        colours = piece if piece.shape[1] == COLOURS else piece[:, :1].expand(-1, COLOURS, -1, -1)
        hashes.append(_perceptual(colours.mean(1, keepdim=True)))
        thumbs.append(_small(colours, THUMB).reshape(len(piece), -1))
    return Fingerprints(tuple(digests), np.concatenate(hashes), np.concatenate(thumbs))


def text_prints(texts: Sequence[str]) -> TextPrints:
    """Fingerprint texts: the digest is that of the text without case and the kind of blanks."""
    import numpy as np

    digests = tuple(hashlib.sha256(plain(text).encode("utf-8", "surrogatepass")).digest() for text in texts)
    signatures = [_signatures(block) for block in _blocks([letters(text) for text in texts])]
    return TextPrints(digests, np.concatenate([np.empty((0, SIGNATURE), np.uint32), *signatures]))


def plain(text: str) -> str:
    """Return a text without what does not matter: case and the kind of blanks."""
    return " ".join(text.casefold().split())


def letters(text: str) -> str:
    """Return the letters and digits of a text, words divided by single blanks; the text itself where it has none."""
    return (" ".join(_WORD.findall(text.casefold())) or plain(text)).ljust(RUN)


def _small(pictures: Any, side: int) -> np.ndarray[Any, Any]:
    """Return [n, c, side, side] float32 from 0 to 255: means over areas."""
    import torch

    pooled = torch.nn.functional.adaptive_avg_pool2d(pictures, side)
    small: np.ndarray[Any, Any] = (pooled * 255).numpy()
    return small


def _perceptual(grey: Any) -> np.ndarray[Any, Any]:
    """Return 64 bits a picture: which of its 8 x 8 lowest frequencies (discrete cosine) lie above their median."""
    import numpy as np

    small = _small(grey, SIDE)[:, 0]
    steps = np.arange(SIDE)
    basis = np.cos(np.pi * (2 * steps[None] + 1) * np.arange(LOW)[:, None] / (2 * SIDE)).astype(np.float32)
    waves = np.einsum("ki,nij,lj->nkl", basis, small, basis, optimize=True).reshape(len(small), -1)
    bits = waves > np.median(waves[:, 1:], axis=1, keepdims=True)
    packed: np.ndarray[Any, Any] = np.packbits(bits, axis=1).view(np.uint64).reshape(-1)
    return packed


def _blocks(texts: Iterable[str]) -> Iterable[list[str]]:
    """Yield the texts in lists of a bounded number of letters together."""
    block: list[str] = []
    held = 0
    for text in texts:
        if block and held + len(text) > LETTERS_AT_ONCE:
            yield block
            block, held = [], 0
        block.append(text)
        held += len(text)
    if block:
        yield block


def _signatures(texts: Sequence[str]) -> np.ndarray[Any, Any]:
    """Return signatures [n, 128] uint32 of texts of at least one run each: the least of 128 hashes over all runs."""
    import numpy as np

    codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    lengths = np.array([len(text) for text in texts])
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    inside = np.ones(len(codes), bool)
    for back in range(1, RUN):
        inside[starts + lengths - back] = False  # a run that starts here would reach into the next text
    factors = _odd_numbers(RUN + SIGNATURE)
    runs = np.zeros(len(codes), np.uint64)
    for step, factor in enumerate(factors[:RUN]):
        runs[: len(codes) - step] += codes[step:] * factor
    runs = _mixed(runs[inside])
    begins = starts - np.arange(len(texts)) * (RUN - 1)
    found = [np.minimum.reduceat(runs * factor, begins) for factor in factors[RUN:]]
    return (np.stack(found, axis=1) >> np.uint64(32)).astype(np.uint32)


def _odd_numbers(count: int) -> np.ndarray[Any, Any]:
    """Return fixed odd numbers [count] uint64 without pattern; no random number library is involved."""
    import numpy as np

    text = b"".join(hashlib.sha256(f"run {number}".encode()).digest()[:8] for number in range(count))
    return np.frombuffer(text, "<u8").astype(np.uint64) | np.uint64(1)


def _mixed(numbers: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return numbers of which each bit depends on all bits of the given ones (the finaliser of SplitMix64)."""
    import numpy as np

    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray[Any, Any] = numbers ^ (numbers >> np.uint64(31))
    return mixed


def _write(path: Path, prints: Prints) -> None:
    import numpy as np

    arrays: dict[str, Any] = {name: value for name, value in vars(prints).items() if isinstance(value, np.ndarray)}
    arrays["digests"] = np.frombuffer(b"".join(prints.digests), np.uint8).reshape(-1, DIGEST_BYTES)
    with work_folder("fingerprints") as folder:
        made = folder / path.name
        np.savez(made, **arrays)
        publish(made, path)


def _read(path: Path) -> Prints | None:
    """Return what was kept, or None where nothing was, or where the file is damaged."""
    import zipfile
    import zlib

    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        digests = tuple(row.tobytes() for row in arrays.pop("digests"))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
    if "signatures" in arrays:
        return TextPrints(digests, arrays["signatures"])
    return Fingerprints(digests, arrays["hashes"], arrays["thumbs"]) if "hashes" in arrays else Prints(digests)
