"""What is known of each metric before anything is measured: which way is better, its range, what it is a metric of.

How each is computed is in :mod:`harness.training.evaluation`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Targets = Literal["class", "classes", "numbers"]
"""What an example is to be told: its one class, each of its classes, or numbers (regression)."""


@dataclass(frozen=True)
class MetricFacts:
    """Whether more is better, the least and the largest value, and the targets that it can be measured on."""

    higher_is_better: bool
    least: float
    largest: float
    targets: tuple[Targets, ...]


METRICS: Final[Mapping[str, MetricFacts]] = {
    "accuracy": MetricFacts(True, 0.0, 1.0, ("class",)),
    "mean_per_class": MetricFacts(True, 0.0, 1.0, ("class",)),
    "map_11": MetricFacts(True, 0.0, 1.0, ("class", "classes")),
    "auroc": MetricFacts(True, 0.0, 1.0, ("class", "classes")),
    "relative_l2": MetricFacts(False, 0.0, math.inf, ("numbers",)),
    "loss": MetricFacts(False, 0.0, math.inf, ("class", "classes", "numbers")),
}


def metrics_of(targets: Targets) -> tuple[str, ...]:
    """Return the metrics that can be measured on such targets; the usual one is the first."""
    return tuple(name for name, facts in METRICS.items() if targets in facts.targets)
