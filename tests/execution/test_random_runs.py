"""Random studies under random misfortune end with the same rows as in peace."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from harness.execution.messages import Call
from harness.execution.study_run import _Run
from harness.graph import Choice, Node, Stage
from tests.execution.lab import Lab, toys
from tests.execution.stand_ins import Unlucky


def random_study(chance: random.Random) -> list[Node]:
    """Terminals of a random graph: transients, cached features, shared sources, choices, some that diverge."""
    nets: list[Stage] = [toys.base.bind(seed=i, flag="not_trained" if i == 2 else "") for i in range(3)]
    for i in range(12):
        lr = 500.0 if chance.random() < 0.1 else round(chance.uniform(0.05, 0.9), 3)
        make = chance.choice(["tune", "tune", "features"])
        inner = chance.choice([net for net in nets if net.kind is not toys.features])
        nets.append(toys.tune.bind(init=inner, lr=lr, seed=i) if make == "tune" else toys.features.bind(net=inner))
    terminals: list[Node] = []
    for i, net in enumerate(nets):
        if net.kind is toys.features:
            terminals.append(toys.read_features.bind(found=net, task=f"t{i}"))
        else:
            terminals += [toys.score.bind(net=net, task=f"t{i}", split=split) for split in ("val", "test")]
    for group in range(2):
        nets_of_choice = chance.sample([net for net in nets if net.kind is toys.tune], 2)
        scores = [toys.score.bind(net=net, task=f"pick{group}", split="val") for net in nets_of_choice]
        finals = [toys.score.bind(net=net, task=f"pick{group}", split="test") for net in nets_of_choice]
        terminals.append(Choice(toys.pick.bind(scores=tuple(scores)), finals))
    return terminals


def misfortune(chance: random.Random, left: list[int]) -> Any:
    """Lose a worker now and then, in the middle of a batch or between two, by any cause that is no stage's fault."""

    def fate(call: Call, keys: list[str]) -> Any:
        if left[0] <= 0 or chance.random() < 0.6:
            return None
        left[0] -= 1
        running = chance.sample(keys, min(len(keys), 4)) if chance.random() < 0.7 else []
        return (chance.choice(["preempted", "crashed"]) if len(running) != 1 else "preempted", running)

    return fate


def outcome(lab: Lab, terminals: list[Node]) -> list[tuple[str | None, float | None]]:
    records = lab.store.records()
    return [(records.status(node.key), lab.value(node)) for node in terminals]


@pytest.mark.parametrize("turn", range(8))
def test_misfortune_changes_no_outcome(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, turn: int) -> None:
    chance = random.Random(turn)
    terminals = random_study(chance)
    peace = lab.run(terminals)
    wanted = outcome(lab, terminals)
    other = Lab(tmp_path / "other", {**lab.defaults, "disk_cache": tmp_path / "other cache"})
    monkeypatch.setattr(_Run, "_executor", lambda run: Unlucky(run._setup, misfortune(chance, [8])))
    shuffled = chance.sample(terminals, len(terminals))
    other.run(shuffled[: len(shuffled) // 2], batch=chance.choice([1, 3, 50]), crash_retries=9)
    summary = other.run(shuffled, batch=chance.choice([1, 3, 50]), crash_retries=9)
    assert outcome(other, terminals) == wanted
    assert (summary.done, summary.skipped, summary.diverged, summary.failed) == (
        peace.done,
        peace.skipped,
        peace.diverged,
        0,
    )
    keys = list(other.store.records())
    assert len(keys) == len(set(keys))
    assert other.run(terminals).stages_run == 0
