"""Linear probe: the source's network stays as it is, only a linear map on its features is fitted."""

from __future__ import annotations

from typing import Literal

from harness.graph import Stage
from harness.methods.base import Trial, method
from harness.methods.features import features_of
from harness.methods.sources import source_weights, training
from harness.methods.views import as_seen
from harness.training.augmentation import Augmentation
from harness.training.probe import evaluate_probe, fit_probe
from harness.training.settings import Schedule


@method("linear_probe")
def linear_probe(
    trial: Trial,
    *,
    shots: int | Literal["all"] = "all",
    l2: float = 0.01,
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
    """Fit a logistic regression on frozen features to its optimum; without a source, on the inputs themselves.

    l2: weight of half the squared weights beside the mean loss (scikit-learn's C = 1 / (n l2)).
    """
    trial = as_seen(trial)
    weights = source_weights(
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
    probe = fit_probe.bind(
        task=trial.target,
        features=tuple(features_of(trial, weights, split) for split in trial.fit_splits),
        shots=shots,
        l2=l2,
        seed=trial.seed,
    )
    return evaluate_probe.bind(
        task=trial.target,
        probe=probe,
        features=tuple(features_of(trial, weights, split) for split in trial.eval_splits),
    )
