"""Features of a trial's target under its source, shared by all that reads them."""

from __future__ import annotations

from harness.backbones.base import Untrained
from harness.backbones.pretrained import Pretrained
from harness.graph import Stage
from harness.methods.base import Trial
from harness.training.features import extract_features


def features_of(trial: Trial, weights: Stage | None, split: str) -> Stage:
    """Describe the features of one split of the target; without weights they are the inputs, whatever the backbone.

    A pre-trained backbone that was not trained further is one network, whatever the seed.
    """
    if isinstance(trial.source, Untrained) and isinstance(trial.backbone, Pretrained):
        return extract_features.bind(task=trial.target, split=split, backbone=trial.backbone, numerics=trial.numerics)
    if weights is None:
        return extract_features.bind(task=trial.target, split=split)
    return extract_features.bind(
        task=trial.target, split=split, weights=weights, backbone=trial.backbone, numerics=trial.numerics
    )
