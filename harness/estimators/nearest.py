"""The nearest neighbours of every example, exactly, at the speed of a matrix product."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from torch import Tensor

PIECE: Final = 256
SPARE: Final = 11
"""Candidates beyond the k that are asked for: with so many, nearly no row has to be looked at again."""


def nearest_others(features: Tensor, k: int) -> Tensor:
    """Positions [n, k] of each example's k nearest others (Euclidean), nearest first; of equally near ones the first.

    features [n, width] float64. Products of the centred features give distances with a known bound on their error;
    only the distances of a few candidates are then worked out from differences. Where the bound cannot tell that no
    other example is as near, all distances of that row are.
    """
    import torch

    examples = features.shape[0]
    centred = features - features.mean(0)
    squares = centred.square().sum(1)
    count = min(examples - 1, k + SPARE)
    found = []
    for start in range(0, examples, PIECE):
        rows = torch.arange(start, min(start + PIECE, examples))
        rough = squares[rows, None] + squares - 2 * (centred[rows] @ centred.T)
        rough[torch.arange(len(rows)), rows] = torch.inf
        limit, candidates = rough.topk(count, dim=1, largest=False)
        candidates = candidates.sort(dim=1).values
        exact = (features[rows, None] - features[candidates]).square().sum(2)
        order = exact.argsort(dim=1, stable=True)[:, :k]
        chosen = candidates.gather(1, order)
        farthest = exact.gather(1, order)[:, -1]
        error = _error(features.shape[1]) * (squares[rows] + squares.max())
        unsure = (limit[:, -1] <= farthest + 2 * error) & (count < examples - 1)
        for row in unsure.nonzero().flatten().tolist():
            chosen[row] = _by_differences(features, start + row, k)
        found.append(chosen)
    return torch.cat(found)


def _error(width: int) -> float:
    """Rounding of a squared distance of this many terms, relative to the squares it is made of; on the safe side."""
    import torch

    return 4 * (width + 4) * torch.finfo(torch.float64).eps


def _by_differences(features: Tensor, row: int, k: int) -> Tensor:
    import torch

    distances = (features - features[row]).square().sum(1)
    distances[row] = torch.inf
    return distances.argsort(stable=True)[:k]
