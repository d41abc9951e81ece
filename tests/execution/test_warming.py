"""Data are brought to a node before its first stage is timed: once, by one worker, and never to the harm of a run."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.backbones.base import Backbone
from harness.execution.warming import named_values, warm
from harness.graph import Measurement, Measurements, stage
from harness.store import scratch_root
from harness.tasks.base import Split, Task, TaskSet

READ: list[str] = []
COPIED: list[str] = []


def load(name: str, split: str) -> Split:
    """Load, and copy where the node has no copy yet."""
    READ.append(f"{name}/{split}")
    scratch = scratch_root()
    marker = None if scratch is None else scratch / f"{name}-{split}"
    if marker is None or not marker.exists():
        COPIED.append(f"{name}/{split}")
        if marker is not None:
            marker.parent.mkdir(parents=True, exist_ok=True)
            marker.touch()
    if name == "broken":
        raise OSError("no such file")
    return Split(torch.zeros(2, 3), torch.zeros(2, dtype=torch.int64))


def task(name: str) -> Task:
    return Task(
        name=name, n_classes=2, class_names=("a", "b"), input_shape=(3,), sizes={"train": 2, "test": 2},
        data={"name": name}, load=functools.partial(load, name),
    )  # fmt: skip


@stage(version=1)
def look(of: Task, also: TaskSet | None = None, index: int = 0) -> Measurements:
    copied = len(COPIED)
    of.split("train")
    return Measurements((Measurement("copied", float(len(COPIED) - copied), "test", of.name),))


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    READ.clear()
    COPIED.clear()
    monkeypatch.setenv("HARNESS_SCRATCH", str(tmp_path / "scratch"))


def test_what_stages_name_is_found_once() -> None:
    a, b, c = task("a"), task("b"), task("c")
    stages = [look.bind(of=a), look.bind(of=task("a"), index=1), look.bind(of=b, also=TaskSet((a, c)))]
    assert [one.name for one in named_values(stages)] == ["a", "b", "c"]


def test_without_a_scratch_disk_nothing_is_read_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HARNESS_SCRATCH")
    monkeypatch.delenv("SLURM_TMPDIR", raising=False)
    assert named_values([look.bind(of=task("a"))]) == ()
    assert warm([task("a")]) == 0 and READ == []


def test_one_worker_of_a_node_reads_for_all() -> None:
    assert warm([task("a"), task("b")]) == 2
    assert READ == ["a/train", "a/test", "b/train", "b/test"]
    assert warm([task("a"), task("b")]) == 0 and len(READ) == 4
    assert warm([task("a"), task("c")]) == 2, "another plan may name more"


def test_what_cannot_be_read_is_left_to_its_stage(capsys: pytest.CaptureFixture[str]) -> None:
    assert warm([task("broken"), task("a")]) == 2
    assert "could not be read ahead: no such file" in capsys.readouterr().out
    assert READ[-1] == "a/test"


def test_published_weights_are_read(tmp_path: Path) -> None:
    class Weighty(Backbone):
        name = "weighty"

        def identity(self) -> dict[str, Any]:
            return {"name": "weighty"}

        def published(self) -> dict[str, torch.Tensor]:
            READ.append("weights")
            return {}

    Weighty.__abstractmethods__ = frozenset()
    assert warm([Weighty()]) == 1 and READ == ["weights"]


def test_the_time_of_copying_is_in_no_record(tmp_path: Path) -> None:
    """A worker that is told what its stages read has it on its node before it takes the first call."""
    from harness.execution.worker import Worker, WorkerSetup

    setup = WorkerSetup("", tmp_path / "store", warm=named_values([look.bind(of=task("a"))]))
    Worker(setup)
    assert COPIED == ["a/train", "a/test"], "both splits were read while the worker started"
    assert look(of=task("a")).rows[0].value == 0, "and the stage finds them on the node"
