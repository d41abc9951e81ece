"""Several estimators against one outcome: every coefficient per target, and any two compared on the same resamples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.coefficients import Kernel, Kind, kernel
from analysis.correlation import aligned, choose_variant, cluster_codes, undefined
from analysis.matrix import TransferMatrix
from analysis.multiplicity import Correction, adjust
from analysis.resampling import FEWEST, Interval, multiplicities, percentiles
from harness.errors import HarnessError, suggest


@dataclass(frozen=True)
class Difference:
    """Coefficient of one estimator minus that of another, on the same resamples.

    Attributes:
        n: items (per target: rows both are defined on; mean: targets).
        p_value: two-sided: twice the smaller share of resamples on one side of zero, at least 2 / (1 + resamples).
        adjusted: p_value corrected over targets (per-target entries only).
    """

    estimate: float
    low: float
    high: float
    p_value: float
    adjusted: float
    n: int
    reason: str = ""


@dataclass(frozen=True)
class EstimatorComparison:
    """``x`` minus ``y``: per target, and the mean over targets (sources and targets resampled together)."""

    x: str
    y: str
    per_target: Mapping[str, Difference]
    mean: Difference
    kind: str
    variant: str
    correction: str
    n_resamples: int


@dataclass(frozen=True, eq=False)
class _Column:
    """One target: the rows used, the coefficient functions of both estimators on them."""

    rows: np.ndarray
    first: Kernel
    second: Kernel


def compare_estimators(
    scores: Mapping[str, TransferMatrix], outcome: TransferMatrix, x: str, y: str,
    kind: Kind = "weighted_kendall", variant: str | None = None, *, n_resamples: int = 2000, seed: int = 0,
    level: float = 0.95, correction: Correction = "holm", exclude_self: bool = True,
    families: Mapping[str, str] | None = None,
) -> EstimatorComparison:  # fmt: skip
    """Is estimator ``x`` better than ``y``? Both are correlated with the outcome on the same resamples of sources.

    Rows that either estimator or the outcome lacks are left out for both. P-values per target are corrected over
    targets; the mean has one test.

    Raises:
        HarnessError: for an unknown estimator or other axes.
    """
    for name in (x, y):
        if name not in scores:
            raise HarnessError(f"There is no estimator {name!r}{suggest(name, scores)}.")
    a, b, outcomes, row_labels, col_labels = _three(scores[x], scores[y], outcome, exclude_self)
    chosen = choose_variant(kind, variant)
    columns: dict[str, _Column] = {}
    per_target: dict[str, Difference] = {}
    for j, name in enumerate(col_labels):
        made = _column(a[:, j], b[:, j], outcomes[:, j], kind, chosen)
        if isinstance(made, str):
            per_target[name] = _none(made)
            continue
        columns[name] = made
        code = cluster_codes([row_labels[k] for k in made.rows], families)
        per_target[name] = _per_target(made, code, n_resamples, seed, level)
    adjusted = adjust([d.p_value for d in per_target.values()], correction)
    per_target = {
        name: Difference(d.estimate, d.low, d.high, d.p_value, float(p), d.n, d.reason)
        for (name, d), p in zip(per_target.items(), adjusted, strict=True)
    }
    mean = _mean(columns, per_target, row_labels, families, n_resamples, seed, level)
    return EstimatorComparison(x, y, per_target, mean, kind, chosen, correction, n_resamples)


def _three(
    x: TransferMatrix, y: TransferMatrix, outcome: TransferMatrix, exclude_self: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[str], list[str]]:
    """Values of both estimators and the outcome on the labels that all three share."""
    for matrix in (x, y):
        if (matrix.rows, matrix.cols) != (outcome.rows, outcome.cols):
            raise HarnessError(f"An estimator has axes {matrix.rows} x {matrix.cols}, the outcome {outcome.rows} x "
                               f"{outcome.cols}.")  # fmt: skip
    _, _, rows, cols, _ = aligned(x, outcome)
    shared_rows = [r for r in rows if r in set(y.row_labels)]
    shared_cols = [c for c in cols if c in set(y.col_labels)]
    parts = [m.frame().reindex(index=shared_rows, columns=shared_cols).to_numpy(dtype=float) for m in (x, y, outcome)]
    if exclude_self:
        own = np.array([[r == c for c in shared_cols] for r in shared_rows], dtype=bool).reshape(parts[0].shape)
        parts[2] = np.where(own, np.nan, parts[2])
    return parts[0], parts[1], parts[2], shared_rows, shared_cols


def _column(a: np.ndarray, b: np.ndarray, outcome: np.ndarray, kind: Kind, variant: str) -> _Column | str:
    """The column ready to resample, or why it cannot be."""
    rows = np.flatnonzero(~(np.isnan(a) | np.isnan(b) | np.isnan(outcome)))
    for values in (a, b):
        reason = undefined(values[rows], outcome[rows], kind, variant)
        if reason:
            return reason
    first, second = (kernel(v[rows], outcome[rows], kind, variant) for v in (a, b))
    return _Column(rows, first, second)


def _per_target(column: _Column, code: np.ndarray, n: int, seed: int, level: float) -> Difference:
    once = np.ones((1, column.rows.size))
    estimate = float(column.first(once)[0] - column.second(once)[0])
    size = int(code.max()) + 1
    if size < FEWEST:
        return Difference(estimate, *_no_ends(), column.rows.size, f"fewer than {FEWEST} items to resample")
    values = np.concatenate([
        column.first(c[:, code]) - column.second(c[:, code])
        for (c,) in multiplicities([size], n, seed, column.rows.size)
    ])  # fmt: skip
    return _difference(estimate, values, column.rows.size, level)


def _mean(
    columns: Mapping[str, _Column], per_target: Mapping[str, Difference], row_labels: Sequence[str],
    families: Mapping[str, str] | None, n: int, seed: int, level: float,
) -> Difference:  # fmt: skip
    if not columns:
        return _none("no target has both coefficients")
    estimate = float(np.mean([per_target[name].estimate for name in columns]))
    codes = [cluster_codes(row_labels, families), cluster_codes(list(columns), families)]
    sizes = [int(c.max()) + 1 for c in codes]
    if min(sizes) < FEWEST:
        return Difference(estimate, *_no_ends(), len(columns), f"fewer than {FEWEST} sources or targets")
    parts = []
    for drawn_rows, drawn_cols in multiplicities(sizes, n, seed, len(row_labels) + len(columns)):
        counts, weights = drawn_rows[:, codes[0]], drawn_cols[:, codes[1]]
        each = np.stack([c.first(counts[:, c.rows]) - c.second(counts[:, c.rows]) for c in columns.values()], axis=1)
        present = weights * np.isfinite(each)
        total = present.sum(axis=1)
        summed = (present * np.nan_to_num(each)).sum(axis=1)
        parts.append(np.divide(summed, total, out=np.full(len(total), np.nan), where=total > 0))
    return _difference(estimate, np.concatenate(parts), len(columns), level)


def _difference(estimate: float, values: np.ndarray, n: int, level: float) -> Difference:
    interval: Interval = percentiles(values, level)
    finite = values[np.isfinite(values)]
    if not finite.size:
        return Difference(estimate, *_no_ends(), n, interval.reason)
    below, above = int((finite <= 0).sum()), int((finite >= 0).sum())
    p = min(1.0, 2 * (1 + min(below, above)) / (1 + finite.size))
    return Difference(estimate, interval.low, interval.high, p, float("nan"), n, interval.reason)


def _no_ends() -> tuple[float, float, float, float]:
    nan = float("nan")
    return nan, nan, nan, nan


def _none(reason: str) -> Difference:
    return Difference(float("nan"), *_no_ends(), 0, reason)
