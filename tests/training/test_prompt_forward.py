"""Prompts at work, against the library's text tower with embeddings replaced, torch's own attention, and loops."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from harness.backbones.clip import Clip
from harness.training.networks import stack
from harness.training.prompt_forward import (
    LaidOut,
    classifier,
    generated,
    initial,
    lay_out,
    logits,
    picture_embeddings,
    text_weights,
)
from harness.training.prompt_settings import Prompt
from tests.training.prompt_toys import clip, squares

NAMES = ("red", "dark grey stripes", "nothing at all")
CLIP = clip()


def draws(prompt: Prompt, width: int = 3, classes: int = len(NAMES)) -> dict[str, Tensor]:
    """Prompts of several members, large enough to matter."""
    members = [initial(prompt, CLIP, classes, torch.Generator().manual_seed(seed)) for seed in range(width)]
    return {name: tensor + 0.3 * torch.randn(tensor.shape, generator=torch.Generator().manual_seed(9))
            for name, tensor in stack(members).items()}  # fmt: skip


def unit(tensor: Tensor) -> Tensor:
    return torch.nn.functional.normalize(tensor, dim=-1)


def tokens(count: int = 4) -> Tensor:
    return CLIP.tokens_of(squares().split("train").inputs[:count])


def pictures(count: int = 4) -> Tensor:
    return unit(torch.randn(count, CLIP.joint, generator=torch.Generator().manual_seed(3)))


def one(prompts: Mapping[str, Tensor], member: int) -> dict[str, Tensor]:
    return {name: tensor[member : member + 1] for name, tensor in prompts.items()}


def by_the_library(laid: LaidOut, context: Tensor) -> Tensor:
    """The library's own text features, its token embeddings replaced where context stands; context [classes, M, _]."""

    def replaced(_module: Any, _inputs: Any, embedded: Tensor) -> Tensor:
        result = embedded.clone()
        for row, place in enumerate(laid.texts.place):
            for position, slots in enumerate(place):
                if slots.any():
                    result[row, position] = context[row, int(slots.argmax())]
        return result

    embedding = CLIP.model.text_model.embeddings.token_embedding
    handle = embedding.register_forward_hook(replaced)
    try:
        # The library looks for the first end: none may stand where context does.
        numbers = torch.where(laid.texts.place.sum(-1) > 0, 5, laid.texts.tokens)
        found = CLIP.model.get_text_features(input_ids=numbers)
    finally:
        handle.remove()
    return unit(found if isinstance(found, Tensor) else found.pooler_output)


@pytest.mark.parametrize("position", ["end", "middle"])
@pytest.mark.parametrize("class_specific", [False, True])
@pytest.mark.parametrize("share", [False, True])
@torch.no_grad()
def test_context_is_seen_by_the_text_tower_where_it_stands(position: Any, class_specific: bool, share: bool) -> None:
    prompt = Prompt("coop", context=4, position=position, class_specific=class_specific)
    prompts, laid = draws(prompt), lay_out(CLIP, NAMES, prompt)
    found = text_weights(CLIP, laid, prompts["context"], share=share)
    for member in range(3):
        own = prompts["context"][member]
        expected = by_the_library(laid, own if class_specific else own.expand(len(NAMES), -1, -1))
        torch.testing.assert_close(found[member], expected, rtol=1e-5, atol=1e-6)


def test_gradients_of_context_are_the_same_whether_its_beginning_is_shared() -> None:
    prompt = Prompt("coop", context=4, position="end")
    laid = lay_out(CLIP, NAMES, prompt)
    found = []
    for share in (False, True):
        context = draws(prompt)["context"].requires_grad_()
        scores = logits(prompt, CLIP, {"context": context}, pictures().expand(3, -1, -1), laid, share=share)
        found.append(torch.autograd.grad(scores.square().sum(), context)[0])
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-5 * float(found[0].abs().max()))


