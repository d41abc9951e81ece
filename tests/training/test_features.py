"""Outputs of frozen layers: what the network gives, in pieces or whole, from the cache or not, from any depth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from harness.backbones.efficientnet_lite import EfficientNetLite0
from harness.backbones.inputs import TextInput
from harness.backbones.layered import activations, features
from harness.backbones.pretrained import Pretrained
from harness.backbones.small import Mlp, SmallCnn
from harness.backbones.transformers_text import Pooling, TextBackbone
from harness.errors import HarnessError
from harness.graph import Features, Weights
from harness.store.cache import CacheStore
from harness.tasks.base import Split, Task
from harness.training import features as module
from harness.training.features import extract_features
from harness.training.networks import fresh
from tests.training.places import Place, run_batch

SHAPE = (3, 12, 12)
NET = SmallCnn(width=4)


def load_pictures(split: str) -> Split:
    count = {"train": 11, "test": 5}[split]
    generator = torch.Generator().manual_seed(count)
    return Split(torch.rand(count, *SHAPE, generator=generator), torch.arange(count) % 3)


def pictures() -> Task:
    return Task("pictures", 3, ("a", "b", "c"), SHAPE, {"train": 11, "test": 5}, {"provider": "test"}, load_pictures)


def weights(backbone: Any = NET, flags: Sequence[str] = ()) -> Weights:
    found = fresh(backbone, 3, SHAPE, torch.Generator().manual_seed(5))
    return Weights(found, {"task": "elsewhere", "flags": list(flags)})


def network() -> nn.Sequential:
    made = NET.build(3, SHAPE, torch.Generator())
    made.load_state_dict(weights().tensors)
    return made.eval()


def test_features_are_what_the_head_sees_of_a_split() -> None:
    got = extract_features(task=pictures(), split="train", weights=weights(), backbone=NET, ctx=Place())
    data = load_pictures("train")
    torch.testing.assert_close(got.tensors["features"], features(network(), data.inputs).detach())
    assert torch.equal(got.tensors["labels"], data.labels)
    assert got.header == {"task": "pictures", "split": "train", "flags": []}


@pytest.mark.parametrize("layer", ["conv1", "conv2", "conv3"])
def test_any_layer_can_be_asked_for(layer: str) -> None:
    got = extract_features(task=pictures(), split="test", weights=weights(), backbone=NET, layer=layer, ctx=Place())
    expected = activations(network(), load_pictures("test").inputs, [layer])[layer].detach()
    torch.testing.assert_close(got.tensors["features"], expected)
    assert got.header["layer"] == layer


def test_going_on_from_a_layer_equals_starting_from_the_inputs() -> None:
    def layer(name: str | None, below: Features | None = None) -> Features:
        return extract_features(
            task=pictures(), split="train", weights=weights(), backbone=NET, layer=name, below=below, ctx=Place()
        )

    low = layer("conv1")
    torch.testing.assert_close(layer("conv2", low).tensors["features"], layer("conv2").tensors["features"])
    torch.testing.assert_close(layer(None, low).tensors["features"], layer(None).tensors["features"])
    with pytest.raises(HarnessError, match="not below"):
        layer("conv1", layer("conv2"))
    with pytest.raises(HarnessError, match="named layer"):
        layer(None, layer(None))


def test_cached_equals_uncached(tmp_path: Path) -> None:
    """Through the node's cache and back: the same bytes, and read from the file as a memory map."""
    for layer in (None, "conv2"):
        made = extract_features(
            task=pictures(), split="train", weights=weights(), backbone=NET, layer=layer, ctx=Place()
        )
        cache = CacheStore(tmp_path)
        assert cache.put(f"key{layer}", made.tensors, made.header)
        found = cache.get(f"key{layer}")
        assert found is not None
        assert found[1] == dict(made.header)
        assert all(torch.equal(found[0][name], tensor) for name, tensor in made.tensors.items())
        again = extract_features(
            task=pictures(), split="train", weights=weights(), backbone=NET, layer=layer, ctx=Place()
        )
        assert torch.equal(again.tensors["features"], found[0]["features"]), "computed again: bit for bit"
        assert f"key{layer}.safetensors" in mapped_file(found[0]["features"])


