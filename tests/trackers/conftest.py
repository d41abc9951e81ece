"""A small study in a store, to be shown: three trials, two trainings with curves, one failure."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from harness.store import AttemptRow, CurveRow, Group, MeasurementRow, StageRecord, Store
from harness.trackers import Run

STUDY = "flips"
CURVES = {"a": [(1, 2.5), (2, 0.1), (3, math.pi)], "b": [(1, 1e-300), (2, 1 / 3), (5, -0.0)]}
VALUES = {"a": 0.1, "b": 0.7000000000000001}
ENDED = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


def key_of(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:32]


def trained(name: str) -> Group:
    """A training with a curve, and the evaluation that its trial ends in."""
    arguments = {
        "task": {"task": f"digits_{name}", "classes": [str(n) for n in range(10)], "sizes": {"train": 9}},
        "backbone": {"backbone": "mlp", "options": {"hidden": 8}},
        "budget": {"steps": 4, "lr": 0.1},
    }
    train = StageRecord(key_of(f"train {name}"), "train", preimage=json.dumps({"arguments": arguments}), seconds=2.5)
    inputs = json.dumps({train.key: "sha"})
    end = StageRecord(key_of(name), "evaluate", inputs=inputs, seconds=0.5)
    train.finished_at = end.finished_at = ENDED
    value = MeasurementRow(end.key, end.attempt, f"half(of=digits, side={name})", "test", "accuracy", VALUES[name], 100)
    curve = [CurveRow(train.key, train.attempt, "train/loss", step, loss) for step, loss in CURVES[name]]
    return Group([train, end], [value], curve)


def planned(names: list[str]) -> dict[str, list[Any]]:
    count = len(names)
    return {
        "trial_id": [f"trial-{name}" for name in names],
        "key": [key_of(name) for name in names],
        "source": [f"digits_{name}" for name in names],
        "target": ["digits_upright"] * count,
        "method": ["fine_tune"] * count,
        "seed": ["0"] * count,
        "params": [json.dumps({"shots": 5, "lr": 0.1})] * count,
        "plan": ["".join(names)] * count,
    }


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Trials a and b are planned, a is done; c failed. ``trained("b")`` is what is still to come."""
    store = Store.open(tmp_path / "results", create=True)
    store.write_trials(STUDY, planned(["a", "b", "c"]), [key_of("train a"), key_of("train b")])
    group = trained("a")
    group.attempts.append(AttemptRow(key_of("c"), "evaluate", "f" * 32, "oom", "too large", finished_at=ENDED))
    store.commit(group)
    return store


@pytest.fixture
def collector() -> Collector:
    return Collector()


class Collector:
    """A tracker that keeps runs in memory; ``before`` may interrupt a write."""

    def __init__(self) -> None:
        self.runs: list[Run] = []
        self.settled = 0
        self.before: Callable[[Run], None] = lambda run: None

    def known(self) -> set[str]:
        return {run.id for run in self.runs}

    def write(self, run: Run) -> None:
        self.before(run)
        self.runs.append(run)

    def settle(self) -> None:
        self.settled = len(self.runs)

    def place(self) -> str:
        return "memory"
