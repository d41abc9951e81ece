"""Stages for weights that exist already: in a file, or as an artifact of an earlier study."""

from __future__ import annotations

import dataclasses
from typing import Any, cast

from harness.backbones.base import Backbone, Checkpoint, file_sha256
from harness.backbones.pretrained import Pretrained
from harness.errors import HarnessError
from harness.graph import Stage, Weights, stage


def checkpoint_weights(checkpoint: Checkpoint, backbone: Backbone | None = None) -> Stage:
    """Describe the weights of a checkpoint: a file to load, what the store already has under a key, or published ones.

    The latter are named by the backbone and, as the revision, the weights that it comes with: `efficientnet_lite0`,
    `imagenet`. So a study can use them as a source beside a backbone that is itself without weights.
    Raises HarnessError for another name, which needs a backbone that knows how to fetch it.
    """
    if backbone is not None and checkpoint.name == backbone.name and "weights" in backbone.options:
        return published_weights.bind(backbone=dataclasses.replace(cast(Any, backbone), weights=checkpoint.revision))
    if checkpoint.artifact is not None:
        described = stored_weights.bind(key=checkpoint.artifact)
        return Stage(described.kind, described.values, checkpoint.artifact)
    if checkpoint.path is None:
        raise HarnessError(f"checkpoint {checkpoint}: this backbone loads weights from files and artifacts only")
    return load_checkpoint.bind(checkpoint=checkpoint)


@stage(version=1, keep="cache")
def published_weights(backbone: Backbone) -> Weights:
    """Return the weights that a backbone comes with. Raises HarnessError when it comes without."""
    if not isinstance(backbone, Pretrained):
        raise HarnessError(f"{backbone.name} comes without weights")
    return Weights(dict(backbone.published()), {"task": f"{backbone.name} as published", "flags": []})


@stage(version=1, keep="transient")
def load_checkpoint(checkpoint: Checkpoint) -> Weights:
    """Read weights from a safetensors file, after checking that it is still the file that the study named.

    Raises HarnessError when it changed or is no safetensors file.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = str(checkpoint.path)
    if file_sha256(path) != checkpoint.sha256:
        raise HarnessError(f"checkpoint {path} is not the file it was when the study was planned")
    try:
        return Weights(load_file(path), {"task": str(checkpoint), "flags": []})
    except SafetensorError as error:
        raise HarnessError(f"checkpoint {path} is not a safetensors file: {error}") from error


@stage(version=1, keep="durable")
def stored_weights(key: str) -> Weights:
    """Stand for an artifact that another study left in the store; it is read, so this never runs.

    Raises HarnessError: that it runs means that the store has no such artifact.
    """
    raise HarnessError(f"this results store has no weights under the key {key}")
