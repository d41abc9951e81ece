"""Correlation coefficients of many weighted samples at once.

A bootstrap resample of n items is a vector of multiplicities: how often each item was drawn. Every coefficient here
is written as quadratic forms in multiplicities, so that thousands of resamples are a few matrix products and equal,
up to rounding, what the textbook formula gives on the resampled items. A sample drawn once each is the estimate.

Notation: C is float [B, n], multiplicities of B resamples; x, y are float [n] without NaN.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

Kind = Literal["pearson", "spearman", "kendall", "weighted_kendall", "regret", "rel"]
Kernel = Callable[[np.ndarray], np.ndarray]

# A standard deviation this small beside the mean is rounding, not variation.
_RELATIVE_ZERO = 1e-13
_DENSE = 1024  # items up to which all pairs are held as matrices (8 MB each)
VARIANTS: dict[str, tuple[str, ...]] = {
    "pearson": ("product-moment",),
    "spearman": ("average ranks",),
    "kendall": ("tau-b",),
    "weighted_kendall": ("scipy", "x", "y", "rank=None"),
    "regret": ("top-1", "top-3", "top-5"),
    "rel": ("top-1", "top-3", "top-5"),
}
SELECTIONS = ("regret", "rel")  # how good the best of the first k by x is, in terms of y; any k is allowed
_TOP = re.compile(r"top-([1-9][0-9]*)")


def kernel(x: np.ndarray, y: np.ndarray, kind: Kind, variant: str) -> Kernel:
    """A function from multiplicities [B, n] to coefficients [B]; NaN where a resample is constant."""
    if kind == "pearson":
        return lambda counts: _pearson(x, y, counts)
    if kind in SELECTIONS:
        return _selection(x, y, kind, top_k(variant))
    if x.size > _DENSE:
        return _looped(x, y, kind, variant)
    if kind == "spearman":
        return _spearman(x, y)
    if kind == "kendall":
        return _kendall(x, y)
    if variant == "scipy":
        by_x, by_y = _weighted_kendall(x, y), _weighted_kendall(y, x)
        return lambda counts: (by_x(counts) + by_y(counts)) / 2
    return _weighted_kendall(y, x) if variant == "y" else _weighted_kendall(x, y)


def row_coefficients(x: np.ndarray, y: np.ndarray, kind: Kind, variant: str) -> np.ndarray:
    """The coefficient of every row of x with the same row of y, both float [B, n] without NaN; NaN where undefined."""
    found = np.full(len(x), np.nan)
    if x.shape[1] < 2:
        return found
    defined = (x != x[:, :1]).any(axis=1) & (y != y[:, :1]).any(axis=1)
    if kind == "pearson":
        defined &= np.isfinite(x).all(axis=1) & np.isfinite(y).all(axis=1)
    elif kind == "rel":
        defined &= (np.isfinite(y) & (y > 0)).all(axis=1)
    if kind in SELECTIONS and top_k(variant) >= x.shape[1]:
        defined[:] = False
    a, b, once = x[defined], y[defined], np.ones((1, x.shape[1]))
    if kind in ("pearson", "spearman"):
        if kind == "spearman":
            from scipy.stats import rankdata

            a, b = (rankdata(v, axis=1) if v.size else v for v in (a, b))
        found[defined] = _pearson(a, b, np.broadcast_to(once, a.shape))
    else:
        found[defined] = [kernel(c, d, kind, variant)(once)[0] for c, d in zip(a, b, strict=True)]
    return found


def top_k(variant: str) -> int:
    """The k of a variant "top-k"; 0 when it is none."""
    match = _TOP.fullmatch(variant)
    return int(match.group(1)) if match else 0


def _selection(x: np.ndarray, y: np.ndarray, kind: str, k: int) -> Kernel:
    """Regret: best y of all minus best y among the first k by x; rel: their ratio (Rel@k).

    Ties in x are broken against the score: of equal x the one of lower y comes first.
    """
    order = np.lexsort((y, -x))
    ordered = y[order]

    def of(counts: np.ndarray) -> np.ndarray:
        drawn = counts[:, order]
        before = np.cumsum(drawn, axis=1) - drawn
        best = np.where(drawn > 0, ordered, -np.inf).max(axis=1)
        chosen = np.where((drawn > 0) & (before < k), ordered, -np.inf).max(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(best - chosen if kind == "regret" else chosen / best)

    return of


def _pearson(x: np.ndarray, y: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Product-moment correlation; x and y are [n] or, per resample, [B, n]."""
    total = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    dx = x - (counts * x).sum(axis=1, keepdims=True) / total
    dy = y - (counts * y).sum(axis=1, keepdims=True) / total
    vx, vy = (counts * dx * dx).sum(axis=1), (counts * dy * dy).sum(axis=1)
    floor_x, floor_y = (_RELATIVE_ZERO**2 * (counts * v * v).sum(axis=1) for v in (x, y))
    defined = (vx > floor_x) & (vy > floor_y)
    product = np.sqrt(vx) * np.sqrt(vy)
    value = np.divide((counts * dx * dy).sum(axis=1), product, out=np.full(len(counts), np.nan), where=defined)
    return np.asarray(np.clip(value, -1.0, 1.0))


