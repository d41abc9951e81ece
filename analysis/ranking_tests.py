"""Several methods over several tasks: Friedman's test, Nemenyi's critical difference, Wilcoxon's signed ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike

from analysis.multiplicity import Correction, adjust
from harness.errors import HarnessError


@dataclass(frozen=True, eq=False)
class RankingTest:
    """Average ranks of methods over tasks (rank 1 is the best) and whether they differ.

    Attributes:
        names: methods.  mean_ranks: float [k], ties get average ranks.
        statistic, p_value: Friedman's chi-square (corrected for ties) and its p with k - 1 degrees of freedom.
        critical_difference: Nemenyi's, at ``level``: mean ranks further apart than this differ; it controls the
            family-wise error over all pairs.  groups: maximal sets of methods that do not differ, best first.
        n_tasks: tasks with a value of every method.  dropped: tasks left out.  reason: why there is no test.
    """

    names: tuple[str, ...]
    mean_ranks: np.ndarray
    statistic: float
    p_value: float
    critical_difference: float
    groups: tuple[tuple[str, ...], ...]
    n_tasks: int
    dropped: int
    level: float
    reason: str = ""


def rank_methods(scores: Mapping[str, ArrayLike], *, higher_is_better: bool = True, level: float = 0.95) -> RankingTest:
    """Friedman's test with Nemenyi's critical difference.

    Args:
        scores: method -> values [tasks], all in the same order of tasks; a task with a NaN is dropped and counted.

    Formula: CD = q sqrt(k (k + 1) / (6 N)), q the quantile of the studentised range (infinite degrees of freedom)
    over sqrt(2); Demsar, "Statistical comparisons of classifiers over multiple data sets" (JMLR 7, 2006).

    Raises:
        HarnessError: when the methods have different numbers of tasks, or there are fewer than two methods.
    """
    from scipy import stats

    names = tuple(scores)
    columns = [np.asarray(v, dtype=float).ravel() for v in scores.values()]
    if len(names) < 2 or len({c.size for c in columns}) > 1:
        raise HarnessError("Ranking needs at least two methods, each with a value for every task.")
    table = np.stack(columns, axis=1)
    fine = ~np.isnan(table).any(axis=1)
    table, dropped = table[fine], int((~fine).sum())
    n, k = table.shape
    nan = float("nan")
    if n < 2:
        return RankingTest(names, np.full(k, nan), nan, nan, nan, (), n, dropped, level, "fewer than two tasks")
    ranks = stats.rankdata(-table if higher_is_better else table, axis=1)
    mean = ranks.mean(axis=0)
    statistic, p = _friedman(ranks)
    q = float(stats.studentized_range.ppf(level, k, np.inf)) / np.sqrt(2)
    critical = float(q * np.sqrt(k * (k + 1) / (6.0 * n)))
    groups = indistinct(names, mean, critical)
    reason = "all methods tie on every task" if np.isnan(statistic) else ""
    return RankingTest(names, mean, statistic, p, critical, groups, n, dropped, level, reason)


def _friedman(ranks: np.ndarray) -> tuple[float, float]:
    """Chi-square with correction for ties, and its p; also for two methods, which scipy's function refuses."""
    from scipy import stats

    n, k = ranks.shape
    ties = sum(float((c**3 - c).sum()) for row in ranks for c in [np.unique(row, return_counts=True)[1]])
    shrink = 1 - ties / (n * k * (k**2 - 1))
    if shrink <= 0:
        return float("nan"), float("nan")
    squares = (ranks.sum(axis=0) ** 2).sum()
    statistic = float((12 / (n * k * (k + 1)) * squares - 3 * n * (k + 1)) / shrink)
    return statistic, float(stats.chi2.sf(statistic, k - 1))


def indistinct(names: Sequence[str], mean_ranks: np.ndarray, critical: float) -> tuple[tuple[str, ...], ...]:
    """Maximal stretches of neighbouring methods whose mean ranks lie within the critical difference."""
    order = np.argsort(mean_ranks, kind="stable")
    found: list[tuple[int, int]] = []
    for start in range(len(order)):
        stop = start
        while stop + 1 < len(order) and mean_ranks[order[stop + 1]] - mean_ranks[order[start]] <= critical:
            stop += 1
        if stop > start and not (found and found[-1][1] >= stop):
            found.append((start, stop))
    return tuple(tuple(names[order[k]] for k in range(a, b + 1)) for a, b in found)


@dataclass(frozen=True)
class SignedRank:
    """Wilcoxon's signed-rank test of x against y over tasks: median difference, p raw and adjusted."""

    x: str
    y: str
    median_difference: float
    statistic: float
    p_value: float
    adjusted: float
    n: int
    reason: str = ""


def wilcoxon_pairs(scores: Mapping[str, ArrayLike], correction: Correction = "holm") -> list[SignedRank]:
    """Every pair of methods, two-sided, p-values adjusted over all pairs; equal values are dropped (Wilcoxon).

    Raises:
        HarnessError: when the methods have different numbers of tasks.
    """
    columns = {name: np.asarray(v, dtype=float).ravel() for name, v in scores.items()}
    if len({c.size for c in columns.values()}) > 1:
        raise HarnessError("Wilcoxon's test needs a value of every method for every task.")
    raw = [_signed_rank(x, y, columns[x] - columns[y]) for x, y in combinations(columns, 2)]
    adjusted = adjust([r.p_value for r in raw], correction)
    return [
        SignedRank(r.x, r.y, r.median_difference, r.statistic, r.p_value, float(p), r.n, r.reason)
        for r, p in zip(raw, adjusted, strict=True)
    ]


def _signed_rank(x: str, y: str, differences: np.ndarray) -> SignedRank:
    from scipy import stats

    finite = differences[np.isfinite(differences)]
    nan = float("nan")
    median = float(np.median(finite)) if finite.size else nan
    if not finite.any():
        return SignedRank(x, y, median, nan, nan, nan, int(finite.size), "no task on which they differ")
    found = stats.wilcoxon(finite, zero_method="wilcox")
    return SignedRank(x, y, median, float(found.statistic), float(found.pvalue), nan, int(np.count_nonzero(finite)))
