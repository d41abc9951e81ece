"""Size and ImageNet accuracy: against torch's own count and the published tables."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from analysis.known_models import known_models
from harness.backbones.small import Mlp
from harness.errors import HarnessError
from harness.estimators import score
from harness.estimators.baselines import imagenet_accuracies, imagenet_accuracy, parameter_count
from harness.methods.base import Trial
from harness.registry import BACKBONES
from tests.training.places import run_stages
from tests.training.toys import cloud


def test_parameters_of_a_module() -> None:
    network = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2, bias=False))
    assert score("parameter_count", model=network) == 4 * 3 + 3 + 3 * 2


def test_parameters_of_a_backbone_are_those_below_its_head() -> None:
    """Whatever the number of the target's classes."""
    values = set()
    for classes in (2, 4):
        stage = parameter_count(Trial(cloud("a"), cloud("x", classes=classes), Mlp(hidden=6)))
        (row,) = run_stages([stage])[stage.key].rows
        assert (row.metric, row.task) == ("score", "x")
        values.add(row.value)
    network = Mlp(hidden=6).build(1, (5,), torch.Generator())
    assert values == {float(sum(p.numel() for name, p in network.named_parameters() if "head" not in name))}


def test_the_published_figures() -> None:
    found = imagenet_accuracies()
    assert found["resnet50"] == 0.7615 and found["efficientnet_lite0"] == 0.751
    assert score("imagenet_accuracy", model="ResNet-50") == 0.7615 == score("imagenet_accuracy", model="resnet_50")
    known = known_models()
    assert {name: found[name] for name in known} == {name: row["imagenet_top1"] for name, row in known.items()}


def test_the_accuracy_of_a_backbone_by_its_name() -> None:
    stage = imagenet_accuracy(Trial(cloud("a"), cloud("x"), BACKBONES.get("efficientnet_lite1")()))
    (row,) = run_stages([stage])[stage.key].rows
    assert row.value == 0.767
    with pytest.raises(HarnessError, match="no figure is known for 'mlp'"):
        imagenet_accuracy(Trial(cloud("a"), cloud("x"), Mlp()))


def test_neither_reads_the_source() -> None:
    for entry in (parameter_count, imagenet_accuracy):
        assert set(entry.reads) == {"target", "backbone"}
