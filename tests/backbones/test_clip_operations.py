"""Operations counted from sizes, against torch's own counter and figures worked out for ViT-B/16."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from harness.backbones.base import Backbone
from harness.backbones.clip import ClipFolder
from harness.backbones.clip_operations import FRAME_TOKENS, KNOWN, NAME_TOKENS, towers_of
from harness.backbones.clip_towers import encode_picture_tokens
from harness.backbones.small import Mlp
from tests.training.prompt_toys import clip, save_model, tiny

B16 = KNOWN["openai/clip-vit-base-patch16"]


def test_pictures_and_texts_of_vit_b16() -> None:
    """35.1 GFLOP a picture, 38.1 with sixteen tokens more, 1.83 a text of 24 tokens, 5.96 one of 77."""
    assert B16.picture() == pytest.approx(35.1e9, rel=0.005)
    assert B16.picture(16) == pytest.approx(38.1e9, rel=0.005)
    assert B16.text(24 - FRAME_TOKENS - NAME_TOKENS) == pytest.approx(1.83e9, rel=0.005)
    assert B16.text(77 - FRAME_TOKENS - NAME_TOKENS) == pytest.approx(5.96e9, rel=0.005)


def counted(function) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        function()
    return int(counter.get_total_flops())


def test_torch_counts_the_same_in_the_librarys_own_towers() -> None:
    """All but the products within attention, which torch does not count on a processor."""
    model, towers = clip(), towers_of(tiny())
    assert towers is not None
    seen = counted(lambda: model.model.vision_model(torch.rand(3, 3, 8, 8)))
    tokens = torch.zeros(5, FRAME_TOKENS + NAME_TOKENS, dtype=torch.int64)
    read = counted(lambda: model.model.text_model(tokens))
    projected = 2 * 16 * 12
    for found, whole, length, calls in ((seen, towers.picture(), 5, 3), (read, towers.text(), len(tokens[0]), 5)):
        attention = towers.vision_blocks * 4 * length**2 * 16
        assert found / calls in (pytest.approx(whole - projected), pytest.approx(whole - projected - attention))


def test_our_towers_do_no_more_than_counted() -> None:
    """They leave out what nobody reads in the last block, which is much of two blocks and little of twelve."""
    model, towers = clip(), towers_of(tiny())
    assert towers is not None
    done = counted(lambda: encode_picture_tokens(model.model, model.tokens_of(torch.rand(3, 3, 8, 8))))
    assert 0.5 * 3 * towers.picture() < done <= 3 * towers.picture()


def test_a_folder_says_its_sizes(tmp_path) -> None:
    found = towers_of(ClipFolder(str(save_model(tmp_path / "model", size=32, patch=16, layers=2))))
    assert found is not None
    assert (found.vision_width, found.vision_blocks, found.pixels, found.patch, found.text_blocks) == (32, 2, 32, 16, 2)
    assert found.patches == 4


def test_known_models_are_not_fetched_and_others_are_not_known() -> None:
    assert towers_of(ClipFolder("openai/clip-vit-base-patch16")) == B16
    assert towers_of(ClipFolder("some/model", "0" * 40)) is None
    other: Backbone = Mlp()
    assert towers_of(other) is None
