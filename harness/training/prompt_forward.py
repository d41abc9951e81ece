"""Prompts at work: initial values, and the logits of a stack of prompts through one frozen model.

Every tensor of a prompt is [width, ...], one row a member. Members lie side by side in the batch of the frozen towers;
no number of one member is ever added to another's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from harness.backbones.clip import Clip
from harness.backbones.clip_texts import ClassTexts, class_texts
from harness.backbones.clip_towers import (
    encode_picture_tokens,
    encode_text_embeddings,
    encode_text_with_shared_prefix,
    token_embeddings,
)
from harness.training.prompt_settings import Prompt

if TYPE_CHECKING:
    import torch
    from torch import Tensor

CONTEXT_SPREAD: Final = 0.02
"""Standard deviation of the initial context."""

SHARING_PAYS: Final = 256
"""Width of a text tower from which a common beginning is computed once: below, the extra calls cost more."""


@dataclass(frozen=True)
class LaidOut:
    """The classes' texts as embeddings [classes, length, width], zero where context goes; and where it goes."""

    embedded: Tensor
    texts: ClassTexts

    @property
    def classes(self) -> int:
        """Their number."""
        return len(self.embedded)


def lay_out(clip: Clip, names: Sequence[str], prompt: Prompt) -> LaidOut:
    """Return the texts of classes with room for the prompt's context."""
    texts = class_texts(clip.texts, names, prompt.context, prompt.position)
    weight = clip.model.text_projection.weight
    place = texts.place.to(weight.device, weight.dtype)
    embedded = token_embeddings(clip.model, texts.tokens.to(weight.device))
    embedded = embedded * (1 - place.sum(-1, keepdim=True))
    return LaidOut(embedded, ClassTexts(texts.tokens, place, texts.ends.to(weight.device), texts.shared))


def initial(prompt: Prompt, clip: Clip, classes: int, generator: torch.Generator) -> dict[str, Tensor]:
    """Return the initial values of one prompt, by name, float32.

    Context: normal with deviation .02 (CoOp). Tokens beside patches of p pixels and width d: uniform up to
    sqrt(6 / (3 p^2 + d)) (VPT). Linear maps: uniform up to 1 / sqrt(inputs).
    """
    import torch

    made: dict[str, Tensor] = {}
    if prompt.of_text:
        rows = (classes, prompt.context) if prompt.class_specific else (prompt.context,)
        made["context"] = CONTEXT_SPREAD * torch.randn(*rows, clip.text_width, generator=generator)
    if prompt.of_pictures:
        most = math.sqrt(6 / (3 * clip.patch**2 + clip.vision_width))
        blocks = clip.vision_depth if prompt.deep else 1
        uniform = torch.rand(blocks, prompt.visual, clip.vision_width, generator=generator)
        made["visual"] = (2 * uniform - 1) * most
    for name, inputs, outputs in _linear_maps(prompt, clip):
        bound = 1 / math.sqrt(inputs)
        made[f"{name}.weight"] = (2 * torch.rand(outputs, inputs, generator=generator) - 1) * bound
        made[f"{name}.bias"] = (2 * torch.rand(outputs, generator=generator) - 1) * bound
    if prompt.kind == "upt":
        for name in ("norm1", "norm2"):
            made[f"{name}.weight"], made[f"{name}.bias"] = torch.ones(prompt.width), torch.zeros(prompt.width)
    return made


