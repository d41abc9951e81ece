"""Training on from a backbone that brings its weights: from those weights, and one network at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from harness.backbones.pretrained import Pretrained
from harness.backbones.small import Mlp
from harness.graph import Weights
from harness.training import calls
from harness.training.settings import Budget, Optimiser
from harness.training.stages import adapt, train
from tests.training.places import Place, run_batch, same_bits
from tests.training.toys import cloud

BODY = Mlp(hidden=6)


@dataclass(frozen=True)
class Readymade(Pretrained):
    """A perceptron whose weights below the head are given."""

    name: ClassVar[str] = "readymade_mlp"
    layers: ClassVar[tuple[str, ...]] = BODY.layers  # type: ignore[misc]  # a constant will do

    def feature_width(self, input_shape: tuple[int, ...]) -> int:
        return BODY.feature_width(input_shape)

    def check(self, input_shape: tuple[int, ...]) -> tuple[str, ...]:
        return ()

    def published(self) -> Mapping[str, Tensor]:
        return BODY.build(3, (5,), torch.Generator().manual_seed(7)).state_dict()

    def build(self, n_classes: int, input_shape: tuple[int, ...], generator: torch.Generator) -> nn.Sequential:
        made = BODY.build(n_classes, input_shape, generator)
        made[:-1].load_state_dict({name: t for name, t in self.published().items() if not name.startswith("head")})
        return made


def test_training_starts_from_the_published_weights() -> None:
    still = train(
        task=cloud(), backbone=Readymade(), budget=Budget(steps=2), optimiser=Optimiser(lr=0.0), seed=3, ctx=Place()
    )
    published = Readymade().published()
    assert all(torch.equal(still.tensors[name], published[name]) for name in published if not name.startswith("head"))
    moved = train(task=cloud(), backbone=Readymade(), budget=Budget(steps=2), ctx=Place())
    assert not torch.equal(moved.tensors["hidden1.1.weight"], published["hidden1.1.weight"])


def test_members_of_a_batch_are_trained_one_by_one(monkeypatch) -> None:
    widths = []
    inner = calls.train_members

    def counted(program, members, *rest):
        widths.append(len(members))
        return inner(program, members, *rest)

    monkeypatch.setattr(calls, "train_members", counted)
    bound = [train.bind(task=cloud(name), backbone=Readymade(), budget=Budget(steps=3)) for name in ("one", "two")]
    results = run_batch(bound, {})
    assert widths == [1, 1], "what only fills a batch up is not trained again"
    for stage, got in zip(bound, results, strict=True):
        alone = train(task=stage.arguments["task"], backbone=Readymade(), budget=Budget(steps=3), ctx=Place())
        assert isinstance(got, Weights) and same_bits(got.tensors, alone.tensors)
    further = adapt.bind(task=cloud("three"), init=bound[0], backbone=Readymade(), budget=Budget(steps=3))
    (adapted,) = run_batch([further], {bound[0].key: results[0]})
    assert widths == [1, 1, 1, 1, 1] and isinstance(adapted, Weights)
