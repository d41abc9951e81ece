"""Training a tiny CLIP: its tokeniser, its loss against the published formula, and a training that can be stopped."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from harness.backbones.clip import TOKENISER
from harness.backbones.small import Mlp
from harness.errors import HarnessError
from harness.graph import Stopped, Weights
from harness.tasks.pairs import PairSet
from harness.training.prompt_pretraining import (
    _sentence,
    contrastive_loss,
    pretrain_clip,
    train_tokeniser,
    varied,
)
from tests.training.places import Place
from tests.training.prompt_toys import WORDS, clip, tiny

COLOURS = {"red": (1.0, 0.1, 0.1), "green": (0.1, 1.0, 0.1), "blue": (0.1, 0.1, 1.0), "dark": (0.1, 0.1, 0.1)}


class Coloured(PairSet):
    """Squares of four colours with their names, made on the spot."""

    def identity(self) -> Mapping[str, Any]:
        return {"pairs": "coloured"}

    def load(self) -> tuple[Any, tuple[tuple[str, ...], ...]]:
        names = [name for name in COLOURS for _ in range(12)]
        noise = 40 * torch.rand(len(names), 3, 8, 8, generator=torch.Generator().manual_seed(0))
        colours = torch.tensor([COLOURS[name] for name in names])[:, :, None, None] * 200
        return (colours + noise).clamp(0, 255).byte(), tuple((name, f"{name} square") for name in names)


def trained(steps: int, place: Place | None = None) -> Weights:
    small = tiny(steps=steps, batch=16, seed=1)
    return pretrain_clip(small, Coloured(8), ctx=place or Place())


# --- the tokeniser --------------------------------------------------------------------------------------------------


def test_a_tokeniser_does_not_depend_on_the_order_of_the_texts() -> None:
    texts = [f"{a} {b}" for a in WORDS for b in WORDS]
    shuffled = random.Random(0).sample(texts, len(texts))
    one = train_tokeniser(texts, 300)
    assert one == train_tokeniser(shuffled, 300) == train_tokeniser(iter(texts), 300)
    assert json.loads(one)["model"]["type"] == "BPE"


def test_any_text_can_be_written_and_start_and_end_come_first() -> None:
    texts = tiny().texts(train_tokeniser(WORDS, 300))
    assert (texts.start, texts.end) == (0, 1)
    for text in ("Red", "naïve 猫", "x.y"):
        numbers = texts.numbers(text)
        assert numbers and max(numbers) < 300
        assert texts.tokeniser.decode(numbers).replace("Ġ", " ") is not None
    assert texts.numbers("RED") == texts.numbers("red"), "case does not matter"
    assert len(texts.numbers("red")) < len("red"), "a frequent word is one token or few"


# --- the loss -------------------------------------------------------------------------------------------------------


def unit_embeddings(pictures: Tensor, sentences: list[str]) -> tuple[Tensor, Tensor]:
    """From the library's own forward passes."""
    model, made = clip().model, clip()
    mean, spread = (torch.tensor(item)[:, None, None] for item in (made.expects.mean, made.expects.spread))
    tokens, _ = made.texts.whole(sentences)
    with torch.no_grad():
        found = [model.get_image_features(pixel_values=(pictures - mean) / spread),
                 model.get_text_features(input_ids=tokens)]  # fmt: skip
    vectors = [item if isinstance(item, Tensor) else item.pooler_output for item in found]
    seen, said = (torch.nn.functional.normalize(item, dim=1) for item in vectors)
    return seen, said


def pictures(count: int) -> Tensor:
    return torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(4))


def test_with_different_texts_the_loss_is_clips() -> None:
    sentences = ["red.", "dots.", "stripes.", "a light."]
    seen, said = unit_embeddings(pictures(4), sentences)
    scores = clip().scale.detach() * seen @ said.T
    both = [torch.nn.functional.cross_entropy(item, torch.arange(4)) for item in (scores, scores.T)]
    found = contrastive_loss(clip(), pictures(4), sentences)
    assert float(found) == pytest.approx(float(sum(both) / 2), rel=1e-5)


def test_pictures_of_one_text_are_each_others_positives() -> None:
    sentences = ["red.", "dots.", "red."]
    seen, said = unit_embeddings(pictures(3), sentences)
    scores = (clip().scale.detach() * seen @ said.T).double()
    wanted = torch.tensor([[0.5, 0, 0.5], [0, 1, 0], [0.5, 0, 0.5]]).double()
    both = [-(wanted * item.log_softmax(1)).sum(1).mean() for item in (scores, scores.T)]
    assert float(contrastive_loss(clip(), pictures(3), sentences)) == pytest.approx(float(sum(both) / 2), rel=1e-5)


def test_the_first_name_is_said_as_often_as_all_others() -> None:
    generator = torch.Generator().manual_seed(0)
    said = [_sentence(("first", "second", "third"), generator) for _ in range(2000)]
    assert 0.45 < sum("first" in text for text in said) / 2000 < 0.55
    assert 0.2 < sum("second" in text for text in said) / 2000 < 0.3
    assert all(text.endswith(".") for text in said)
    assert _sentence(("only",), generator).count("only") == 1


def test_pictures_are_varied_within_their_range_and_by_the_generator_alone() -> None:
    one = varied(pictures(40), torch.Generator().manual_seed(0))
    assert torch.equal(one, varied(pictures(40), torch.Generator().manual_seed(0)))
    assert not torch.equal(one, varied(pictures(40), torch.Generator().manual_seed(1)))
    assert one.shape == (40, 3, 8, 8) and float(one.min()) >= 0 and float(one.max()) <= 1 + 1e-6
    assert bool((one.std(1).amax((1, 2)) == 0).any()), "some are grey"


# --- the stage ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_names_are_learned() -> None:
    """Zero-shot among four colours: a quarter by chance, most after training on their names."""
    weights = trained(150)
    pictures, names = Coloured(8).load()
    loaded = tiny().load(weights.tensors)
    from harness.backbones.clip_towers import encode_picture_tokens, encode_text_embeddings, token_embeddings

    tokens, ends = loaded.texts.whole([f"{name}." for name in COLOURS])
    with torch.no_grad():
        said = encode_text_embeddings(loaded.model, token_embeddings(loaded.model, tokens), ends)
        seen = encode_picture_tokens(loaded.model, loaded.tokens_of(pictures.float() / 255))
    cosine = torch.nn.functional.normalize(seen, dim=1) @ torch.nn.functional.normalize(said, dim=1).T
    right = [list(COLOURS)[place] == name[0] for place, name in zip(cosine.argmax(1).tolist(), names, strict=True)]
    assert sum(right) / len(right) > 0.6
    assert weights.header["pairs"] == 48 and 0 < weights.header["loss"] < 2.7726  # ln 16: guessing


def test_a_training_that_was_stopped_ends_with_the_same_bits() -> None:
    straight, place = trained(8), Place(stop_after=5)
    with pytest.raises(Stopped):
        trained(8, place)
    assert place.checkpoint.saved is not None and place.checkpoint.saved[1] == {"step": 5}
    place.stop_after = None
    again = trained(8, place)
    assert set(again.tensors) == set(straight.tensors) and TOKENISER in again.tensors
    assert all(torch.equal(tensor, straight.tensors[name]) for name, tensor in again.tensors.items())
    assert again.header == straight.header


def test_only_the_tiny_model_is_trained() -> None:
    with pytest.raises(HarnessError, match="only tiny_clip"):
        pretrain_clip(Mlp(), Coloured(8), ctx=Place())