def _linear_maps(prompt: Prompt, clip: Clip) -> list[tuple[str, int, int]]:
    """Name, inputs and outputs of the linear maps of a prompt."""
    if prompt.kind == "cocoop":
        hidden = max(1, clip.joint // 16)
        return [("first", clip.joint, hidden), ("second", hidden, clip.text_width)]
    if prompt.kind != "upt":
        return []
    width = prompt.width
    return [
        ("text_down", clip.text_width, width),
        ("visual_down", clip.vision_width, width),
        ("attention_in", width, 3 * width),
        ("attention_out", width, width),
        ("inner", width, 4 * width),
        ("outer", 4 * width, width),
        ("text_up", width, clip.text_width),
        ("visual_up", width, clip.vision_width),
    ]


def generated(prompt: Prompt, parameters: Mapping[str, Tensor]) -> tuple[Tensor | None, Tensor | None]:
    """Return context [width, (classes,) context, text width] and tokens beside patches [width, blocks, visual, _]."""
    if prompt.kind == "upt":
        return _unified(prompt, parameters)
    return parameters.get("context"), parameters.get("visual")


def _unified(prompt: Prompt, parameters: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """One pre-norm transformer block with one head over the tokens of both towers, brought to one width and back."""
    import torch

    context, visual = parameters["context"], parameters["visual"]
    words, beside = context.flatten(1, -2), visual.flatten(1, 2)
    tokens = torch.cat([_linear(parameters, "text_down", words), _linear(parameters, "visual_down", beside)], dim=1)
    normed = _norm(parameters, "norm1", tokens)
    queries, keys, values = _linear(parameters, "attention_in", normed).chunk(3, dim=-1)
    if prompt.mixing == "cross_token":
        shares = torch.softmax(queries @ keys.transpose(1, 2) / math.sqrt(prompt.width), dim=-1)
        values = shares @ values
    tokens = tokens + _linear(parameters, "attention_out", values)
    inner = _linear(parameters, "inner", _norm(parameters, "norm2", tokens))
    tokens = tokens + _linear(parameters, "outer", inner * torch.sigmoid(1.702 * inner))
    cut = words.shape[1]
    return (
        _linear(parameters, "text_up", tokens[:, :cut]).view_as(context),
        _linear(parameters, "visual_up", tokens[:, cut:]).view_as(visual),
    )


def _linear(parameters: Mapping[str, Tensor], name: str, inputs: Tensor) -> Tensor:
    """Each member's own linear map of inputs [width, n, inputs]."""
    weight, bias = parameters[f"{name}.weight"], parameters[f"{name}.bias"]
    return inputs @ weight.transpose(1, 2) + bias.unsqueeze(1)


def _norm(parameters: Mapping[str, Tensor], name: str, inputs: Tensor) -> Tensor:
    import torch

    weight, bias = parameters[f"{name}.weight"].unsqueeze(1), parameters[f"{name}.bias"].unsqueeze(1)
    return torch.nn.functional.layer_norm(inputs, inputs.shape[-1:]) * weight + bias


def text_weights(clip: Clip, laid: LaidOut, context: Tensor, *, share: bool | None = None) -> Tensor:
    """Return the unit embeddings of classes under each member's context: [width, classes, joint].

    context: [width, context, _], or [width, classes, context, _] where each class has its own.  share: whether the
    beginning that texts have in common is computed once; None decides by the width of the tower.
    """
    import torch

    placed = _placed(laid, context)
    width, classes = placed.shape[:2]
    shared = laid.texts.shared if context.ndim == 3 else 1
    if share if share is not None else clip.text_width >= SHARING_PAYS:
        encoded = encode_text_with_shared_prefix(
            clip.model, placed[:, 0, :shared], placed[:, :, shared:], laid.texts.ends - shared
        )
    else:
        flat = encode_text_embeddings(clip.model, placed.flatten(0, 1), laid.texts.ends.repeat(width))
        encoded = flat.view(width, classes, -1)
    return torch.nn.functional.normalize(encoded, dim=-1)


def _placed(laid: LaidOut, context: Tensor) -> Tensor:
    """The texts with context in its places: [width, classes, length, text width]."""
    classes, length = laid.embedded.shape[:2]
    if context.ndim == 3:
        put = (laid.texts.place.flatten(0, 1) @ context).view(-1, classes, length, context.shape[-1])
    else:
        put = laid.texts.place @ context
    placed: Tensor = laid.embedded + put
    return placed


def picture_embeddings(clip: Clip, tokens: Tensor, visual: Tensor) -> Tensor:
    """Return the unit embeddings of pictures under each member's tokens beside the patches: [width, n, joint].

    tokens: [width, n, 1 + patches, _], what enters the first block.
    """
    import torch

    width, count = tokens.shape[:2]
    prompts = visual.unsqueeze(1).expand(-1, count, -1, -1, -1).flatten(0, 1)
    encoded = encode_picture_tokens(clip.model, tokens.flatten(0, 1), prompts)
    return torch.nn.functional.normalize(encoded, dim=-1).view(width, count, -1)


def logits(
    prompt: Prompt,
    clip: Clip,
    parameters: Mapping[str, Tensor],
    pictures: Tensor,
    classes: LaidOut | Tensor,
    *,
    share: bool | None = None,
) -> Tensor:
    """Return the logits [width, n, classes] of pictures under each member's prompt.

    pictures: unit embeddings [width, n, joint] where they do not depend on the prompt, else what enters the first
    block, [width, n, 1 + patches, _].  classes: their texts laid out, or their unit embeddings [classes, joint].
    """
    return classifier(prompt, clip, parameters, classes, share=share)(pictures)


def classifier(
    prompt: Prompt,
    clip: Clip,
    parameters: Mapping[str, Tensor],
    classes: LaidOut | Tensor,
    *,
    share: bool | None = None,
) -> Callable[[Tensor], Tensor]:
    """Return the function from pictures to logits; texts that do not depend on a picture are encoded once for all."""
    context, visual = generated(prompt, parameters)
    if prompt.kind == "cocoop":
        assert isinstance(classes, LaidOut) and context is not None
        laid, base = classes, context
        return lambda pictures: _conditional(clip, parameters, base, pictures, laid, share)
    if isinstance(classes, LaidOut):
        assert context is not None
        weights = text_weights(clip, classes, context, share=share)
    else:
        weights = classes.expand(len(next(iter(parameters.values()))), -1, -1)

    def classify(pictures: Tensor) -> Tensor:
        seen = pictures if visual is None else picture_embeddings(clip, pictures, visual)
        result: Tensor = clip.scale * seen @ weights.transpose(1, 2)
        return result

    return classify


def _conditional(
    clip: Clip,
    parameters: Mapping[str, Tensor],
    context: Tensor,
    pictures: Tensor,
    laid: LaidOut,
    share: bool | None,
) -> Tensor:
    """Context shifted for each picture by what a small network makes of its embedding: texts for every picture."""
    import torch

    shift = _linear(parameters, "second", torch.relu(_linear(parameters, "first", pictures)))
    extra = (1,) * (context.ndim - 2)
    shifted = context.unsqueeze(1) + shift.view(*shift.shape[:2], *extra, shift.shape[-1])
    weights = text_weights(clip, laid, shifted.flatten(0, 1), share=share)
    weights = weights.view(*pictures.shape[:2], *weights.shape[1:])
    result: Tensor = clip.scale * (pictures.unsqueeze(2) @ weights.transpose(2, 3)).squeeze(2)
    return result
