"""Choosing among the candidates of a cell by what they measured, never by a test score."""

from __future__ import annotations

import math

from harness.errors import HarnessError
from harness.graph import Measurements, Value, stage


@stage(version=1, name="select", tolerates=("scores",))
def select(scores: tuple[Measurements, ...], candidates: int, metric: str, higher_is_better: bool = True) -> Value:
    """Return ``{"index", "score", "scores"}`` of the candidate with the best mean score.

    ``scores`` holds the measurements of candidate 0 on every trial of the group, then of candidate 1, and so on;
    those of a diverged one are None, and a candidate that diverged anywhere is never chosen. Ties go to the earlier
    candidate. Raises HarnessError when no candidate is left.
    """
    trials = len(scores) // candidates
    means: list[float | None] = []
    for candidate in range(candidates):
        found = [_score(item, metric) for item in scores[candidate * trials : (candidate + 1) * trials]]
        finite = [value for value in found if value is not None and math.isfinite(value)]
        means.append(math.fsum(finite) / trials if len(finite) == trials else None)
    sign = 1.0 if higher_is_better else -1.0
    order = [index for index, mean in enumerate(means) if mean is not None]
    if not order:
        raise HarnessError(f"none of {candidates} candidates has a finite {metric}")
    best = max(order, key=lambda index: (sign * (means[index] or 0.0), -index))
    return Value({"index": best, "score": means[best], "scores": means})


def _score(measured: Measurements | None, metric: str) -> float | None:
    if measured is None:
        return None
    values = [row.value for row in measured.rows if row.metric == metric]
    if not values:
        raise HarnessError(f"a candidate measured no {metric!r}, so that none can be chosen by it")
    return math.fsum(values) / len(values)