def mapped_file(tensor: Tensor) -> str:
    """The line of the system's table of mapped files for the memory in which a tensor lies."""
    table = Path("/proc/self/maps")
    if not table.is_file():
        pytest.skip("this system has no table of mapped files to look at")
    for line in table.read_text(encoding="utf-8").splitlines():
        start, end = (int(place, 16) for place in line.split()[0].split("-"))
        if start <= tensor.data_ptr() < end:
            return line
    return ""


def test_an_example_does_not_depend_on_how_many_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_NUMBERS", 4 * 3 * 12 * 12)
    few = replace(pictures(), sizes={"train": 3}, load=lambda split: Split(*(x[:3] for x in parts("train"))))
    some = extract_features(task=few, split="train", weights=weights(), backbone=NET, ctx=Place())
    whole = extract_features(task=pictures(), split="train", weights=weights(), backbone=NET, ctx=Place())
    assert torch.equal(whole.tensors["features"][:3], some.tensors["features"])


def parts(split: str) -> tuple[Tensor, Tensor]:
    loaded = load_pictures(split)
    return loaded.inputs, loaded.labels


def test_half_precision_is_kept_when_asked_for() -> None:
    def made(dtype: str) -> Tensor:
        return extract_features(
            task=pictures(), split="test", weights=weights(), backbone=NET, dtype=dtype, ctx=Place()
        ).tensors["features"]

    assert made("float16").dtype == torch.float16
    assert torch.equal(made("float16"), made("float32").half())
    huge = Weights({name: tensor * 1e4 for name, tensor in weights(Mlp()).tensors.items()}, {"flags": []})
    with pytest.raises(HarnessError, match="too large for float16"):
        extract_features(task=pictures(), split="test", weights=huge, backbone=Mlp(), dtype="float16", ctx=Place())


def test_keys_tell_what_differs_apart() -> None:
    base: dict[str, Any] = {"task": pictures(), "split": "train", "backbone": NET}
    others: list[Mapping[str, Any]] = [
        {"split": "test"}, {"layer": "conv1"}, {"dtype": "float16"}, {"backbone": SmallCnn(width=8)},
        {"task": replace(pictures(), data={"provider": "test", "transform": {"size": 96}})},
    ]  # fmt: skip
    keys = [extract_features.bind(**base).key, *(extract_features.bind(**{**base, **other}).key for other in others)]
    assert len(set(keys)) == len(keys)
    assert extract_features.keep == "cache"


def test_a_backbone_without_weights_needs_a_source() -> None:
    with pytest.raises(HarnessError, match="comes without weights"):
        extract_features(task=pictures(), split="test", backbone=NET, ctx=Place())


@dataclass(frozen=True)
class Readymade(Pretrained):
    """Comes with weights of its own, and with a flag."""

    name: ClassVar[str] = "readymade"
    layers: ClassVar[tuple[str, ...]] = ("conv1", "conv2", "conv3", "head")  # type: ignore[misc]  # a constant will do
    built: ClassVar[list[int]] = []

    def feature_width(self, input_shape: tuple[int, ...]) -> int:
        return NET.feature_width(input_shape)

    def check(self, input_shape: tuple[int, ...]) -> tuple[str, ...]:
        return ("odd_shape",)

    def published(self) -> Mapping[str, Tensor]:
        return weights().tensors

    def build(self, n_classes: int, input_shape: tuple[int, ...], generator: torch.Generator) -> nn.Sequential:
        self.built.append(n_classes)
        made = network()
        made[-1] = nn.Linear(self.feature_width(input_shape), n_classes)
        return made


def test_a_pretrained_backbone_brings_its_own_weights_once_a_worker() -> None:
    for split in ("train", "test", "train"):
        got = extract_features(task=pictures(), split=split, backbone=Readymade(), ctx=Place())
        torch.testing.assert_close(got.tensors["features"], features(network(), load_pictures(split).inputs).detach())
        assert got.header["flags"] == ["odd_shape"]
    assert len(Readymade.built) == 1
    flagged = extract_features(
        task=pictures(), split="test", backbone=Readymade(), weights=weights(flags=["not_trained"]), ctx=Place()
    )
    assert flagged.header["flags"] == ["not_trained", "odd_shape"]


