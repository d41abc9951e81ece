"""The stages behind scores of ensembles: terms of one network, of all pairs of a pool, and the score of an ensemble."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

from harness.estimators.ensembles import ensemble_score
from harness.estimators.inputs import Inputs
from harness.estimators.osborn import Given, disagreement, pool, source_terms
from harness.graph import (
    BatchContext,
    Features,
    Measurement,
    Measurements,
    Predictions,
    StageContext,
    Value,
    stage,
)
from harness.tasks.base import Task
from harness.training import data
from harness.training.alone import one_by_one

if TYPE_CHECKING:
    from torch import Tensor

WIDTH: Final = 32

TERMS: Final[Mapping[str, tuple[float, float, float]]] = {
    "score": (1, 1, 1),
    "domain_term": (1, 0, 0),
    "task_term": (0, 1, 0),
    "cohesion_term": (0, 0, 1),
}
"""What is measured of an ensemble: OSBORN's score and each of its terms alone, by the weights of the three terms."""


@stage(version=1, keep="durable")
def estimate_ensemble(
    name: str,
    task: Task,
    members: tuple[Predictions, ...],
    shots: int | Literal["all"] = "all",
    seed: int = 0,
    *,
    ctx: StageContext,
) -> Measurements:
    """Score an ensemble by its members' predictions on the examples of the target that a training would get.

    name: one of `ENSEMBLE_SCORES`; all are better when higher.
    """
    from scipy.special import softmax

    chosen, split = _chosen(task, members[0], shots, seed, ctx)
    probabilities = [softmax(one.tensors["logits"][chosen].double().numpy(), axis=1) for one in members]
    value = ensemble_score(name, probabilities, members[0].tensors["labels"][chosen])
    return Measurements((Measurement("score", value, split, task.name, len(chosen), flags=_flags(members)),))


@estimate_ensemble.batched(width=WIDTH, group=lambda arguments: arguments["name"])
def estimate_ensembles(members: Sequence[Mapping[str, Any]], ctx: BatchContext) -> Sequence[Measurements | Exception]:
    """Score several ensembles in one call, one after the other."""
    return one_by_one(estimate_ensemble, members, ctx)


@stage(version=1)
def source_terms_of(
    task: Task,
    features: Features,
    source_features: Features,
    most: int = 1000,
    given: Given = "target",
    shots: int | Literal["all"] = "all",
    seed: int = 0,
    *,
    ctx: StageContext,
) -> Value:
    """Return OSBORN's `domain` and `task` term of one network; see :func:`harness.estimators.osborn.source_terms`."""
    chosen, _ = _chosen(task, features, shots, seed, ctx)
    inputs = Inputs(
        features=features.tensors["features"][chosen].flatten(1),
        labels=features.tensors["labels"][chosen],
        source_features=source_features.tensors["features"].flatten(1),
        source_labels=source_features.tensors["labels"],
    )
    domain, of_task = source_terms(inputs, most, seed, given)
    return Value({"domain": domain, "task": of_task, "flags": _flags((features,))})


@stage(version=1)
def cohesion_terms(
    task: Task,
    predictions: tuple[Predictions, ...],
    shots: int | Literal["all"] = "all",
    seed: int = 0,
    *,
    ctx: StageContext,
) -> Value:
    """Return OSBORN's cohesion term of each pair of a pool as `pairs` [M, M], symmetric; and the number of examples."""
    chosen, split = _chosen(task, predictions[0], shots, seed, ctx)
    classes = [one.tensors["logits"][chosen].argmax(1).numpy() for one in predictions]
    pairs = [[disagreement(one, other) if one is not other else 0.0 for other in classes] for one in classes]
    return Value({"pairs": pairs, "examples": len(chosen), "split": split})


@stage(version=1, keep="durable")
def score_ensemble(task: Task, members: tuple[int, ...], terms: tuple[Value, ...], cohesion: Value) -> Measurements:
    """Score an ensemble by OSBORN, and by each of its terms alone; every one is better when higher.

    members: places in the pool.  terms: those of each network of the pool.  cohesion: those of its pairs.
    """
    domain, of_task = ([float(one.data[name]) for one in terms] for name in ("domain", "task"))
    examples, split = int(cohesion.data["examples"]), str(cohesion.data["split"])
    flags = tuple(dict.fromkeys(flag for place in members for flag in terms[place].data["flags"]))
    rows = []
    for metric, (first, second, third) in TERMS.items():
        weighed = pool(
            domain, of_task, cohesion.data["pairs"], domain_weight=first, task_weight=second, cohesion_weight=third
        )
        rows.append(Measurement(metric, weighed.score(members), split, task.name, examples, flags=flags))
    return Measurements(tuple(rows))


def _chosen(
    task: Task, one: Features | Predictions, shots: int | Literal["all"], seed: int, ctx: StageContext
) -> tuple[Tensor, str]:
    split = str(one.header["split"])
    return data.chosen(task, split, one.tensors["labels"], shots, seed, ctx), split


def _flags(members: Sequence[Features | Predictions]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(flag for one in members for flag in one.header.get("flags", ())))
