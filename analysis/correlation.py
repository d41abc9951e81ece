"""Correlations that say what they are: variant, n, ties, what was dropped, and an interval of the right kind.

Three readings, never mixed. *Per target*: over the sources of one target, resampling sources. *Pooled*: over all cells
of a matrix, resampling sources and targets together (cells of one source or target are not independent, so resampling
cells would give far too short an interval). *Mean over targets*: of the per-target coefficients, again resampling both.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike

from analysis.coefficients import SELECTIONS, VARIANTS, Kernel, Kind, kernel, top_k
from analysis.resampling import FEWEST, Interval, multiplicities, percentiles
from analysis.units import NOT_ESTIMABLE
from harness.errors import HarnessError, suggest

if TYPE_CHECKING:
    from analysis.matrix import TransferMatrix

SYMBOLS = {
    "pearson": "r",
    "spearman": "ρ",
    "kendall": "τ_b",
    "weighted_kendall": "τ_w",
    "regret": "regret",
    "rel": "Rel",
}


@dataclass(frozen=True)
class Correlation:
    """A coefficient with its interval.

    Attributes:
        estimate: the coefficient; NaN, with ``reason``, when it is not defined.
        low, high: percentile bootstrap interval at ``level``; NaN, with ``interval_reason``, when not estimable.
        n: number of pairs used.  dropped: pairs left out because either value was NaN.
        ties_x, ties_y: pairs of items tied in x, in y.
        resampled: what the interval resamples ("items", "rows and columns").
        degenerate: resamples on which the coefficient was undefined; they are left out of the interval.
    """

    estimate: float
    low: float
    high: float
    n: int
    ties_x: int
    ties_y: int
    dropped: int
    kind: str
    variant: str
    level: float
    resampled: str
    n_resamples: int
    degenerate: int = 0
    reason: str = ""
    interval_reason: str = ""

    @property
    def ties(self) -> int:
        """Pairs of items tied in x or in y (a pair tied in both counts in each)."""
        return self.ties_x + self.ties_y

    def __str__(self) -> str:
        """The coefficient as printed, "0.62 [0.31, 0.84]", or why there is none."""
        if np.isnan(self.estimate):
            return f"undefined ({self.reason})"
        if np.isnan(self.low):
            return f"{self.estimate:.2f} [interval {NOT_ESTIMABLE}]"
        return f"{self.estimate:.2f} [{self.low:.2f}, {self.high:.2f}]"


@dataclass(frozen=True)
class Correlations:
    """The three readings of two matrices against each other; ``self_cells`` counts the excluded source = target."""

    per_target: Mapping[str, Correlation]
    pooled: Correlation
    mean: Correlation
    x: str
    y: str
    self_cells: int
    notes: tuple[str, ...] = ()


def rank_correlation(
    x: ArrayLike,
    y: ArrayLike,
    kind: Kind = "weighted_kendall",
    variant: str | None = None,
    *,
    n_resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
    rows: Sequence[object] | None = None,
    cols: Sequence[object] | None = None,
    families: Mapping[str, str] | None = None,
) -> Correlation:
    """Correlation of paired values with a percentile bootstrap interval.

    Args:
        x, y: [n] values; a pair with a NaN is dropped and counted. Infinite values are allowed for rank coefficients.
        kind: ``pearson``; ``spearman`` (average ranks); ``kendall`` (tau-b); ``weighted_kendall``; or how good a
            choice by x is in terms of y: ``regret`` (best y minus best y among the first k by x) and ``rel`` (their
            ratio, Rel@k). Ties in x at a choice are broken against x.
        variant: of weighted Kendall: ``scipy`` (default; mean of the rankings by x and by y), ``x`` or ``rank=None``
            (ranked by x, ties by y: scipy's ``rank=None``), ``y`` (ranked by y, ties by x); of a choice: ``top-k``.
        n_resamples: bootstrap resamples; 0 for no interval.
        rows, cols: [n] labels of the two factors when the items are cells of a grid; then rows and columns are
            resampled (crossed) instead of items.
        families: label -> family; families of rows and columns are resampled instead of single ones (tasks of one
            family are not independent). A label without family is one of its own.

    Constant input gives NaN with a reason, never 0. The interval needs at least four items, or four of each factor.
    """
    chosen = choose_variant(kind, variant)
    a, b = np.asarray(x, dtype=float).ravel(), np.asarray(y, dtype=float).ravel()
    if a.shape != b.shape:
        raise HarnessError(f"A correlation needs as many x as y, not {a.size} and {b.size}.")
    fine = ~(np.isnan(a) | np.isnan(b))
    factors = [_clusters(f, families)[fine] for f in (rows, cols) if f is not None]
    a, b = a[fine], b[fine]
    reason = undefined(a, b, kind, chosen)
    estimate, found = float("nan"), Interval.missing(reason)
    if not reason:
        of = kernel(a, b, kind, chosen)
        estimate = float(of(np.ones((1, a.size)))[0])
        found = _interval(of, factors, a.size, n_resamples, seed, level)
    return Correlation(
        estimate=estimate,
        low=found.low,
        high=found.high,
        n=int(a.size),
        ties_x=_tied_pairs(a),
        ties_y=_tied_pairs(b),
        dropped=int((~fine).sum()),
        kind=kind,
        variant=chosen,
        level=level,
        resampled=_resampled(rows is not None, cols is not None, families is not None),
        n_resamples=n_resamples,
        degenerate=found.degenerate,
        reason=reason,
        interval_reason=found.reason,
    )


def _clusters(labels: Sequence[object], families: Mapping[str, str] | None) -> np.ndarray:
    """The family of every label, or the label itself."""
    known = families or {}
    return np.array([f"family {known[str(v)]}" if str(v) in known else str(v) for v in labels], dtype=object)


def cluster_codes(labels: Sequence[object], families: Mapping[str, str] | None) -> np.ndarray:
    """For every label the number of the cluster (family, or itself) that is resampled with it."""
    return np.unique(_clusters(labels, families).astype(str), return_inverse=True)[1]


def _resampled(rows: bool, cols: bool, families: bool) -> str:
    what = " and ".join(name for name, there in (("rows", rows), ("columns", cols)) if there) or "items"
    return f"families of {what}" if families and what != "items" else what


def correlate(
    x: TransferMatrix,
    y: TransferMatrix,
    kind: Kind = "weighted_kendall",
    variant: str | None = None,
    *,
    n_resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
    exclude_self: bool = True,
    families: Mapping[str, str] | None = None,
    negate: Collection[Literal["x", "y"]] = (),
) -> Correlations:
    """Correlate two matrices of the same axes, cell by cell; columns are the targets.

    Labels that only one of them has are left out and counted in a note. Cells with equal row and column label (a
    source scored on itself) are excluded unless told otherwise.

    Args:
        families: label -> family of rows and columns; intervals then resample families (related tasks).
        negate: sides whose sign is turned before correlating (a score of which less is better); said in a note. For
            ``regret`` and ``rel`` a y of which less is better is turned without being asked.
    """
    if (x.rows, x.cols) != (y.rows, y.cols):
        raise HarnessError(f"One matrix has axes {x.rows} x {x.cols}, the other {y.rows} x {y.cols}.")
    a, b, row_labels, col_labels, notes = aligned(x, y)
    own = np.array([[r == c for c in col_labels] for r in row_labels], dtype=bool).reshape(a.shape)
    n_self = int((own & ~np.isnan(a) & ~np.isnan(b)).sum()) if exclude_self else 0
    if exclude_self:
        a, b = np.where(own, np.nan, a), np.where(own, np.nan, b)
        notes.append(f"{n_self} cells with {x.rows} = {x.cols} excluded.")
    turned = {*negate, *(("y",) if kind in SELECTIONS and not y.higher_is_better else ())}
    a, b = (-v if side in turned else v for side, v in (("x", a), ("y", b)))
    notes += [f"{side} negated before correlating." for side in sorted(turned)]
    how = Options(kind, choose_variant(kind, variant), n_resamples, seed, level, families)
    shown = ~own if exclude_self else np.ones_like(own)
    per_target = {}
    for j, c in enumerate(col_labels):
        here = shown[:, j]
        names = [v for v, there in zip(row_labels, here, strict=True) if there] if families else None
        per_target[c] = how.correlate(a[here, j], b[here, j], names)
    keep = shown.ravel()
    cell_rows, cell_cols = (np.asarray(v).ravel()[keep] for v in np.meshgrid(row_labels, col_labels, indexing="ij"))
    pooled = how.correlate(a.ravel()[keep], b.ravel()[keep], list(cell_rows), list(cell_cols))
    mean = mean_over_targets(a, b, (row_labels, col_labels), list(per_target.values()), how)
    return Correlations(per_target, pooled, mean, x.quantity, y.quantity, n_self, tuple(notes))


@dataclass(frozen=True)
class Options:
    """How correlations are made: the arguments of ``correlate`` that every reading shares."""

    kind: Kind
    variant: str
    n_resamples: int
    seed: int
    level: float
    families: Mapping[str, str] | None = None

    def correlate(
        self, x: np.ndarray, y: np.ndarray, rows: Sequence[object] | None = None, cols: Sequence[object] | None = None
    ) -> Correlation:
        return rank_correlation(
            x,
            y,
            self.kind,
            self.variant,
            n_resamples=self.n_resamples,
            seed=self.seed,
            level=self.level,
            rows=rows,
            cols=cols,
            families=self.families,
        )


def mean_over_targets(
    a: np.ndarray,
    b: np.ndarray,
    labels: tuple[Sequence[str], Sequence[str]],
    targets: Sequence[Correlation],
    how: Options,
) -> Correlation:
    """Mean of the defined per-target coefficients; sources and targets are resampled together.

    A target that is undefined, on the data or in a resample, is left out of that mean; those undefined on the data
    are counted in ``dropped``. ``n`` is the number of targets averaged.
    """
    defined = [j for j, t in enumerate(targets) if not np.isnan(t.estimate)]
    estimate = float(np.mean([targets[j].estimate for j in defined])) if defined else float("nan")
    fine = ~(np.isnan(a) | np.isnan(b))
    kernels = [kernel(a[fine[:, j], j], b[fine[:, j], j], how.kind, how.variant) for j in defined]

    def of(counts: np.ndarray, weights: np.ndarray) -> np.ndarray:
        each = [k(counts[:, fine[:, j]]) for j, k in zip(defined, kernels, strict=True)]
        values = np.stack(each, axis=1)
        present = weights * np.isfinite(values)
        total = present.sum(axis=1)
        summed = (present * np.nan_to_num(values)).sum(axis=1)
        return np.asarray(np.divide(summed, total, out=np.full(len(counts), np.nan), where=total > 0))

    names = (labels[0], [labels[1][j] for j in defined])
    codes = [cluster_codes(v, how.families) for v in names]
    sizes = [int(c.max(initial=-1)) + 1 for c in codes]
    found = Interval.missing("fewer than four sources or targets" + (" (families)" if how.families else ""))
    if min(sizes, default=0) >= FEWEST and how.n_resamples > 0:
        drawn = multiplicities(sizes, how.n_resamples, how.seed, a.shape[0] + len(defined))
        found = percentiles(np.concatenate([of(c[:, codes[0]], w[:, codes[1]]) for c, w in drawn]), how.level)
    return Correlation(
        estimate=estimate,
        low=found.low,
        high=found.high,
        n=len(defined),
        ties_x=sum(t.ties_x for t in targets),
        ties_y=sum(t.ties_y for t in targets),
        dropped=len(targets) - len(defined),
        kind=how.kind,
        variant=how.variant,
        level=how.level,
        resampled=_resampled(True, True, how.families is not None),
        n_resamples=how.n_resamples,
        degenerate=found.degenerate,
        reason="" if defined else "no target has a defined coefficient",
        interval_reason=found.reason,
    )


def _interval(of: Kernel, factors: Sequence[np.ndarray], n: int, n_resamples: int, seed: int, level: float) -> Interval:
    """Percentile interval over resamples of items, or of the levels of each factor when there are factors."""
    coded = [np.unique(f.astype(str), return_inverse=True) for f in factors]
    sizes = tuple(len(levels) for levels, _ in coded) or (n,)
    if n_resamples <= 0:
        return Interval.missing("no resamples were asked for")
    if min(sizes) < FEWEST:
        return Interval.missing(f"fewer than {FEWEST} {'rows or columns' if factors else 'items'}")
    values = []
    for drawn in multiplicities(sizes, n_resamples, seed, n):
        counts = drawn[0]
        if coded:
            counts = np.prod([c[:, code] for c, (_, code) in zip(drawn, coded, strict=True)], axis=0)
        values.append(of(counts))
    return percentiles(np.concatenate(values), level)


def choose_variant(kind: str, variant: str | None) -> str:
    """The variant by name, checked. Raises HarnessError."""
    if kind not in VARIANTS:
        raise HarnessError(f"There is no correlation {kind!r}{suggest(kind, VARIANTS)}.")
    if kind in SELECTIONS and top_k(variant or ""):
        return str(variant)
    if variant is not None and variant not in VARIANTS[kind]:
        raise HarnessError(f"{kind} has no variant {variant!r}{suggest(variant, VARIANTS[kind])}.")
    return variant or VARIANTS[kind][0]


def undefined(x: np.ndarray, y: np.ndarray, kind: str, variant: str) -> str:
    """Why there is no coefficient; "" when there is one."""
    if x.size < 2:
        return f"{x.size} pairs"
    for name, values in (("x", x), ("y", y)):
        if (values == values[0]).all():
            return f"{name} is constant"
        if kind == "pearson" and not np.isfinite(values).all():
            return f"{name} has infinite values"
    if kind in SELECTIONS and top_k(variant) >= x.size:
        return f"{variant} of {x.size} items is no choice"
    if kind == "rel" and not (np.isfinite(y).all() and (y > 0).all()):
        return "a ratio needs y above 0"
    return ""


def _tied_pairs(values: np.ndarray) -> int:
    counts = np.unique(values, return_counts=True)[1]
    return int((counts * (counts - 1) // 2).sum())


def aligned(x: TransferMatrix, y: TransferMatrix) -> tuple[np.ndarray, np.ndarray, list[str], list[str], list[str]]:
    """Values of both matrices on the labels they share, these labels, and notes on what only one of them has."""
    notes = []
    shared = []
    for axis, ours, theirs in ((x.rows, x.row_labels, y.row_labels), (x.cols, x.col_labels, y.col_labels)):
        both = [v for v in ours if v in set(theirs)]
        alone = sorted({*ours, *theirs} - set(both))
        if alone:
            notes.append(f"{axis} in one of the two only, left out: {', '.join(alone)}.")
        shared.append(both)
    a = x.frame().reindex(index=shared[0], columns=shared[1]).to_numpy(dtype=float)
    b = y.frame().reindex(index=shared[0], columns=shared[1]).to_numpy(dtype=float)
    return a, b, shared[0], shared[1], notes
