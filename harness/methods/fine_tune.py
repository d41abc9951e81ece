"""Fine-tuning: all of the source's network is trained on, with a new head."""

from __future__ import annotations

from typing import Literal

from harness.errors import HarnessError
from harness.graph import Stage
from harness.methods.base import Trial, method
from harness.methods.sources import Training, refuse_peeking, source_weights, trained, training
from harness.methods.views import as_seen
from harness.training.augmentation import Augmentation, check_augment
from harness.training.predictions import measure, predict, predicted_splits
from harness.training.settings import Schedule
from harness.training.stages import adapt, evaluate


@method("fine_tune")
def fine_tune(
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
    keep_predictions: bool = False,
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
    """Train on from the source's weights; without a source, train from nothing on the target alone.

    epochs, when given, decides instead of steps. head: a fresh one, or the source's where the classes are as many.
    augment: how pictures are changed at every step, in turn.  keep_predictions: measure the network by its logits,
    which then stay in the store for ensembles and further metrics; the network itself does not.  metrics: what is
    measured of kept predictions beside the task's own metric.
    """
    if metrics and not keep_predictions:
        raise HarnessError("further metrics are measured of kept predictions: set keep_predictions: true")
    trial = as_seen(trial)
    how = training(
        shots, steps, epochs, batch_size, optimiser, lr, momentum, weight_decay, schedule, clip,
        milestones=milestones, decay=decay, augment=augment,
    )  # fmt: skip
    init = source_weights(
        trial,
        training(
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
        ),
    )
    if init is None:
        net = trained(trial, trial.target, how, trial.fit_splits, trial.seed)
    else:
        net = adapted(trial, init, how, head)
    if keep_predictions:
        made = predictions_by(trial, net)
        return measure.bind(task=trial.target, predictions=made, splits=trial.eval_splits, metrics=metrics)
    return evaluate.bind(
        task=trial.target, weights=net, backbone=trial.backbone, splits=trial.eval_splits, numerics=trial.numerics
    )


def predictions_by(trial: Trial, net: Stage) -> Stage:
    """Describe what a network that learnt from the trial's target predicts on the target's other splits."""
    return predict.bind(
        task=trial.target,
        weights=net,
        backbone=trial.backbone,
        splits=predicted_splits(trial.target, trial.fit_splits, trial.eval_splits),
        numerics=trial.numerics,
    )


def adapted(trial: Trial, init: Stage, how: Training, head: str) -> Stage:
    """Describe the training of the source's weights on the trial's target."""
    refuse_peeking(trial, trial.fit_splits)
    check_augment(trial.target, how.augment)
    return adapt.bind(
        task=trial.target,
        init=init,
        backbone=trial.backbone,
        budget=how.budget,
        optimiser=how.optimiser,
        shots=how.shots,
        splits=trial.fit_splits,
        head=head,
        rule=trial.checkpoint,
        numerics=trial.numerics,
        seed=trial.seed,
        augment=how.augment,
    )
