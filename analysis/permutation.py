"""Matrix against matrix: is their correlation more than chance, when whole tasks (not cells) are exchangeable?

Mantel's test, as QAP does it: the labels of one matrix are permuted, rows and columns together when both axes hold the
same tasks, each by itself otherwise. Cells of one row or column stay together, so their dependence is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from analysis.coefficients import Kind, row_coefficients
from analysis.correlation import aligned, choose_variant, undefined
from harness.errors import HarnessError

if TYPE_CHECKING:
    from analysis.matrix import TransferMatrix

FEWEST_TASKS = 4  # 4! = 24 orders: the smallest p-value is above 0.04
_CHUNK = 1_000_000  # cells of permuted matrices at once: 8 MB for each of some ten intermediate arrays


@dataclass(frozen=True)
class PermutationTest:
    """A correlation of two matrices against its distribution under permuted labels.

    Attributes:
        estimate: the coefficient over all cells used.
        p_value: two-sided, (1 + permutations at least as far from the null's mean) / (1 + permutations).
        null_low, null_high: central 95 % of the permuted coefficients.
        permuted: "tasks" (rows and columns together) or "rows and columns" (each by itself).
        n: cells used.  reason: why there is no result.
    """

    estimate: float
    p_value: float
    null_low: float
    null_high: float
    n: int
    n_permutations: int
    permuted: str
    kind: str
    variant: str
    reason: str = ""

    def __str__(self) -> str:
        """The test as printed: "0.41 (p = 0.012, 2000 permutations of tasks)"."""
        if self.reason:
            return f"undefined ({self.reason})"
        return f"{self.estimate:.2f} (p = {self.p_value:.2g}, {self.n_permutations} permutations of {self.permuted})"


def matrix_test(
    x: TransferMatrix,
    y: TransferMatrix,
    kind: Kind = "spearman",
    variant: str | None = None,
    *,
    n_permutations: int = 2000,
    seed: int = 0,
    exclude_self: bool = True,
) -> PermutationTest:
    """Correlate two matrices cell by cell and test the coefficient by permuting the labels of ``x``.

    Raises:
        HarnessError: when the matrices have other axes.
    """
    if (x.rows, x.cols) != (y.rows, y.cols):
        raise HarnessError(f"One matrix has axes {x.rows} x {x.cols}, the other {y.rows} x {y.cols}.")
    a, b, row_labels, col_labels, _ = aligned(x, y)
    own = np.array([[r == c for c in col_labels] for r in row_labels], dtype=bool).reshape(a.shape)
    if exclude_self:
        a, b = np.where(own, np.nan, a), np.where(own, np.nan, b)
    return permutation_test(a, b, kind, variant, sorted(row_labels) == sorted(col_labels),
                            _match(row_labels, col_labels), n_permutations, seed)  # fmt: skip


def permutation_test(
    a: np.ndarray, b: np.ndarray, kind: Kind, variant: str | None = None, together: bool = False,
    col_of_row: np.ndarray | None = None, n_permutations: int = 2000, seed: int = 0,
) -> PermutationTest:  # fmt: skip
    """The test of ``matrix_test`` on arrays [R, C] with NaN for cells left out.

    Args:
        together: rows and columns are the same tasks and are permuted by one permutation.
        col_of_row: int [R], the column that holds the task of each row (the same order when None).
    """
    chosen = choose_variant(kind, variant)
    what = "tasks" if together else "rows and columns"
    fine = ~(np.isnan(a) | np.isnan(b))
    n, reason = int(fine.sum()), undefined(a[fine], b[fine], kind, chosen)
    estimate = float("nan") if reason else float(row_coefficients(a[fine][None], b[fine][None], kind, chosen)[0])
    if not reason and min(a.shape) < FEWEST_TASKS:
        reason = f"fewer than {FEWEST_TASKS} tasks to permute"
    if reason:
        nan = float("nan")
        return PermutationTest(estimate, nan, nan, nan, n, 0, what, kind, chosen, reason)
    moves = _moves(a.shape, together, col_of_row, n_permutations, seed)
    chunks = iter(lambda: list(islice(moves, max(1, _CHUNK // a.size))), [])
    null = np.concatenate([_permuted(a, b, chunk, kind, chosen) for chunk in chunks])
    null = null[np.isfinite(null)]
    far = np.abs(null - null.mean()) >= abs(estimate - null.mean()) - 1e-12
    low, high = np.quantile(null, [0.025, 0.975])
    p = float((1 + far.sum()) / (1 + null.size))
    return PermutationTest(estimate, p, float(low), float(high), n, int(null.size), what, kind, chosen)


def _permuted(
    a: np.ndarray, b: np.ndarray, moves: list[tuple[np.ndarray, np.ndarray]], kind: Kind, variant: str
) -> np.ndarray:
    """The coefficient of every permuted ``a`` with ``b``; NaN where undefined.

    Permutations that leave equally many cells are taken together: empty cells move, too.
    """
    rows, cols = (np.stack(part) for part in zip(*moves, strict=True))
    moved = a[rows[:, :, None], cols[:, None, :]].reshape(len(moves), -1)
    still = np.broadcast_to(b.ravel(), moved.shape)
    fine = ~(np.isnan(moved) | np.isnan(still))
    sizes = fine.sum(axis=1)
    found = np.full(len(moves), np.nan)
    for n in np.unique(sizes):
        own = sizes == n
        x, y = (values[own][fine[own]].reshape(-1, n) for values in (moved, still))
        found[own] = row_coefficients(x, y, kind, variant)
    return found


def _moves(
    shape: tuple[int, int], together: bool, col_of_row: np.ndarray | None, n: int, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    generator = np.random.default_rng(seed)
    columns = np.arange(shape[0]) if col_of_row is None else col_of_row
    for _ in range(n):
        rows = generator.permutation(shape[0])
        if not together:
            yield rows, generator.permutation(shape[1])
            continue
        cols = np.empty(shape[1], dtype=int)
        cols[columns] = columns[rows]
        yield rows, cols


def _match(row_labels: list[str], col_labels: list[str]) -> np.ndarray | None:
    """For each row the column of the same label; None unless both axes hold the same labels."""
    if sorted(row_labels) != sorted(col_labels):
        return None
    return np.array([col_labels.index(label) for label in row_labels], dtype=int)
