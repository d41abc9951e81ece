"""Linear probe with its regularisation chosen on validation: a path of strengths in one stage."""

from __future__ import annotations

from typing import Literal

from harness.graph import Stage
from harness.methods.base import Trial, method
from harness.methods.features import features_of
from harness.methods.sources import source_weights, training
from harness.methods.views import as_seen
from harness.training.augmentation import Augmentation
from harness.training.probe import evaluate_probe
from harness.training.probe_path import STRENGTHS, fit_probe_path
from harness.training.settings import Schedule


@method("probe_path")
def probe_path(
    trial: Trial,
    *,
    shots: int | Literal["all"] = "all",
    strengths: tuple[float, ...] = STRENGTHS,
    select_on: str = "val",
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
    """Fit logistic regressions on frozen features over a path of strengths and measure the best of validation.

    strengths: l2 in units of the features' total variance, so that one list serves every network.  select_on: the
    split that chooses. Without a source the features are the inputs.
    """
    seen = as_seen(trial)
    weights = source_weights(
        seen,
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
    probe = fit_probe_path.bind(
        task=seen.target,
        features=tuple(features_of(seen, weights, split) for split in seen.fit_splits),
        validation=features_of(seen, weights, select_on),
        shots=shots,
        strengths=strengths,
        seed=seen.seed,
    )
    return evaluate_probe.bind(
        task=seen.target,
        probe=probe,
        features=tuple(features_of(seen, weights, split) for split in seen.eval_splits),
    )