def _spearman(x: np.ndarray, y: np.ndarray) -> Kernel:
    """Pearson of average ranks: an item's rank in a resample is (items below) + (items equal + 1) / 2."""

    def ranks(v: np.ndarray) -> np.ndarray:
        return np.asarray((v[:, None] < v[None, :]) + 0.5 * (v[:, None] == v[None, :]))

    below_x, below_y = ranks(x), ranks(y)
    return lambda counts: _pearson(counts @ below_x + 0.5, counts @ below_y + 0.5, counts)


def _signs(v: np.ndarray) -> np.ndarray:
    return np.asarray(np.sign(v[:, None] - v[None, :]))


def _ratio(numerator: np.ndarray, x_pairs: np.ndarray, y_pairs: np.ndarray) -> np.ndarray:
    product = np.sqrt(np.maximum(x_pairs, 0)) * np.sqrt(np.maximum(y_pairs, 0))
    value = np.divide(numerator, product, out=np.full(len(numerator), np.nan), where=product > 0)
    return np.asarray(np.clip(value, -1.0, 1.0))


def _kendall(x: np.ndarray, y: np.ndarray) -> Kernel:
    """Kendall's tau-b: concordant minus discordant pairs over sqrt(pairs untied in x * pairs untied in y)."""
    sx, sy = _signs(x), _signs(y)
    agree, untied_x, untied_y = sx * sy, np.abs(sx), np.abs(sy)

    def of(counts: np.ndarray) -> np.ndarray:
        return _ratio(
            ((counts @ agree) * counts).sum(axis=1),
            ((counts @ untied_x) * counts).sum(axis=1),
            ((counts @ untied_y) * counts).sum(axis=1),
        )

    return of


def _weighted_kendall(x: np.ndarray, y: np.ndarray) -> Kernel:
    """Kendall's tau with additive hyperbolic weights 1 / (1 + rank), ranking by x, ties in x by y, largest first.

    The definition of Vigna, "A weighted correlation index for rankings with ties" (2015), as scipy.stats.weightedtau
    has it with rank=None. Copies of an item drawn c times take c consecutive ranks; since copies are interchangeable,
    only the sum of their weights matters, a difference of harmonic numbers.
    """
    order = np.lexsort((y, x))[::-1]
    sx, sy = _signs(x[order]), _signs(y[order])
    agree, untied_x, untied_y = sx * sy, np.abs(sx), np.abs(sy)
    alike = np.array_equal(untied_x, untied_y)  # without ties, and where both have the same

    def of(counts: np.ndarray) -> np.ndarray:
        drawn = counts[:, order]
        last = np.cumsum(drawn, axis=1).astype(np.int64)
        most = int(last[:, -1].max(initial=0))
        harmonic = np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1, most + 1))])
        weight = harmonic[last] - harmonic[last - drawn.astype(np.int64)]
        x_pairs = ((drawn @ untied_x) * weight).sum(axis=1)
        y_pairs = x_pairs if alike else ((drawn @ untied_y) * weight).sum(axis=1)
        return _ratio(((drawn @ agree) * weight).sum(axis=1), x_pairs, y_pairs)

    return of


def _looped(x: np.ndarray, y: np.ndarray, kind: Kind, variant: str) -> Kernel:
    """One scipy call per resample, for samples too large for matrices of pairs: O(n log n) each."""
    from scipy import stats

    def one(a: np.ndarray, b: np.ndarray) -> float:
        if a.size < 2 or (a == a[0]).all() or (b == b[0]).all():
            return float("nan")
        if kind == "spearman":
            return float(stats.spearmanr(a, b).statistic)
        if kind == "kendall":
            return float(stats.kendalltau(a, b).statistic)
        first, second = (b, a) if variant == "y" else (a, b)
        ranking: Any = True if variant == "scipy" else None  # None is documented, but not in the type stubs
        return float(stats.weightedtau(first, second, rank=ranking).statistic)

    def of(counts: np.ndarray) -> np.ndarray:
        times = counts.astype(np.int64)
        return np.array([one(np.repeat(x, c), np.repeat(y, c)) for c in times])

    return of
