"""The noise ceiling: how well an oracle that knows every true value would correlate with what was measured.

Seeds are cut in halves; two noisy halves correlate by r. On the scale of a product-moment correlation the Spearman and
Brown formula gives the reliability of the mean over all seeds, R = 2 r / (1 + r), and a noiseless oracle correlates
with that mean by sqrt(R). For rank coefficients r is carried to that scale and back as for a bivariate normal:
Kendall's (weighted: approximately) by sin(pi tau / 2), Spearman's by 2 sin(pi rho / 6).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from analysis.coefficients import Kind, kernel
from analysis.correlation import choose_variant, undefined
from analysis.seeds import SeedValues, half_splits
from analysis.units import NOT_ESTIMABLE

CORRECTION_NAMES = {
    "pearson": "Spearman-Brown, square root",
    "spearman": "Spearman-Brown, square root, on the normal scale 2 sin(πρ/6)",
    "kendall": "Spearman-Brown, square root, on the normal scale sin(πτ/2)",
    "weighted_kendall": "Spearman-Brown, square root, on the normal scale sin(πτ/2) (approximate for weighted τ)",
}


@dataclass(frozen=True)
class Ceiling:
    """``estimate``: the oracle's correlation; ``half``: mean correlation of two halves of the seeds, uncorrected."""

    estimate: float
    half: float
    seeds: int
    kind: str
    correction: str
    reason: str = ""

    def __str__(self) -> str:
        """The ceiling as printed: "0.93", or that it is not estimable and why."""
        return f"{NOT_ESTIMABLE} ({self.reason})" if self.reason else f"{self.estimate:.2f}"


def noise_ceiling(
    data: SeedValues, kind: Kind = "weighted_kendall", variant: str | None = None, *, exclude_self: bool = True
) -> dict[str, Ceiling]:
    """The ceiling of every column of a matrix, and of their mean (under the key "").

    A column is correlated over its rows, within one column only. Self cells are left out as in ``correlate``.
    """
    chosen = choose_variant(kind, variant)
    matrix, values = data.matrix, data.values.copy()
    if exclude_self:
        for i, row in enumerate(matrix.row_labels):
            for j, col in enumerate(matrix.col_labels):
                values[i, j] = np.nan if row == col else values[i, j]
    per_column = {name: ceiling_of(values[:, j, :], kind, chosen) for j, name in enumerate(matrix.col_labels)}
    found = [c for c in per_column.values() if not c.reason]
    n = len(data.seeds)
    if found:
        mean = Ceiling(float(np.mean([c.estimate for c in found])), float(np.mean([c.half for c in found])), n, kind,
                       found[0].correction)  # fmt: skip
    else:
        reason = next((c.reason for c in per_column.values()), "no column")
        mean = Ceiling(float("nan"), float("nan"), n, kind, CORRECTION_NAMES.get(kind, ""), reason)
    return {**per_column, "": mean}


def ceiling_of(values: np.ndarray, kind: Kind, variant: str) -> Ceiling:
    """The ceiling of one list of items, float [items, seeds]; items that lack a seed are left out."""
    complete = values[np.isfinite(values).all(axis=1)]
    n = values.shape[1]
    nan = float("nan")

    def none(reason: str, half: float = nan) -> Ceiling:
        return Ceiling(nan, half, n, kind, CORRECTION_NAMES.get(kind, ""), reason)

    if kind not in CORRECTION_NAMES:
        return none(f"no correction is known for {kind}")
    if n < 2:
        return none("one seed" if n else "no seed")
    if len(complete) < 3:
        return none("fewer than three items with every seed")
    halves = [
        _coefficient(complete[:, a].mean(axis=1), complete[:, b].mean(axis=1), kind, variant) for a, b in half_splits(n)
    ]
    half = float(np.nanmean(halves)) if np.isfinite(halves).any() else nan
    if np.isnan(half):
        return none("constant values")
    if half <= 0:
        return none("halves of the seeds do not agree at all", half)
    return Ceiling(corrected(half, kind, n / (n // 2)), half, n, kind, CORRECTION_NAMES[kind])


def corrected(half: float, kind: str, times: float = 2.0) -> float:
    """The oracle's correlation from that of two halves; ``times`` as many seeds stand behind the whole as a half."""
    to, back = _scales(kind)
    r = min(to(half), 1.0)
    reliability = times * r / (1 + (times - 1) * r)
    return float(min(back(np.sqrt(reliability)), 1.0))


def _scales(kind: str) -> tuple[Callable[[float], float], Callable[[float], float]]:
    """To the product-moment scale of a bivariate normal, and back."""
    if kind == "pearson":
        return (lambda v: v), (lambda v: v)
    if kind == "spearman":
        return (lambda v: float(2 * np.sin(np.pi * v / 6))), (lambda v: float(6 / np.pi * np.arcsin(min(v, 1.0) / 2)))
    return (lambda v: float(np.sin(np.pi * v / 2))), (lambda v: float(2 / np.pi * np.arcsin(min(v, 1.0))))


def _coefficient(a: np.ndarray, b: np.ndarray, kind: Kind, variant: str) -> float:
    if undefined(a, b, kind, variant):
        return float("nan")
    return float(kernel(a, b, kind, variant)(np.ones((1, a.size)))[0])
