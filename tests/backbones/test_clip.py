"""CLIP backbones: folders in the library's layout, and the tiny one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.backbones.clip import ClipFolder, TinyClip, clip, tiny_clip
from harness.backbones.clip_towers import encode_text_embeddings, token_embeddings
from harness.backbones.inputs import OFF_SIZE
from harness.backbones.layered import features
from harness.errors import HarnessError
from harness.training.networks import fresh
from tests.training.prompt_toys import MEAN, SPREAD, random_weights, save_model, tiny

transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("clip") / "model")


def library_features(folder: Path, pictures: torch.Tensor) -> torch.Tensor:
    model = transformers.CLIPModel.from_pretrained(folder).eval()
    found: Any = model.get_image_features(pixel_values=pictures)
    return found if isinstance(found, torch.Tensor) else found.pooler_output


@torch.no_grad()
def test_a_folder_as_a_network_is_the_librarys_tower_on_normalised_pictures(folder: Path) -> None:
    pictures = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    normalised = (pictures - torch.tensor(MEAN)[:, None, None]) / torch.tensor(SPREAD)[:, None, None]
    backbone = ClipFolder(str(folder))
    network = backbone.build(5, (3, 32, 32), torch.Generator().manual_seed(0))
    expected = library_features(folder, normalised)
    torch.testing.assert_close(features(network, pictures), expected, rtol=1e-5, atol=1e-6)
    assert network(pictures).shape == (3, 5)
    assert backbone.feature_width((3, 32, 32)) == 24
    assert set(fresh(backbone, 5, (3, 32, 32), torch.Generator())) - {"head.weight", "head.bias"} == set(
        backbone.published()
    )


@torch.no_grad()
def test_texts_of_a_folder_are_the_librarys(folder: Path) -> None:
    loaded = ClipFolder(str(folder)).load(None)
    tokens, ends = loaded.texts.whole(["a photo of a red square.", "dots."])
    found = encode_text_embeddings(loaded.model, token_embeddings(loaded.model, tokens), ends)
    model: Any = transformers.CLIPModel.from_pretrained(folder).eval()
    expected = model.get_text_features(input_ids=tokens)
    expected = expected if isinstance(expected, torch.Tensor) else expected.pooler_output
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_a_folder_is_known_by_its_files_not_by_where_they_lie(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "elsewhere")
    assert clip(str(copy)).identity() == clip(str(folder)).identity()
    assert str(tmp_path) not in json.dumps(clip(str(copy)).identity())
    save_model(copy, layers=1)
    assert clip(str(copy)).identity() != clip(str(folder)).identity()


def test_pickled_weights_are_never_opened(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "pickled")
    (copy / "model.safetensors").unlink()
    (copy / "pytorch_model.bin").write_bytes(b"not to be read")
    with pytest.raises(HarnessError, match="the model cannot be loaded"):
        clip(str(copy)).load(None)  # type: ignore[attr-defined]  # a folder's Backbone has `load`


def test_a_folder_without_a_tokeniser_says_so(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "wordless")
    (copy / "tokenizer.json").unlink()
    with pytest.raises(HarnessError, match="has no tokeniser"):
        ClipFolder(str(copy)).load(None)


def test_a_vocabulary_stands_for_a_tokeniser(folder: Path, tmp_path: Path) -> None:
    """As in older folders: words and merges apart. Letters alone, as CLIP writes them: `</w>` ends a word."""
    copy = shutil.copytree(folder, tmp_path / "older")
    (copy / "tokenizer.json").unlink()
    alphabet = [chr(code) for code in range(97, 123)]
    words = [*alphabet, *(f"{letter}</w>" for letter in alphabet), "do", "<|startoftext|>", "<|endoftext|>"]
    (copy / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(words)}), encoding="utf-8")
    (copy / "merges.txt").write_text("#version: 0.2\nd o\n", encoding="utf-8")
    texts = ClipFolder(str(copy)).load(None).texts
    assert texts.numbers("dot do") == [words.index(part) for part in ("do", "t</w>", "d", "o</w>")]
    assert (texts.start, texts.end) == (len(words) - 2, len(words) - 1)


def test_models_known_by_name_are_planned_without_fetching_them() -> None:
    named = clip("openai/clip-vit-base-patch16", "a" * 40)
    assert isinstance(named, ClipFolder)
    assert named.known_here and named.check((3, 224, 224)) == ()
    assert named.feature_width((3, 224, 224)) == 512
    with pytest.raises(HarnessError, match="needs a revision"):
        clip("openai/clip-vit-base-patch16")
    with pytest.raises(HarnessError, match="224 × 224"):
        named.check((3, 96, 96))


def test_pictures_of_another_size_are_refused(folder: Path) -> None:
    with pytest.raises(HarnessError, match="32 × 32"):
        ClipFolder(str(folder)).check((3, 64, 64))
    assert OFF_SIZE not in ClipFolder(str(folder)).check((1, 32, 32))


def test_tiny_without_weights_or_with_those_of_another_says_so() -> None:
    with pytest.raises(HarnessError, match="comes without weights"):
        tiny().load(None)
    with pytest.raises(HarnessError, match="not the weights of this tiny_clip"):
        tiny(width=32).load(random_weights().tensors)


def test_tiny_with_weights_is_frozen_and_reads_one_channel_as_three() -> None:
    loaded = tiny().load(random_weights().tensors)
    assert not any(parameter.requires_grad for parameter in loaded.model.parameters())
    grey = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(loaded.tokens_of(grey), loaded.tokens_of(grey.expand(-1, 3, -1, -1)))
    assert loaded.tokens_of(grey).shape == (2, 1 + 4, loaded.vision_width)
    assert float(loaded.scale) == pytest.approx(float(torch.tensor(2.0).exp()))


def test_tiny_as_a_network_is_drawn_from_the_generator_alone() -> None:
    torch.manual_seed(1)
    one = fresh(tiny(), 3, (3, 8, 8), torch.Generator().manual_seed(5))
    torch.manual_seed(2)
    before = torch.get_rng_state()
    two = fresh(tiny(), 3, (3, 8, 8), torch.Generator().manual_seed(5))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert torch.equal(torch.get_rng_state(), before), "the process's own generator is left alone"
    other = fresh(tiny(), 3, (3, 8, 8), torch.Generator().manual_seed(6))
    assert not torch.equal(one["tower.visual_projection.weight"], other["tower.visual_projection.weight"])


def test_options_that_cannot_be_are_refused() -> None:
    with pytest.raises(HarnessError, match="whole number of patches"):
        TinyClip(resolution=30)
    with pytest.raises(HarnessError, match="multiples"):
        TinyClip(width=66, heads=4)
    with pytest.raises(HarnessError, match="steps and batch"):
        TinyClip(steps=0)
    assert tiny_clip() == TinyClip()
