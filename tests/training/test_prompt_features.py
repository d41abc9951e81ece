"""What the frozen model makes of pictures and names, against the library's own forward passes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from harness.backbones.small import Mlp
from harness.errors import HarnessError
from harness.graph import Features
from harness.tasks.base import Task
from harness.training import prompt_features
from harness.training.prompt_features import (
    checked,
    class_features,
    class_features_batch,
    load_clip,
    picture_features,
    picture_features_batch,
    pieces,
)
from harness.training.rules import Numerics
from tests.training.places import Place, Together
from tests.training.prompt_toys import WORDS, clip, random_weights, squares, tiny


def library_pictures(task: Task, split: str) -> Tensor:
    """Unit embeddings from the library, of pictures normalised by hand."""
    made = clip()
    mean, spread = (torch.tensor(item)[:, None, None] for item in (made.expects.mean, made.expects.spread))
    with torch.no_grad():
        found: Any = made.model.get_image_features(pixel_values=(task.split(split).inputs - mean) / spread)
    return torch.nn.functional.normalize(found if isinstance(found, Tensor) else found.pooler_output, dim=1)


def library_texts(sentences: list[str]) -> Tensor:
    """Unit embeddings of sentences, one at a time, so that none is padded."""
    rows = []
    for sentence in sentences:
        tokens, _ = clip().texts.whole([sentence])
        with torch.no_grad():
            found: Any = clip().model.get_text_features(input_ids=tokens)
        rows.append(found if isinstance(found, Tensor) else found.pooler_output)
    return torch.nn.functional.normalize(torch.cat(rows), dim=1)


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_pictures_are_embedded_as_the_library_does(split: str) -> None:
    task = squares()
    found = picture_features(task, split, tiny(), random_weights(), ctx=Place())
    torch.testing.assert_close(found.tensors["features"], library_pictures(task, split), rtol=1e-5, atol=1e-6)
    assert torch.equal(found.tensors["labels"], task.split(split).labels)
    assert found.header == {"task": "squares", "split": split, "flags": []}
    lengths = found.tensors["features"].norm(dim=1)
    torch.testing.assert_close(lengths, torch.ones_like(lengths))


def test_pictures_read_in_pieces_are_the_same_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = picture_features(squares(), "train", tiny(), random_weights(), ctx=Place())
    monkeypatch.setattr(prompt_features, "MOST_NUMBERS", 5 * 3 * 8 * 8)
    parts = picture_features(squares(), "train", tiny(), random_weights(), ctx=Place())
    torch.testing.assert_close(parts.tensors["features"], whole.tensors["features"], rtol=1e-5, atol=1e-6)
    read = list(pieces(squares().split("train").inputs, "cpu", torch.float64))
    assert [len(piece) for piece in read] == [5, 5, 5, 5, 4] and read[0].dtype == torch.float64


def test_names_are_put_into_the_sentence_as_words() -> None:
    found = class_features(
        ("dark_grey", "red", "nothing at all"), "a photo of a {}.", tiny(), random_weights(), ctx=Place()
    )
    sentences = ["a photo of a dark grey.", "a photo of a red.", "a photo of a nothing at all."]
    torch.testing.assert_close(found.tensors["features"], library_texts(sentences), rtol=1e-5, atol=1e-6)
    assert float(found.tensors["scale"]) == pytest.approx(float(torch.tensor(2.0).exp()))


def test_many_names_are_encoded_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = class_features(WORDS, "{}.", tiny(), random_weights(), ctx=Place()).tensors["features"]
    monkeypatch.setattr(prompt_features, "MOST_TEXTS", 3)
    parts = class_features(WORDS, "{}.", tiny(), random_weights(), ctx=Place()).tensors["features"]
    assert len(parts) == len(WORDS)
    torch.testing.assert_close(parts, whole, rtol=1e-5, atol=1e-6)


def test_a_batch_gives_what_each_call_gives_and_keeps_failures_apart() -> None:
    plain = {"backbone": tiny(), "clip": random_weights(), "numerics": Numerics()}
    calls = [{**plain, "task": squares(), "split": split} for split in ("train", "nowhere", "test")]
    found = picture_features_batch(calls, Together([Place() for _ in calls]))
    assert isinstance(found[1], HarnessError) and "no split 'nowhere'" in str(found[1])
    for place in (0, 2):
        alone = picture_features(**calls[place], ctx=Place())
        both = found[place]
        assert isinstance(both, Features) and torch.equal(both.tensors["features"], alone.tensors["features"])
    names = [{**plain, "names": ("red",), "template": template} for template in ("{}.", "a photo of a {}.")]
    texts = class_features_batch(names, Together([Place() for _ in names]))
    assert all(isinstance(one, Features) for one in texts)


def test_a_model_is_loaded_once_a_worker_and_kind_of_number() -> None:
    one = load_clip(tiny(), random_weights(), Numerics(), "cpu", Place())
    assert load_clip(tiny(), random_weights(), Numerics(), "cpu", Place()) is one
    wide = load_clip(tiny(), random_weights(), Numerics("float64"), "cpu", Place())
    assert wide is not one and wide.model.visual_projection.weight.dtype == torch.float64
    assert one.model.visual_projection.weight.dtype == torch.float32, "the first is left as it was"


def test_in_double_precision_embeddings_agree_with_those_in_single() -> None:
    single = picture_features(squares(), "test", tiny(), random_weights(), ctx=Place())
    double = picture_features(squares(), "test", tiny(), random_weights(), Numerics("float64"), ctx=Place())
    torch.testing.assert_close(double.tensors["features"], single.tensors["features"], rtol=1e-4, atol=1e-6)


def test_what_has_no_words_and_what_is_of_another_size_is_refused() -> None:
    with pytest.raises(HarnessError, match="mlp has no text tower"):
        load_clip(Mlp(), None, Numerics(), "cpu", Place())
    with pytest.raises(HarnessError, match="16 × 16"):
        checked(tiny(resolution=16), squares())
    with pytest.raises(HarnessError, match="comes without weights"):
        picture_features(squares(), "test", tiny(seed=9), ctx=Place())


def test_embeddings_of_one_split_serve_every_method_and_seed() -> None:
    described = picture_features.bind(task=squares(), split="train", backbone=tiny())
    assert described.key == picture_features.bind(task=squares(), split="train", backbone=tiny()).key
    assert described.key != picture_features.bind(task=squares(), split="test", backbone=tiny()).key
    assert picture_features.keep == class_features.keep == "cache"
    texts = class_features.bind(names=("a", "b"), template="{}.", backbone=tiny())
    assert texts.key != class_features.bind(names=("b", "a"), template="{}.", backbone=tiny()).key
