"""The recipe: which stages it names, what they share, and that they run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch

from harness.backbones.base import Untrained
from harness.backbones.efficientnet_lite import EfficientNetLite0
from harness.backbones.small import Mlp
from harness.errors import HarnessError
from harness.graph import Stage
from harness.methods.base import Trial
from harness.methods.probe_path import probe_path
from harness.tasks.base import Split, Task
from tests.training.places import run_stages
from tests.training.toys import cloud

NET = Mlp(hidden=6)


def inputs_of(stage: Stage, kind: str) -> list[Stage]:
    found = [stage] if stage.kind.name == kind else []
    return found + [other for needed in stage.inputs for other in inputs_of(needed, kind)]


def test_runs_from_a_source_to_a_measurement() -> None:
    trial = Trial(source=cloud("source"), target=cloud(), backbone=NET, seed=1, source_seed=1)
    terminal = probe_path(trial, shots=4, source_steps=20)
    (row,) = run_stages([terminal])[terminal.key].rows
    assert (row.task, row.split, row.n_eval) == ("cloud", "test", 24)
    assert row.value > 0.5


def test_validation_chooses_and_test_only_measures() -> None:
    terminal = probe_path(Trial(source=cloud("source"), target=cloud(), backbone=NET))
    (probe,) = inputs_of(terminal, "fit_probe_path")
    assert {stage.arguments["split"] for stage in inputs_of(probe, "extract_features")} == {"train", "val"}
    other = probe_path(Trial(source=cloud("source"), target=cloud(), backbone=NET), strengths=(0.1,))
    assert inputs_of(other, "extract_features")[0].key in {s.key for s in inputs_of(terminal, "extract_features")}


def pictures() -> Task:
    def load(split: str) -> Split:
        return Split(torch.rand(4, 3, 32, 32), torch.arange(4) % 2)

    return Task("p", 2, ("a", "b"), (3, 32, 32), dict.fromkeys(("train", "val", "test"), 4), {"provider": "t"}, load)


@dataclass(frozen=True)
class Unfetched(EfficientNetLite0):
    """Would fail if anything asked for its weights while planning."""

    name: ClassVar[str] = "unfetched"


def test_a_pretrained_network_is_one_whatever_the_seed() -> None:
    trial = Trial(source=Untrained(), target=pictures(), backbone=Unfetched(resolution=32))
    plans = [probe_path(replace(trial, seed=seed, source_seed=seed)) for seed in (0, 1)]
    keys = [{stage.key for stage in inputs_of(plan, "extract_features")} for plan in plans]
    assert keys[0] == keys[1] and plans[0].key != plans[1].key
    assert inputs_of(plans[0], "initialise") == []
    scratch = probe_path(replace(trial, target=cloud(), backbone=NET))
    assert len(inputs_of(scratch, "initialise")) == 3, "a network without weights of its own starts from its seed"


def test_pictures_of_another_size_are_refused_while_planning() -> None:
    with pytest.raises(HarnessError, match="used at 224 × 224"):
        probe_path(Trial(source=Untrained(), target=pictures(), backbone=Unfetched()))
