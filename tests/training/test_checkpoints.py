"""Weights that exist already: read from files that are still what they were, or taken from the store."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from safetensors.torch import save_file

from harness.backbones.base import Checkpoint
from harness.backbones.pretrained import Pretrained
from harness.backbones.small import Mlp
from harness.errors import HarnessError
from harness.graph import Weights
from harness.training.checkpoints import checkpoint_weights, load_checkpoint, published_weights, stored_weights
from harness.training.stages import average_weights, evaluate, initialise
from tests.training.places import Place, same_bits
from tests.training.toys import cloud

NET = Mlp(hidden=3)


def test_a_file_gives_its_weights(tmp_path: Path) -> None:
    net = initialise(backbone=Mlp(hidden=6), input_shape=(5,), n_classes=3, ctx=Place())
    path = tmp_path / "net.safetensors"
    save_file(dict(net.tensors), path)
    loaded = load_checkpoint(checkpoint=Checkpoint(path=str(path)))
    assert same_bits(loaded.tensors, net.tensors)
    rows = [evaluate(task=cloud(), weights=each, backbone=Mlp(hidden=6), ctx=Place()).rows for each in (net, loaded)]
    assert rows[0] == rows[1]


def test_the_key_is_of_the_bytes_not_of_the_place(tmp_path: Path) -> None:
    keys = set()
    for folder, value in (("one", 1.0), ("two", 1.0), ("three", 2.0)):
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / "net.safetensors"
        save_file({"x": torch.tensor([value])}, path)
        keys.add(checkpoint_weights(Checkpoint(path=str(path))).key)
    assert len(keys) == 2


def test_a_file_that_changed_since_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    save_file({"x": torch.ones(1)}, path)
    named = Checkpoint(path=str(path))
    save_file({"x": torch.ones(2)}, path)
    with pytest.raises(HarnessError, match="is not the file it was when the study was planned"):
        load_checkpoint(checkpoint=named)


def test_a_file_of_another_kind_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    path.write_bytes(b"not weights")
    with pytest.raises(HarnessError, match="is not a safetensors file"):
        load_checkpoint(checkpoint=Checkpoint(path=str(path)))


def test_an_artifact_is_an_input_with_that_very_key() -> None:
    described = checkpoint_weights(Checkpoint(artifact="ab" * 16))
    assert described.key == "ab" * 16 and described.kind is stored_weights
    with pytest.raises(HarnessError, match=f"no weights under the key {'ab' * 16}"):
        stored_weights(**described.arguments)


def test_a_hub_name_is_refused_by_small_backbones() -> None:
    with pytest.raises(HarnessError, match="hub/net@1: this backbone loads weights from files and artifacts only"):
        checkpoint_weights(Checkpoint(name="hub/net", revision="1"))


def test_an_average_is_the_mean_of_every_tensor() -> None:
    nets = tuple(
        initialise(backbone=Mlp(hidden=6), input_shape=(5,), n_classes=3, seed=seed, ctx=Place()) for seed in range(3)
    )
    mean = average_weights(weights=nets, ctx=Place())
    for name, tensor in mean.tensors.items():
        by_hand = (nets[0].tensors[name] + nets[1].tensors[name] + nets[2].tensors[name]) / 3
        torch.testing.assert_close(tensor, by_hand)
        assert tensor.dtype == torch.float32
    with pytest.raises(HarnessError, match="one network shape"):
        average_weights(weights=(nets[0], Weights({"head.bias": torch.zeros(2)})), ctx=Place())


@dataclasses.dataclass(frozen=True)
class Published(Pretrained):
    """A perceptron that comes with weights, or without."""

    weights: str = "none"
    name: ClassVar[str] = "published_mlp"
    layers: ClassVar[tuple[str, ...]] = NET.layers  # type: ignore[misc]  # a constant will do

    def feature_width(self, input_shape: tuple[int, ...]) -> int:
        return NET.feature_width(input_shape)

    def check(self, input_shape: tuple[int, ...]) -> tuple[str, ...]:
        return ()

    def published(self) -> Mapping[str, torch.Tensor]:
        assert self.weights == "big_data"
        return {"hidden1.1.bias": torch.arange(3.0)}

    def build(self, n_classes: int, input_shape: tuple[int, ...], generator: torch.Generator) -> torch.nn.Sequential:
        return NET.build(n_classes, input_shape, generator)


def test_published_weights_are_a_source_beside_the_same_network_without() -> None:
    described = checkpoint_weights(Checkpoint(name="published_mlp", revision="big_data"), Published())
    assert described.key == published_weights.bind(backbone=Published("big_data")).key
    found = published_weights(backbone=Published("big_data"))
    assert found.tensors["hidden1.1.bias"].tolist() == [0.0, 1.0, 2.0] and found.header["flags"] == []
    with pytest.raises(HarnessError, match="another@1: this backbone loads weights from files"):
        checkpoint_weights(Checkpoint(name="another", revision="1"), Published())
    with pytest.raises(HarnessError, match="mlp comes without weights"):
        published_weights(backbone=NET)
