"""What a frozen vision-language model makes of pictures and class names, computed once; and how the model is loaded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from harness.backbones.base import Backbone
from harness.backbones.clip import Clip, VisionLanguage, with_weights
from harness.backbones.clip_texts import readable
from harness.backbones.clip_towers import encode_picture_tokens, encode_text_embeddings, token_embeddings
from harness.errors import HarnessError
from harness.graph import BatchContext, Features, StageContext, Weights, stage
from harness.tasks.base import Task
from harness.training.alone import one_by_one
from harness.training.data import Cache, load_split
from harness.training.numerics import applied, parameter_type
from harness.training.rules import STANDARD_NUMERICS, Numerics

if TYPE_CHECKING:
    import torch
    from torch import Tensor

WIDTH: Final = 8
MOST_NUMBERS: Final = 2**20
"""Numbers of pictures that a tower sees at a time."""
MOST_TEXTS: Final = 256


def load_clip(backbone: Backbone, weights: Weights | None, numerics: Numerics, device: str, cache: Cache) -> Clip:
    """Return a frozen model, loaded once a worker. Raises HarnessError for a backbone that is no such model."""
    if not isinstance(backbone, VisionLanguage):
        raise HarnessError(f"{backbone.name} has no text tower: prompts need a vision-language model such as `clip`")
    kind = parameter_type(numerics)
    identity = json.dumps(backbone.identity(), sort_keys=True)
    key = ("clip", identity, None if weights is None else fingerprint(weights), str(kind), device)
    return cache.cached(
        key, lambda: with_weights(backbone.load(None if weights is None else weights.tensors), kind, device)
    )


def fingerprint(weights: Weights) -> str:
    """Return a digest of what tells one training's weights from another's: sums and first numbers of each tensor."""
    digest = hashlib.sha256()
    for name in sorted(weights.tensors):
        tensor = weights.tensors[name].flatten().double()
        digest.update(f"{name} {tensor.numel()} {float(tensor.sum())!r} {float(tensor.square().sum())!r}".encode())
    return digest.hexdigest()


@stage(version=1, keep="cache")
def picture_features(
    task: Task,
    split: str,
    backbone: Backbone,
    clip: Weights | None = None,
    numerics: Numerics = STANDARD_NUMERICS,
    *,
    ctx: StageContext,
) -> Features:
    """Return the unit embeddings of one split's pictures: `features` [n, joint], and `labels`.

    clip: weights for a backbone that comes without. Prompts of text leave these as they are, so all read them.
    """
    model = load_clip(backbone, clip, numerics, ctx.device, ctx)
    flags = checked(backbone, task)
    data = load_split(task, split, ctx)
    with applied(numerics, ctx.device):
        found = [_embedded(model, piece) for piece in pieces(data.inputs, ctx.device, parameter_type(numerics))]
    import torch

    header = {"task": task.name, "split": split, "flags": list(flags)}
    return Features({"features": torch.cat(found), "labels": data.labels}, header)


def _group(arguments: Mapping[str, Any]) -> Hashable:
    return arguments["backbone"], arguments["numerics"]


@picture_features.batched(width=WIDTH, group=_group)
def picture_features_batch(members: Sequence[Mapping[str, Any]], ctx: BatchContext) -> Sequence[Features | Exception]:
    """Encode the pictures of several splits in one call, one after the other."""
    return one_by_one(picture_features, members, ctx)


@stage(version=1, keep="cache")
def class_features(
    names: tuple[str, ...],
    template: str,
    backbone: Backbone,
    clip: Weights | None = None,
    numerics: Numerics = STANDARD_NUMERICS,
    *,
    ctx: StageContext,
) -> Features:
    """Return the unit embeddings of class names in a sentence: `features` [classes, joint]; and `scale`, of cosines."""
    import torch

    model = load_clip(backbone, clip, numerics, ctx.device, ctx)
    sentences = [template.format(readable(name)) for name in names]
    found = []
    with applied(numerics, ctx.device), torch.no_grad():
        for start in range(0, len(sentences), MOST_TEXTS):
            tokens, ends = (item.to(ctx.device) for item in model.texts.whole(sentences[start : start + MOST_TEXTS]))
            found.append(encode_text_embeddings(model.model, token_embeddings(model.model, tokens), ends))
        unit = torch.nn.functional.normalize(torch.cat(found), dim=-1).float().cpu()
        scale = model.scale.detach().float().cpu().view(1)
    return Features({"features": unit, "scale": scale}, {"names": list(names), "template": template, "flags": []})


@class_features.batched(width=WIDTH, group=_group)
def class_features_batch(members: Sequence[Mapping[str, Any]], ctx: BatchContext) -> Sequence[Features | Exception]:
    """Encode the class names of several tasks in one call, one after the other."""
    return one_by_one(class_features, members, ctx)


def checked(backbone: Backbone, task: Task) -> tuple[str, ...]:
    """Return the flags of a task's pictures; raises HarnessError when the model does not read them."""
    assert isinstance(backbone, VisionLanguage)
    return tuple(backbone.check(task.input_shape))


def pieces(inputs: Any, device: str, kind: torch.dtype) -> Iterator[Tensor]:
    """Read pictures [n, ...] a piece at a time."""
    size = max(1, MOST_NUMBERS // max(1, int(inputs[:1].numel())))
    for start in range(0, len(inputs), size):
        yield inputs[start : start + size].to(device, kind)


def _embedded(model: Clip, pictures: Tensor) -> Tensor:
    import torch

    with torch.no_grad():
        encoded = encode_picture_tokens(model.model, model.tokens_of(pictures))
        return torch.nn.functional.normalize(encoded, dim=-1).float().cpu()
