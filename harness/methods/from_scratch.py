"""Training on the target alone: the baseline that transfer has to beat."""

from __future__ import annotations

from typing import Literal

from harness.graph import Stage
from harness.methods.base import Trial, method
from harness.methods.sources import trained, training
from harness.methods.views import as_seen
from harness.training.augmentation import Augmentation
from harness.training.rules import Watch
from harness.training.scores import score_curve
from harness.training.settings import Schedule
from harness.training.stages import evaluate


@method("from_scratch", reads=("target", "backbone", "seed"))
def from_scratch(
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
    clip: float | None = None,
    flops: float | None = None,
    milestones: tuple[float, ...] = (),
    decay: float = 0.1,
    bias_lr: float = 1.0,
    decay_biases: bool = True,
    evaluate_every: int | None = None,
    augment: tuple[Augmentation, ...] = (),
) -> Stage:
    """Train the backbone on the target from its initial weights; reads no source.

    The parameters are fine-tuning's, so with equal settings this is fine-tuning from no source: the same stages.
    evaluate_every: steps between evaluations on the way, whose curve gives further scores.  augment: how pictures are
    changed at every step, in turn.
    """
    trial = as_seen(trial)
    how = training(
        shots,
        steps,
        epochs,
        batch_size,
        optimiser,
        lr,
        momentum,
        weight_decay,
        schedule,
        clip,
        flops=flops,
        milestones=milestones,
        decay=decay,
        bias_lr=bias_lr,
        decay_biases=decay_biases,
        augment=augment,
    )
    watch = None if evaluate_every is None else Watch(trial.eval_splits, evaluate_every)
    net = trained(trial, trial.target, how, trial.fit_splits, trial.seed, watch)
    if watch is not None:
        return score_curve.bind(task=trial.target, weights=net)
    return evaluate.bind(
        task=trial.target, weights=net, backbone=trial.backbone, splits=trial.eval_splits, numerics=trial.numerics
    )
