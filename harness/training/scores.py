"""Scores of a training's curve: what it ended with, and what choosing among its evaluations would have found.

The best values select on the very examples that they are measured on, which the last one does not: they are
measurements of names of their own, never the outcome's.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Final

from harness.errors import HarnessError
from harness.graph import BatchContext, Measurement, Measurements, StageContext, Weights, stage
from harness.tasks.base import Task
from harness.training.alone import one_by_one
from harness.training.evaluation import metric

TEN: Final = 10
WIDTH: Final = 64


@stage(version=1, keep="durable")
def score_curve(task: Task, weights: Weights, *, ctx: StageContext) -> Measurements:
    """Return the scores of a network that was watched while it was trained, and record its curves.

    For each watched split: the task's metric, of the weights that were kept; and of the curve its best value (`_best`),
    the mean of its ten best (`_best10_mean`, the score of Yosinski et al. 2014) and of its last ten (`_last10_mean`),
    the latter two only of curves of ten points or more.
    Raises HarnessError when the training was not watched.
    """
    header = weights.header
    if "curves" not in header:
        raise HarnessError(f"the training on {task.name} was not watched, so it has no curve to score")
    name, flags = str(header["metric"]), tuple(header.get("flags", ()))
    rows = []
    for split, curve in header["curves"].items():
        for step, value in curve:
            ctx.curve(f"{split}/{name}", int(step), value)
        found: list[tuple[str, float, int | None]] = [(name, float(header["kept"][split]), int(header["kept_step"]))]
        found += [(f"{name}_{kind}", value, step) for kind, value, step in curve_scores(curve, metric(name)[1])]
        seen = int(header["n_eval"][split])
        rows += [Measurement(each, value, split, task.name, seen, step, flags) for each, value, step in found]
    return Measurements(tuple(rows))


def _group(_: Mapping[str, Any]) -> Hashable:
    return None


@score_curve.batched(width=WIDTH, group=_group)
def score_curve_batch(members: Sequence[Mapping[str, Any]], ctx: BatchContext) -> Sequence[Measurements | Exception]:
    """Score several trainings in one call."""
    return one_by_one(score_curve, members, ctx)


def curve_scores(
    curve: Sequence[tuple[float, float]] | Sequence[list[float]], more_is_better: bool
) -> list[tuple[str, float, int | None]]:
    """Return (kind, value, step) of the best point, the mean of the ten best, and of the last ten points of a curve.

    curve: [step, value] with rising steps. A mean has no step. Of equal best points the first counts.
    """
    sign = 1.0 if more_is_better else -1.0
    ranked = sorted(curve, key=lambda point: -sign * point[1])
    scores: list[tuple[str, float, int | None]] = [("best", float(ranked[0][1]), int(ranked[0][0]))]
    if len(curve) >= TEN:
        scores.append(("best10_mean", sum(value for _, value in ranked[:TEN]) / TEN, None))
        scores.append(("last10_mean", sum(value for _, value in list(curve)[-TEN:]) / TEN, None))
    return scores
