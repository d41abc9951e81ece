"""Inputs of several splits end to end, none of which is read before it is asked for."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from harness.tasks.base import Inputs

if TYPE_CHECKING:
    from torch import Tensor


class Joined:
    """Pictures or tensors [n, ...] of one shape, one part after the other, read when asked for.

    positions: which of them, and in which order; all when None.
    """

    def __init__(self, parts: Sequence[Inputs], positions: Tensor | None = None) -> None:
        import torch

        self.parts = list(parts)
        self.starts = [0, *itertools.accumulate(len(part) for part in parts)]
        self.positions = torch.arange(self.starts[-1]) if positions is None else positions
        self.shape = (len(self.positions), *parts[0].shape[1:])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, chosen: Any, /) -> Tensor:
        """Read [...] for one position, else [k, ...]."""
        positions = self._positions(chosen)
        return self._read(positions) if positions.ndim else self._read(positions.view(1))[0]

    def take(self, chosen: Any, /) -> Joined:
        """Choose some without reading them."""
        return Joined(self.parts, self._positions(chosen))

    def _read(self, positions: Tensor) -> Tensor:
        """Read what is asked of each part at once, and put it in the order asked for."""
        import torch

        part_of = torch.searchsorted(torch.tensor(self.starts[1:]), positions, right=True)
        result: Tensor = self.parts[0][:0]
        result = result.new_empty((len(positions), *self.shape[1:]))
        for part in sorted(set(part_of.tolist())):
            places = (part_of == part).nonzero().flatten()
            result[places] = self.parts[part][positions[places] - self.starts[part]]
        return result

    def _positions(self, chosen: Any) -> Tensor:
        import torch

        if isinstance(chosen, (list, tuple)) and not chosen:
            chosen = torch.zeros(0, dtype=torch.int64)
        found: Tensor = self.positions[chosen]
        return found


def join(parts: Sequence[Inputs]) -> Inputs:
    """Return the inputs of several splits end to end: a tensor when all are, texts when all are, else unread."""
    import torch

    from harness.tasks.inputs import Texts

    if len(parts) == 1:
        return parts[0]
    if all(isinstance(part, torch.Tensor) for part in parts):
        return torch.cat([part[:] for part in parts])
    if all(isinstance(part, Texts) for part in parts):
        return Texts([text for part in parts for text in part[:]])
    return Joined(parts)