def test_inputs_without_a_network() -> None:
    got = extract_features(task=pictures(), split="test", ctx=Place())
    assert torch.equal(got.tensors["features"], load_pictures("test").inputs.flatten(1))


def test_one_bad_member_of_a_batch_fails_alone() -> None:
    stages = [
        extract_features.bind(task=pictures(), split="train", backbone=Readymade()),
        extract_features.bind(task=pictures(), split="train", backbone=Readymade(), layer="conv9"),
    ]
    good, bad = run_batch(stages, {})
    assert isinstance(good, Features) and isinstance(bad, HarnessError)


def test_efficientnet_runs_through_the_stage() -> None:
    backbone = EfficientNetLite0(weights="none", resolution=32)
    data = Split(torch.rand(5, 3, 32, 32), torch.arange(5) % 3)
    task = replace(pictures(), input_shape=(3, 32, 32), sizes={"test": 5}, load=lambda split: data)
    found = Weights(fresh(backbone, 2, (3, 32, 32), torch.Generator().manual_seed(0)), {"flags": []})
    got = extract_features(task=task, split="test", backbone=backbone, weights=found, ctx=Place())
    assert got.tensors["features"].shape == (5, 1280) and got.header["flags"] == ["off_size"]


# --- texts ----------------------------------------------------------------------------------------------------------


class Embed(nn.Module):
    """Each token a vector; zeros for padding."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(50, 4)
        self.seen: list[tuple[int, ...]] = []

    def forward(self, tokens: Tensor) -> Tensor:
        self.seen.append(tuple(tokens.shape))
        return self.table(tokens.long()) * tokens.ne(0).unsqueeze(-1)


class Mean(nn.Module):
    """The mean of a text's tokens."""

    def forward(self, hidden: Tensor) -> Tensor:
        return hidden.sum(1) / hidden.ne(0).any(-1).sum(1, keepdim=True)


@dataclass(frozen=True)
class Words(TextBackbone):
    """Reads token numbers; one layer."""

    length: int = 40
    name: ClassVar[str] = "words"
    expects: ClassVar[TextInput] = TextInput(40)
    depth: ClassVar[int] = 0  # type: ignore[misc]  # a constant will do
    width: ClassVar[int] = 4  # type: ignore[misc]
    padding: ClassVar[int] = 0  # type: ignore[misc]
    summary_rule: ClassVar[tuple[Pooling, bool]] = ("mean", False)  # type: ignore[misc]
    made: ClassVar[list[nn.Sequential]] = []

    def folder(self) -> Path:
        raise AssertionError("no files are needed")

    def build(self, n_classes: int, input_shape: tuple[int, ...], generator: torch.Generator) -> nn.Sequential:
        made = nn.Sequential()
        for name, layer in (("embeddings", Embed()), ("pool", Mean()), ("head", nn.Linear(4, n_classes))):
            made.add_module(name, layer)
        self.made.append(made)
        return made


def test_texts_are_taken_by_length_and_come_back_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_TEXTS", 16)
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(1, 41, (150,), generator=generator)
    tokens = torch.randint(1, 50, (150, 40), generator=generator) * (torch.arange(40) < lengths.unsqueeze(1))
    data = Split(tokens, lengths % 2)
    task = Task("texts", 2, ("a", "b"), (40,), {"test": 150}, {"provider": "test"}, lambda split: data)
    whole = extract_features(task=task, split="test", backbone=Words(), ctx=Place())
    made = Words.made[-1]
    torch.testing.assert_close(whole.tensors["features"], features(made, tokens).detach())
    assert sorted({shape[1] for shape in made[0].seen[:-1]}) == [16, 32, 40], "cut to what the longest needs"
    low = extract_features(task=task, split="test", backbone=Words(), layer="embeddings", ctx=Place())
    assert low.tensors["features"].shape == (150, 40, 4)
    torch.testing.assert_close(low.tensors["features"], made[0](tokens).detach())
    on = extract_features(task=task, split="test", backbone=Words(), below=low, ctx=Place())
    torch.testing.assert_close(on.tensors["features"], whole.tensors["features"])
