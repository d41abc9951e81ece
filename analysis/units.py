"""How numbers are shown: percent for metrics that are fractions, a sensible number of digits for others."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

# Metrics that lie in [0, 1]; only for these does "percent" or "share of the error removed" mean anything.
FRACTIONS = frozenset(
    {"accuracy", "balanced_accuracy", "top1", "top5", "f1", "macro_f1", "micro_f1", "precision", "recall", "auc"}
    | {"mean_per_class", "map_11"}
    | {"auroc", "average_precision", "miou", "iou", "error", "error_rate", "exact_match", "ece"}
)
# Metrics of which less is better; a study's own metrics say so through ``higher_is_better``.
LOWER_IS_BETTER = frozenset(
    {"error", "error_rate", "loss", "nll", "cross_entropy", "perplexity", "mse", "mae"} | {"relative_l2", "ece"}
)
RELATIVE: Mapping[str, str] = MappingProxyType(
    {
        "difference": "difference from",
        "relative_gain": "gain relative to",
        "relative_error_reduction": "share of the error removed, against",
        "z": "standard score by",
    }
)
# A score over the evaluations of one training: its best, the mean of its ten best or last ones.
_SCORE = re.compile(r"_(best|last|final)(\d+)?(_mean)?$")
NOT_ESTIMABLE = "not estimable"


@dataclass(frozen=True)
class Unit:
    """``scale`` multiplies a stored value for display; ``name`` is printed beside the metric ("" for none)."""

    scale: float = 1.0
    name: str = ""
    decimals: int = 3

    def text(self, value: float, signed: bool = False) -> str:
        """A value as printed text, "" for NaN; a zero after rounding carries no sign."""
        if not np.isfinite(value):
            return "" if np.isnan(value) else ("inf" if value > 0 else "-inf")
        rounded = round(float(value) * self.scale, self.decimals) + 0.0
        return f"{rounded:+.{self.decimals}f}" if signed and rounded else f"{rounded:.{self.decimals}f}"


def base_metric(metric: str) -> str:
    """The metric that a score over a training is made of: "accuracy" for "accuracy_best10_mean"."""
    return _SCORE.sub("", metric)


def is_fraction(metric: str, values: np.ndarray) -> bool:
    """Whether ``metric`` is a fraction by name and all measured ``values`` lie in [0, 1]."""
    finite = values[np.isfinite(values)]
    return base_metric(metric) in FRACTIONS and bool(((finite >= 0) & (finite <= 1)).all())


def unit_of(values: np.ndarray, fraction: bool, how: str | None) -> Unit:
    """The unit for shown values: absolute when ``how`` is None, else the relative reading named by ``how``."""
    if how in ("relative_gain", "relative_error_reduction"):
        return Unit(100.0, "%", 1)
    if how == "z":
        return Unit(1.0, "standard deviations", 2)
    if fraction:
        return Unit(100.0, "%" if how is None else "percentage points", 1)
    finite = np.abs(values[np.isfinite(values)])
    largest = float(finite.max()) if finite.size else 0.0
    digits = 3 if largest == 0 else int(np.clip(2 - np.floor(np.log10(largest)), 0, 6))
    return Unit(1.0, "", digits)


def minus(text: str) -> str:
    """The text with a typographic minus sign, for figures and pages."""
    return text.replace("-", "\N{MINUS SIGN}")
