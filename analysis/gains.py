"""Who helps and who is helped: mean gain of each row over the columns, and how often it is a gain, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np

from analysis.matrix import TransferMatrix
from analysis.resampling import FEWEST, Interval, multiplicities, percentiles
from harness.errors import HarnessError

_EQUAL = 1e-12  # means of equal values may differ by rounding


@dataclass(frozen=True)
class Gain:
    """The cells of one row (or column, or of all).

    Attributes:
        mean, low, high: mean gain and its percentile bootstrap interval, over columns (all: rows and columns).
        n: cells with a value.  above: cells that are better than the baseline; ties are not.  ties: equal to it.
        share_low, share_high: interval of the share above; Wilson's, of all cells the bootstrap's.
        reason: why there is no interval.
    """

    label: str
    mean: float
    low: float
    high: float
    n: int
    above: int
    ties: int
    share_low: float
    share_high: float
    reason: str = ""

    @property
    def share(self) -> float:
        """Share of the cells that are better than the baseline; NaN without cells."""
        return self.above / self.n if self.n else float("nan")


@dataclass(frozen=True)
class Gains:
    """``rows`` and ``cols``, the best first; ``sets``: rows that are no column, such as sets of tasks; ``overall``.

    Rows of ``sets`` count neither in columns nor in ``overall``. ``self_cells``: cells with equal labels left out.
    """

    rows: tuple[Gain, ...]
    cols: tuple[Gain, ...]
    sets: tuple[Gain, ...]
    overall: Gain
    self_cells: int


def gains(
    matrix: TransferMatrix, *, exclude_self: bool = True, n_resamples: int = 2000, seed: int = 0, level: float = 0.95
) -> Gains:
    """Read a matrix of values relative to a baseline row by row, column by column and as a whole.

    Gains are turned so that more is better. Rows without a column of their name are listed apart as ``sets``, unless
    no row has one.

    Raises:
        HarnessError: for a matrix without baseline: its values are no gains.
    """
    if matrix.relative_to is None or matrix.how == "z":
        raise HarnessError("Gains are read from values relative to a baseline: name it in relative_to.")
    values = matrix.values if matrix.higher_is_better else -matrix.values
    own = np.array([[r == c for c in matrix.col_labels] for r in matrix.row_labels], dtype=bool).reshape(values.shape)
    left_out = int((own & np.isfinite(values)).sum()) if exclude_self else 0
    values = np.where(own, np.nan, values) if exclude_self else values
    single = np.array([name in set(matrix.col_labels) for name in matrix.row_labels], dtype=bool)
    single = single if single.any() else np.ones_like(single)
    how = (n_resamples, seed, level)
    of_rows = [_line(name, values[i], how) for i, name in enumerate(matrix.row_labels)]
    of_cols = [_line(name, values[single, j], how) for j, name in enumerate(matrix.col_labels)]
    return Gains(
        rows=_best_first([g for g, alone in zip(of_rows, single, strict=True) if alone]),
        cols=_best_first(of_cols),
        sets=_best_first([g for g, alone in zip(of_rows, single, strict=True) if not alone]),
        overall=_whole(values[single], how),
        self_cells=left_out,
    )


@dataclass(frozen=True)
class Advantage:
    """One row against the mean of others, column by column.

    Attributes:
        mean, low, high: mean difference over columns and its bootstrap interval over columns.
        wins: columns in which the row is better.  n: columns compared.
        others: the rows it is set against.  as_good: those whose own mean over these columns is at least the row's.
    """

    row: str
    others: tuple[str, ...]
    mean: float
    low: float
    high: float
    wins: int
    n: int
    as_good: int
    reason: str = ""


def advantage(
    matrix: TransferMatrix, row: str, pattern: str, *, n_resamples: int = 2000, seed: int = 0, level: float = 0.95
) -> Advantage:
    """Set a row against the rows whose label fits a pattern ("random *"), on the columns that all of them have.

    Raises:
        HarnessError: when there is no such row, no other fits, or no column has all of them.
    """
    matrix.cell(row, matrix.col_labels[0])  # says so when there is no such row
    others = tuple(name for name in matrix.row_labels if fnmatchcase(name, pattern) and name != row)
    if not others:
        raise HarnessError(f"No {matrix.rows} is called {pattern!r}.")
    values = matrix.values if matrix.higher_is_better else -matrix.values
    mine = values[matrix.row_labels.index(row)]
    theirs = values[[matrix.row_labels.index(name) for name in others]]
    fine = np.isfinite(mine) & np.isfinite(theirs).all(axis=0)
    if not fine.any():
        raise HarnessError(f"No {matrix.cols} has a value of {row!r} and of all of {pattern!r}.")
    apart = mine[fine] - theirs[:, fine].mean(axis=0)
    found = _resampled(apart, (n_resamples, seed, level))
    means = theirs[:, fine].mean(axis=1)
    return Advantage(
        row, others, float(apart.mean()), found.low, found.high, int((apart > _EQUAL).sum()), int(fine.sum()),
        int((means >= mine[fine].mean() - _EQUAL).sum()), found.reason,
    )  # fmt: skip


def _line(label: str, values: np.ndarray, how: tuple[int, int, float]) -> Gain:
    from scipy.stats import binomtest

    cells = values[np.isfinite(values)]
    if not cells.size:
        nan = float("nan")
        return Gain(label, nan, nan, nan, 0, 0, 0, nan, nan, "no cell has a value")
    found = _resampled(cells, how)
    above = int((cells > 0).sum())
    share = binomtest(above, cells.size).proportion_ci(how[2], method="wilson")
    return Gain(
        label, float(cells.mean()), found.low, found.high, int(cells.size), above, int((cells == 0).sum()),
        float(share.low), float(share.high), found.reason,
    )  # fmt: skip


def _resampled(cells: np.ndarray, how: tuple[int, int, float]) -> Interval:
    """Interval of the mean of some cells, which are resampled."""
    n_resamples, seed, level = how
    if cells.size < FEWEST:
        return Interval.missing(f"fewer than {FEWEST} cells")
    drawn = np.concatenate([part[0] @ cells for part in multiplicities((cells.size,), n_resamples, seed)])
    return percentiles(drawn / cells.size, level)


def _whole(values: np.ndarray, how: tuple[int, int, float]) -> Gain:
    """All cells; rows and columns are resampled together, since cells of one task are not independent."""
    n_resamples, seed, level = how
    present = np.isfinite(values)
    n, above = int(present.sum()), int((values > 0).sum())
    nan = float("nan")
    if not n:
        return Gain("all", nan, nan, nan, 0, 0, 0, nan, nan, "no cell has a value")
    mean, ties = float(values[present].mean()), int((values == 0).sum())
    if min(values.shape) < FEWEST:
        return Gain("all", mean, nan, nan, n, above, ties, nan, nan, f"fewer than {FEWEST} rows or columns")
    filled, better = np.where(present, values, 0.0), (values > 0).astype(float)
    means: list[np.ndarray] = []
    shares: list[np.ndarray] = []
    for rows, cols in multiplicities(values.shape, n_resamples, seed, values.size):
        total = np.einsum("br,rc,bc->b", rows, present.astype(float), cols)
        for sums, kept in ((filled, means), (better, shares)):
            summed = np.einsum("br,rc,bc->b", rows, sums, cols)
            kept.append(np.divide(summed, total, out=np.full(len(rows), np.nan), where=total > 0))
    of_mean, of_share = percentiles(np.concatenate(means), level), percentiles(np.concatenate(shares), level)
    return Gain("all", mean, of_mean.low, of_mean.high, n, above, ties, of_share.low, of_share.high, of_mean.reason)


def _best_first(found: Sequence[Gain]) -> tuple[Gain, ...]:
    return tuple(sorted(found, key=lambda g: -g.mean if np.isfinite(g.mean) else np.inf))