@torch.no_grad()
def test_logits_are_scaled_cosines() -> None:
    prompt = Prompt("coop", context=2)
    prompts, laid = draws(prompt), lay_out(CLIP, NAMES, prompt)
    found = logits(prompt, CLIP, prompts, pictures().expand(3, -1, -1), laid)
    weights = text_weights(CLIP, laid, prompts["context"])
    for member in range(3):
        cosines = torch.nn.functional.cosine_similarity(pictures()[:, None], weights[member][None], dim=-1)
        torch.testing.assert_close(found[member], math.exp(2.0) * cosines, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_cocoop_is_coop_with_a_context_of_its_own_for_every_picture() -> None:
    prompt = Prompt("cocoop", context=2)
    prompts, laid = draws(prompt), lay_out(CLIP, NAMES, prompt)
    seen = pictures()
    found = logits(prompt, CLIP, prompts, seen.expand(3, -1, -1), laid)
    plain = Prompt("coop", context=2)
    for member in range(3):
        own = {name: tensor[member] for name, tensor in prompts.items()}
        for row, picture in enumerate(seen):
            hidden = torch.relu(own["first.weight"] @ picture + own["first.bias"])
            shift = own["second.weight"] @ hidden + own["second.bias"]
            shifted = {"context": (own["context"] + shift)[None]}
            expected = logits(plain, CLIP, shifted, picture[None, None], laid)
            torch.testing.assert_close(found[member, row], expected[0, 0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("deep", [True, False])
@torch.no_grad()
def test_tokens_beside_patches_belong_to_their_member(deep: bool) -> None:
    prompt = Prompt("vpt", visual=3, deep=deep)
    prompts = draws(prompt)
    assert prompts["visual"].shape == (3, 2 if deep else 1, 3, 16)
    together = picture_embeddings(CLIP, tokens().expand(3, -1, -1, -1), prompts["visual"])
    for member in range(3):
        alone = picture_embeddings(CLIP, tokens()[None], one(prompts, member)["visual"])
        torch.testing.assert_close(together[member], alone[0], rtol=1e-5, atol=1e-6)
    assert not torch.allclose(together[0], together[1], atol=1e-3)


# --- the unified prompt ---------------------------------------------------------------------------------------------


@torch.no_grad()
def test_the_unified_prompt_is_torchs_attention_block() -> None:
    """Against torch.nn.MultiheadAttention and LayerNorm, with the same weights."""
    prompt = Prompt("upt", context=2, visual=3, width=8)
    prompts = draws(prompt, width=1)
    own = {name: tensor[0] for name, tensor in prompts.items()}
    linear = torch.nn.functional.linear
    words = linear(own["context"], own["text_down.weight"], own["text_down.bias"])
    beside = linear(own["visual"].flatten(0, 1), own["visual_down.weight"], own["visual_down.bias"])
    sequence = torch.cat([words, beside])
    attention = torch.nn.MultiheadAttention(8, 1)
    attention.in_proj_weight.copy_(own["attention_in.weight"])
    attention.in_proj_bias.copy_(own["attention_in.bias"])
    attention.out_proj.weight.copy_(own["attention_out.weight"])
    attention.out_proj.bias.copy_(own["attention_out.bias"])
    normed = torch.nn.functional.layer_norm(sequence, (8,), own["norm1.weight"], own["norm1.bias"])
    sequence = sequence + attention(normed, normed, normed)[0]
    normed = torch.nn.functional.layer_norm(sequence, (8,), own["norm2.weight"], own["norm2.bias"])
    inner = linear(normed, own["inner.weight"], own["inner.bias"])
    sequence = sequence + linear(inner * torch.sigmoid(1.702 * inner), own["outer.weight"], own["outer.bias"])
    context, visual = generated(prompt, prompts)
    assert context is not None and visual is not None
    expected = linear(sequence[:2], own["text_up.weight"], own["text_up.bias"])
    torch.testing.assert_close(context[0], expected, rtol=1e-5, atol=1e-6)
    expected = linear(sequence[2:], own["visual_up.weight"], own["visual_up.bias"]).view(2, 3, 16)
    torch.testing.assert_close(visual[0], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("mixing", "mixes"), [("cross_token", True), ("per_token", False)])
@torch.no_grad()
def test_only_cross_token_lets_pictures_prompts_reach_the_texts(mixing: Any, mixes: bool) -> None:
    prompt = Prompt("upt", context=2, visual=3, width=8, mixing=mixing)
    prompts = draws(prompt)
    before = generated(prompt, prompts)[0]
    after = generated(prompt, {**prompts, "visual": prompts["visual"] + 1.0})[0]
    assert before is not None and after is not None
    change = float((after - before).abs().max())
    assert change > 1e-4 if mixes else change == 0.0


@torch.no_grad()
def test_attention_to_oneself_alone_is_a_sequence_of_one_token() -> None:
    """What a batch-first tensor in a sequence-first block does: every token is a sequence by itself."""
    prompt = Prompt("upt", context=2, visual=3, width=8, mixing="per_token")
    prompts = draws(prompt, width=1)
    whole = generated(prompt, prompts)[0]
    crossing = Prompt("upt", context=1, visual=3, width=8, mixing="cross_token")
    # With one token of text and none beside it that is attended to, attention is the token's own value.
    single = {**prompts, "context": prompts["context"][:, :1], "visual": prompts["visual"][:, :0]}
    alone = generated(crossing, single)[0]
    assert whole is not None and alone is not None
    torch.testing.assert_close(whole[:, :1], alone, rtol=1e-5, atol=1e-6)


# --- members and neighbours -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("prompt", [
    Prompt("coop", context=2), Prompt("cocoop", context=2), Prompt("vpt", visual=2), Prompt("upt", context=2, visual=2),
], ids=lambda prompt: prompt.kind)  # fmt: skip
def test_a_members_gradient_depends_on_nothing_of_its_neighbours(prompt: Prompt) -> None:
    """Bit for bit at one width: other neighbours, another place, and neighbours that are not numbers."""
    laid: Any = lay_out(CLIP, NAMES, prompt) if prompt.of_text else unit(pictures(3))
    prompts = draws(prompt, width=4)
    inputs = (tokens() if prompt.of_pictures else pictures()).expand(4, *[-1] * (3 if prompt.of_pictures else 2))

    def gradient(order: list[int], poison: bool = False) -> dict[str, Tensor]:
        leaves = {name: tensor[order].clone() for name, tensor in prompts.items()}
        if poison:
            for tensor in leaves.values():
                tensor[1:] = torch.nan
        leaves = {name: tensor.requires_grad_() for name, tensor in leaves.items()}
        scores = logits(prompt, CLIP, leaves, inputs, laid)
        loss = torch.nn.functional.cross_entropy(
            scores.flatten(0, 1), torch.tensor([0, 1, 2, 0] * 4), reduction="none"
        ).view(4, 4).mean(1)  # fmt: skip
        found = torch.autograd.grad(loss.sum(), list(leaves.values()))
        return dict(zip(leaves, found, strict=True))

    plain = gradient([0, 1, 2, 3])
    turned, poisoned = gradient([3, 2, 1, 0]), gradient([0, 1, 2, 3], poison=True)
    for name, tensor in plain.items():
        assert torch.equal(tensor[0], turned[name][3]) and torch.equal(tensor[2], turned[name][1])
        assert torch.equal(tensor[0], poisoned[name][0])
        assert bool((tensor[0] != 0).any())


def test_stacking_under_vmap_gives_the_same_logits() -> None:
    prompt = Prompt("coop", context=2, position="middle")
    laid, prompts, seen = lay_out(CLIP, NAMES, prompt), draws(prompt), pictures()

    def single(own: dict[str, Tensor]) -> Tensor:
        return logits(prompt, CLIP, {name: tensor[None] for name, tensor in own.items()}, seen[None], laid)[0]

    expected = logits(prompt, CLIP, prompts, seen.expand(3, -1, -1), laid)
    torch.testing.assert_close(torch.func.vmap(single)(prompts), expected, rtol=1e-5, atol=1e-5)


# --- initial values -------------------------------------------------------------------------------------------------

VIT_B16 = cast(Clip, SimpleNamespace(text_width=512, vision_width=768, vision_depth=12, patch=16, joint=512))


@pytest.mark.parametrize(
    ("prompt", "numbers"),
    [
        (Prompt("coop", context=16), 8_192),
        (Prompt("vpt", visual=16), 147_456),
        (Prompt("upt", context=4, visual=4), 566_400),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else value.kind,
)
def test_as_many_numbers_are_learned_as_mvlpt_learns(prompt: Prompt, numbers: int) -> None:
    made = initial(prompt, VIT_B16, 10, torch.Generator().manual_seed(0))
    assert sum(tensor.numel() for tensor in made.values()) == numbers


def test_initial_values_are_spread_as_published() -> None:
    context = initial(Prompt("coop", context=16), VIT_B16, 10, torch.Generator().manual_seed(0))["context"]
    assert float(context.std()) == pytest.approx(0.02, rel=0.03)
    visual = initial(Prompt("vpt", visual=16), VIT_B16, 10, torch.Generator().manual_seed(0))["visual"]
    assert float(visual.abs().max()) == pytest.approx(0.0625, rel=0.01)  # sqrt(6 / (3 * 16^2 + 768))
    assert float(visual.std()) == pytest.approx(0.0625 / math.sqrt(3), rel=0.01)


def test_a_context_of_each_class_has_one_for_each() -> None:
    made = initial(Prompt("coop", context=4, class_specific=True), VIT_B16, 7, torch.Generator().manual_seed(0))
    assert made["context"].shape == (7, 4, 512)


@torch.no_grad()
def test_constant_texts_serve_all_members() -> None:
    prompt = Prompt("vpt", visual=2)
    prompts, fixed = draws(prompt), unit(pictures(3))
    found = classifier(prompt, CLIP, prompts, fixed)(tokens().expand(3, -1, -1, -1))
    seen = picture_embeddings(CLIP, tokens().expand(3, -1, -1, -1), prompts["visual"])
    torch.testing.assert_close(found, math.exp(2.0) * seen @ fixed.T, rtol=1e-5, atol=1e-5)
