"""The source's accuracy on its own validation split: does a better source transfer better?"""

from __future__ import annotations

from typing import Literal

from harness.backbones.base import Backbone
from harness.errors import HarnessError
from harness.estimators.base import estimator
from harness.graph import Measurement, Measurements, Stage, StageContext, Weights, stage
from harness.methods.base import Trial
from harness.methods.sources import over_seeds, trained, training
from harness.tasks.base import Task, TaskSet
from harness.tasks.derived import merge
from harness.training.augmentation import Augmentation
from harness.training.rules import STANDARD_NUMERICS, Numerics
from harness.training.settings import Schedule
from harness.training.stages import evaluate
from harness.training.views import all_seen_by, seen_by


@estimator("source_accuracy", reads=("source", "backbone", "source_seed"))
def source_accuracy(
    trial: Trial,
    *,
    source_shots: int | Literal["all"] = "all",
    source_steps: int = 200,
    source_epochs: int | None = None,
    source_batch_size: int = 64,
    source_optimiser: Literal["sgd", "adam"] = "sgd",
    source_lr: float = 0.1,
    source_momentum: float = 0.9,
    source_weight_decay: float = 0.0,
    source_schedule: Schedule = "cosine",
    source_milestones: tuple[float, ...] = (),
    source_decay: float = 0.1,
    source_clip: float | None = None,
    source_augment: tuple[Augmentation, ...] = (),
) -> Stage:
    """Accuracy of the source's network on its own validation split; knows nothing of the target.

    Raises HarnessError for a source that is no task, which has no validation split.
    """
    source = trial.source
    if not isinstance(source, (Task, TaskSet)):
        raise HarnessError(f"source_accuracy needs a source that is a task, not {source or 'none'}")
    backbone = trial.backbone
    task = seen_by(source, backbone) if isinstance(source, Task) else merge(all_seen_by(source, backbone))
    how = training(
        source_shots,
        source_steps,
        source_epochs,
        source_batch_size,
        source_optimiser,
        source_lr,
        source_momentum,
        source_weight_decay,
        source_schedule,
        source_clip,
        milestones=source_milestones,
        decay=source_decay,
        augment=source_augment,
    )
    weights = over_seeds(trial, lambda seed: trained(trial, task, how, ("train",), seed))
    return own_score.bind(task=task, weights=weights, backbone=trial.backbone, numerics=trial.numerics)


@stage(version=1, keep="durable")
def own_score(
    task: Task, weights: Weights, backbone: Backbone, numerics: Numerics = STANDARD_NUMERICS, *, ctx: StageContext
) -> Measurements:
    """Measure a network on its own task's validation split, as a score of that network."""
    (row,) = evaluate(task=task, weights=weights, backbone=backbone, splits=("val",), numerics=numerics, ctx=ctx).rows
    return Measurements((Measurement("score", row.value, row.split, row.task, row.n_eval, flags=row.flags),))
