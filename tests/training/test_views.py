"""Tasks as backbones see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from harness.backbones.efficientnet_lite import EfficientNetLite0
from harness.backbones.inputs import TextInput
from harness.backbones.small import Mlp
from harness.backbones.transformers_text import Pooling, TextBackbone
from harness.errors import HarnessError
from harness.methods.base import Trial
from harness.methods.views import as_seen
from harness.tasks.base import Split, Task, TaskSet
from harness.tasks.inputs import Texts
from harness.training.views import seen_by
from tests.training.toys import cloud

WORDS = ("a cat", "the dog ran", "dogs and cats and dogs again")


@dataclass(frozen=True)
class Letters(TextBackbone):
    """Reads the code of each letter."""

    length: int = 6
    name: ClassVar[str] = "letters"
    expects: ClassVar[TextInput] = TextInput(8)
    depth: ClassVar[int] = 1  # type: ignore[misc]  # a constant will do
    width: ClassVar[int] = 4  # type: ignore[misc]
    padding: ClassVar[int] = 0  # type: ignore[misc]
    summary_rule: ClassVar[tuple[Pooling, bool]] = ("mean", False)  # type: ignore[misc]

    def folder(self) -> Path:
        raise AssertionError("no files are needed")

    def encode(self, texts: Sequence[str], length: int) -> Tensor:
        return torch.tensor([[ord(letter) for letter in text[:length].ljust(length, "\0")] for text in texts])


def texts() -> Task:
    data = Split(Texts(WORDS), torch.tensor([0, 1, 1]))  # type: ignore[arg-type]  # looks enough like a tensor
    return Task("texts", 2, ("a", "b"), (), {"train": 3}, {"provider": "test"}, lambda split: data)


def test_texts_become_token_numbers_under_the_same_name() -> None:
    seen = seen_by(texts(), Letters())
    data = seen.split("train")
    assert seen.name == "texts" and seen.input_shape == (6,)
    assert data.inputs.tolist()[0] == [*map(ord, "a cat"), 0]
    assert data.inputs.shape == (3, 6) and data.labels.tolist() == [0, 1, 1]


def test_identity_names_texts_and_tokeniser() -> None:
    short, long = seen_by(texts(), Letters()), seen_by(texts(), Letters(8))
    assert short.identity() != long.identity() != texts().identity()
    assert seen_by(texts(), Letters()) is short, "made once"
    assert "harness.training.views" in short.modules()


def test_what_a_backbone_cannot_read_is_refused() -> None:
    with pytest.raises(HarnessError, match="texts has texts, which mlp cannot read"):
        seen_by(texts(), Mlp())
    pictures = Task("p", 2, ("a", "b"), (3, 96, 96), {"train": 1}, {"provider": "test"}, lambda split: split)  # type: ignore[arg-type, return-value]
    with pytest.raises(HarnessError, match="used at 224"):
        seen_by(pictures, EfficientNetLite0())
    assert seen_by(pictures, EfficientNetLite0(resolution=96)) is pictures
    with pytest.raises(HarnessError, match="rows of token numbers"):
        seen_by(pictures, Letters())


def test_a_trial_is_seen_as_a_whole() -> None:
    plain = Trial(source=cloud("one"), target=cloud("two"), backbone=Mlp())
    assert as_seen(plain) is plain
    worded = as_seen(Trial(source=TaskSet((texts(),)), target=texts(), backbone=Letters()))
    assert worded.target.input_shape == (6,)
    assert isinstance(worded.source, TaskSet) and worded.source.tasks[0].input_shape == (6,)
    assert as_seen(Trial(source=None, target=texts(), backbone=Letters())).source is None
