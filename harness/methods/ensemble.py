"""Ensembles: each source's network is fine-tuned by itself, and what they predict is averaged.

The members are the networks of `fine_tune` with `keep_predictions`: with equal settings their predictions are the same
artifacts, so that after one run of each network every ensemble of them costs an average.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from harness.errors import HarnessError
from harness.graph import Stage
from harness.methods.base import Trial, method
from harness.methods.fine_tune import adapted, predictions_by
from harness.methods.sources import source_weights, training
from harness.methods.views import as_seen
from harness.tasks.base import Task, TaskSet
from harness.training.augmentation import Augmentation
from harness.training.predictions import Average, measure_ensemble
from harness.training.settings import Schedule


@method("ensemble")
def ensemble(
    trial: Trial,
    *,
    shots: int | Literal["all"] = "all",
    steps: int = 200,
    epochs: int | None = None,
    batch_size: int = 64,
    optimiser: Literal["sgd", "adam"] = "sgd",
    lr: float = 0.1,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    schedule: Schedule = "cosine",
    milestones: tuple[float, ...] = (),
    decay: float = 0.1,
    clip: float | None = None,
    head: Literal["fresh", "kept"] = "fresh",
    augment: tuple[Augmentation, ...] = (),
    average: Average = "probabilities",
    metrics: tuple[str, ...] = (),
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
    """Fine-tune a network from each task of the source and average what they predict.

    average: the members' probabilities, or their logits.  metrics: what is measured beside the task's own metric.
    Raises HarnessError for a source that is no set of tasks.
    """
    trial = as_seen(trial)
    how = training(
        shots, steps, epochs, batch_size, optimiser, lr, momentum, weight_decay, schedule, clip,
        milestones=milestones, decay=decay, augment=augment,
    )  # fmt: skip
    before = training(
        source_shots, source_steps, source_epochs, source_batch_size, source_optimiser, source_lr, source_momentum,
        source_weight_decay, source_schedule, source_clip, milestones=source_milestones, decay=source_decay,
        augment=source_augment,
    )  # fmt: skip
    predictions = []
    for own in member_trials(trial):
        init = source_weights(own, before)
        assert init is not None
        predictions.append(predictions_by(own, adapted(own, init, how, head)))
    return measure_ensemble.bind(
        task=trial.target, members=tuple(predictions), splits=trial.eval_splits, average=average, metrics=metrics
    )


def member_trials(trial: Trial) -> tuple[Trial, ...]:
    """Return the trial with each task of its source set as the only source.

    Raises HarnessError for another source.
    """
    source = trial.source
    if not isinstance(source, (Task, TaskSet)):
        raise HarnessError(f"an ensemble needs a set of tasks as source, one for each member, not {source or 'none'}")
    tasks = (source,) if isinstance(source, Task) else source.tasks
    return tuple(replace(trial, source=task) for task in tasks)
