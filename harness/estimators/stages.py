"""The stage that every score of a study is: inputs from features and predictions, one number out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from harness.estimators.inputs import Inputs
from harness.estimators.scorers import SCORERS, Scorer
from harness.graph import Features, Measurement, Measurements, Predictions, StageContext, stage
from harness.tasks.base import Task
from harness.training import data

SEED = "seed"
"""The option of a score that draws anything; in a study it is the seed of the target."""


@dataclass(frozen=True)
class Scoring:
    """A score with its options, as a plan knows it; the code of the score's own module is what makes it.

    options: those that differ from their defaults, so that a new option moves no key.
    """

    name: str
    version: int
    module: str
    options: tuple[tuple[str, Any], ...] = ()

    def identity(self) -> Mapping[str, Any]:
        """What makes this score itself, for keys."""
        return {"estimator": self.name, "version": self.version, "options": dict(self.options)}

    def modules(self) -> tuple[str, ...]:
        """The module whose code computes the score."""
        return (self.module,)


def scoring_of(scorer: Scorer, options: Mapping[str, Any]) -> Scoring:
    """Return a score with these options for a plan."""
    changed = {name: value for name, value in options.items() if value != scorer.options[name].default}
    return Scoring(scorer.name, scorer.version, scorer.function.__module__, tuple(sorted(changed.items())))


@stage(version=1, keep="durable")
def estimate(
    scoring: Scoring,
    task: Task,
    features: Features | None = None,
    predictions: Predictions | None = None,
    source_features: Features | None = None,
    label_features: Features | None = None,
    shots: int | Literal["all"] = "all",
    seed: int = 0,
    *,
    ctx: StageContext,
) -> Measurements:
    """Score one network on the examples of the target that a training would get.

    features, predictions: the network's on one split of the target.  source_features: its features of the source's own
    examples, with their labels.  label_features: features [C, D2] of the names of the target's classes.
    Every score of a study is better when higher: of one that is better when lower, minus the score is taken.
    """
    given = [one for one in (features, predictions) if one is not None]
    first = given[0]  # labels come with either
    labels, split = first.tensors["labels"], str(first.header["split"])
    chosen = data.chosen(task, split, labels, shots, seed, ctx)
    arrays: dict[str, Any] = {"labels": labels[chosen], "device": None if ctx.device == "cpu" else ctx.device}
    if features is not None:
        arrays["features"] = features.tensors["features"][chosen].flatten(1)
    if predictions is not None:
        arrays["source_logits"] = predictions.tensors["logits"][chosen]
    scorer = SCORERS.get(scoring.name)
    if source_features is not None:
        arrays["source_features"] = source_features.tensors["features"].flatten(1)
        arrays |= {"source_labels": source_features.tensors["labels"]} if "source_labels" in scorer.needs else {}
    if label_features is not None:
        arrays["label_embeddings"] = label_features.tensors["features"][labels[chosen]]
    options = dict(scoring.options)
    if SEED in scorer.options:
        options[SEED] = seed
    value = scorer(Inputs(**arrays), **options)
    flags = tuple(dict.fromkeys(flag for one in given for flag in one.header.get("flags", ())))
    oriented = value if scorer.higher_is_better else -value
    return Measurements((Measurement("score", oriented, split, task.name, n_eval=len(chosen), flags=flags),))
