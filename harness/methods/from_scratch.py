"""Training on the target alone: the baseline that transfer has to beat."""

from __future__ import annotations

from typing import Literal

from harness.graph import Stage
from harness.methods.base import Trial, method
from harness.methods.sources import trained, training
from harness.methods.views import as_seen
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
    schedule: Literal["constant", "cosine"] = "cosine",
    clip: float | None = None,
) -> Stage:
    """Train the backbone on the target from its initial weights; reads no source.

    The parameters are fine-tuning's, so with equal settings this is fine-tuning from no source: the same stages.
    """
    trial = as_seen(trial)
    how = training(shots, steps, epochs, batch_size, optimiser, lr, momentum, weight_decay, schedule, clip)
    net = trained(trial, trial.target, how, trial.fit_splits, trial.seed)
    return evaluate.bind(
        task=trial.target, weights=net, backbone=trial.backbone, splits=trial.eval_splits, numerics=trial.numerics
    )
