"""The towers driven by embeddings against the library's own forward passes, and against blocks called one by one."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from harness.backbones.clip_towers import (
    depth,
    encode_picture_tokens,
    encode_text_embeddings,
    encode_text_with_shared_prefix,
    picture_tokens,
    token_embeddings,
)

transformers = pytest.importorskip("transformers")

START, END = 98, 99


@pytest.fixture(scope="module")
def model() -> Any:
    torch.manual_seed(0)
    common = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4}
    text = {**common, "vocab_size": 100, "max_position_embeddings": 20, "bos_token_id": START, "eos_token_id": END}
    vision = {**common, "image_size": 16, "patch_size": 4}
    made = transformers.CLIPModel(
        transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=24)
    ).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return made


def texts(count: int = 6, length: int = 9) -> tuple[Tensor, Tensor]:
    """Token numbers that end at different places, and these places."""
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(0, 90, (count, length), generator=generator)
    ends = torch.randint(4, length, (count,), generator=generator)
    tokens[:, 0] = START
    for row, end in enumerate(ends.tolist()):
        tokens[row, end:] = END
    return tokens, ends


def pictures(count: int = 5) -> Tensor:
    return torch.rand(count, 3, 16, 16, generator=torch.Generator().manual_seed(2))


def tensor_of(found: Any) -> Tensor:
    """The library returned a tensor once, and an object that holds it later."""
    return found if isinstance(found, Tensor) else found.pooler_output


@torch.no_grad()
def test_pictures_without_prompts_are_embedded_as_the_library_does(model: Any) -> None:
    expected = tensor_of(model.get_image_features(pixel_values=pictures()))
    found = encode_picture_tokens(model, picture_tokens(model, pictures()))
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6 * float(expected.abs().max()))


@torch.no_grad()
def test_texts_are_embedded_as_the_library_does(model: Any) -> None:
    tokens, ends = texts()
    expected = tensor_of(model.get_text_features(input_ids=tokens))
    found = encode_text_embeddings(model, token_embeddings(model, tokens), ends)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6 * float(expected.abs().max()))


@torch.no_grad()
def test_in_double_precision_pictures_agree_to_its_last_places(model: Any) -> None:
    wide = copy.deepcopy(model).double()
    seen = encode_picture_tokens(wide, picture_tokens(wide, pictures().double()))
    expected = tensor_of(wide.get_image_features(pixel_values=pictures().double()))
    torch.testing.assert_close(seen, expected, rtol=1e-12, atol=1e-13)


def test_what_stands_behind_the_end_of_a_text_has_no_influence(model: Any) -> None:
    tokens, ends = texts()
    embeddings = token_embeddings(model, tokens).detach().requires_grad_()
    encode_text_embeddings(model, embeddings, ends).sum().backward()
    assert embeddings.grad is not None
    for row, end in enumerate(ends.tolist()):
        assert bool((embeddings.grad[row, end + 1 :] == 0).all())
        assert bool((embeddings.grad[row, : end + 1] != 0).any(1).all())


@pytest.mark.parametrize("shared", [1, 3, 4])
def test_a_beginning_computed_once_changes_no_value_and_no_gradient(model: Any, shared: int) -> None:
    tokens, ends = texts()
    tokens[:, :4] = tokens[0, :4]
    whole = token_embeddings(model, tokens).detach()
    begin = whole[:1, :shared].clone().requires_grad_()
    full = encode_text_embeddings(model, torch.cat([begin.expand(len(whole), -1, -1), whole[:, shared:]], dim=1), ends)
    (expected,) = torch.autograd.grad(full.square().sum(), begin)
    again = encode_text_with_shared_prefix(model, begin, whole[None, :, shared:], ends - shared)[0]
    (found,) = torch.autograd.grad(again.square().sum(), begin)
    torch.testing.assert_close(again, full, rtol=1e-5, atol=1e-6 * float(full.detach().abs().max()))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


@torch.no_grad()
def test_beginnings_of_several_members_do_not_mix(model: Any) -> None:
    tokens, ends = texts()
    whole = token_embeddings(model, tokens)
    begins = torch.randn(3, 2, 32, generator=torch.Generator().manual_seed(3))
    rest = whole[:, 2:].expand(3, -1, -1, -1)
    together = encode_text_with_shared_prefix(model, begins, rest, ends - 2)
    for member in range(3):
        alone = encode_text_with_shared_prefix(model, begins[member : member + 1], rest[:1], ends - 2)
        torch.testing.assert_close(together[member], alone[0], rtol=1e-5, atol=1e-6)


def layer(block: Any, hidden: Tensor) -> Tensor:
    """A block of the library, called in its own way: it took two masks and gave a tuple once."""
    try:
        result = block(hidden, None, None)
    except TypeError:
        result = block(hidden, None)
    return result[0] if isinstance(result, tuple) else result


@pytest.mark.parametrize("blocks", [1, 3])
@torch.no_grad()
def test_prompts_enter_behind_the_class_token_and_are_replaced_at_each_block(model: Any, blocks: int) -> None:
    vision, prompts = model.vision_model, torch.randn(5, blocks, 2, 32, generator=torch.Generator().manual_seed(4))
    tokens = vision.pre_layrnorm(vision.embeddings(pictures()))
    hidden = torch.cat([tokens[:, :1], prompts[:, 0], tokens[:, 1:]], dim=1)
    for number, block in enumerate(vision.encoder.layers):
        if 0 < number < blocks:
            hidden[:, 1:3] = prompts[:, number]
        hidden = layer(block, hidden)
    expected = model.visual_projection(vision.post_layernorm(hidden[:, 0]))
    found = encode_picture_tokens(model, picture_tokens(model, pictures()), prompts)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_prompts_of_many_trials_stack_under_vmap(model: Any) -> None:
    tokens = picture_tokens(model, pictures())
    prompts = torch.randn(4, 3, 2, 32, generator=torch.Generator().manual_seed(5))

    def one(prompt: Tensor) -> Tensor:
        return encode_picture_tokens(model, tokens, prompt.expand(len(tokens), -1, -1, -1))

    stacked = torch.func.vmap(one)(prompts)
    for member in range(4):
        torch.testing.assert_close(stacked[member], one(prompts[member]), rtol=1e-5, atol=1e-5)


def test_the_depth_of_a_tower_is_the_number_of_its_blocks(model: Any) -> None:
    assert depth(model.vision_model) == 3
