"""Inputs that are read when they are asked for: pictures from a memory-mapped file, and texts.

Both look enough like a tensor for a split: they have a `shape`, a length, and indexing by position, slice, list, or a
tensor of positions or truth values. Indexing reads; `take` chooses without reading.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.data.decoded import open_pictures

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

Chosen = Any
"""An int, slice, sequence of ints, or a tensor or array of positions or truth values."""


class Pictures:
    """Pictures [n, 3, s, s] as float32 from 0 to 1, kept on disk as bytes; grey ones are repeated over the channels.

    Holds a path and positions only, so that it costs nothing to send to another process.
    """

    def __init__(self, path: Path, positions: Sequence[int], size: int) -> None:
        import numpy as np

        self.path = path
        self.positions = np.asarray(positions, dtype=np.int64)
        self.shape = (len(self.positions), 3, size, size)
        self._bytes: np.ndarray[Any, Any] | None = None

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, chosen: Chosen) -> Tensor:
        """Read pictures: [3, s, s] for one position, else [k, 3, s, s], float32 from 0 to 1."""
        return self.bytes(chosen).float().div_(255)

    def bytes(self, chosen: Chosen = slice(None)) -> Tensor:
        """Read pictures as they are on disk but for the channels: uint8, [k, 3, s, s] (or [3, s, s])."""
        import numpy as np
        import torch

        if self._bytes is None:
            self._bytes = open_pictures(self.path)
        positions = self.positions[_index(chosen)]
        read = torch.from_numpy(np.array(self._bytes[positions]))
        return read.expand(*read.shape[:-3], 3, *read.shape[-2:]).contiguous() if read.shape[-3] == 1 else read

    def take(self, chosen: Chosen) -> Pictures:
        """Choose pictures without reading them."""
        return Pictures(self.path, self.positions[_index(chosen)], self.shape[-1])

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_bytes": None}


class Texts:
    """Texts [n]: one position gives a text, anything else a list of them."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = list(texts)
        self.shape = (len(self.texts),)

    def __len__(self) -> int:
        return len(self.texts)

    def __iter__(self) -> Iterator[str]:
        return iter(self.texts)

    def __getitem__(self, chosen: Chosen) -> Any:
        """Return one text, or a list of them."""
        import numpy as np

        positions = np.arange(len(self.texts))[_index(chosen)]
        if positions.ndim == 0:
            return self.texts[int(positions)]
        return [self.texts[position] for position in positions.tolist()]

    def take(self, chosen: Chosen) -> Texts:
        """Choose texts."""
        found = self[chosen]
        return Texts([found] if isinstance(found, str) else found)


def _index(chosen: Chosen) -> Any:
    """Return an index as numpy takes it."""
    import numpy as np

    if isinstance(chosen, (int, slice)):
        return chosen
    if hasattr(chosen, "numpy"):
        return chosen.detach().cpu().numpy()
    array = np.asarray(chosen)
    return array.astype(np.int64) if array.size == 0 else array
