"""What the driver makes of lost workers, on workers that are lost on command."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.errors import HarnessError
from harness.execution.messages import Call
from harness.execution.study_run import _Run
from tests.execution.lab import Lab, chains, toys
from tests.execution.stand_ins import Fate, Unlucky

Runner = Callable[..., tuple[Any, Unlucky]]


@pytest.fixture
def run_with(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Runner:
    """Run terminals on workers with a fate; return the summary and the executor."""

    def run(terminals: Any, fate: Fate, study: dict[str, Any] | None = None, **options: Any) -> tuple[Any, Unlucky]:
        made: list[Unlucky] = []

        def executor(self: _Run) -> Unlucky:
            made.append(Unlucky(self._setup, fate))
            return made[0]

        monkeypatch.setattr(_Run, "_executor", executor)
        return lab.run(terminals, study, **options), made[0]

    return run


def first_batch(call: Call) -> list[str]:
    """The keys that a worker begins a call with."""
    width = 1 if call.waves[0][0].kind.batch is None else call.waves[0][0].kind.batch.width
    return [spec.key for spec in call.waves[0]][:width]


def poison(bad: str) -> Fate:
    """A stage that kills whatever worker begins its batch."""

    def fate(call: Call, keys: list[str]) -> Any:
        return ("crashed", first_batch(call)) if bad in first_batch(call) else None

    return fate


@pytest.mark.parametrize("position", [0, 3, 7])
def test_bisection_finds_the_poisonous_stage(lab: Lab, run_with: Runner, position: int) -> None:
    stages = [toys.herd.bind(index=i) for i in range(8)]
    bad = stages[position]
    summary, executor = run_with(stages, poison(bad.key))
    assert (summary.done, summary.failed) == (7, 1)
    assert [value is None for value in lab.values(stages)] == [stage is bad for stage in stages]
    deaths = [len(keys) for keys in executor.history if bad.key in keys]
    assert deaths == [8, 4, 2, 1, 1, 1]
    assert lab.attempts(bad)[-1].reason == "its worker was lost (crashed)"
    assert all(row.status == "crashed" for row in lab.attempts())


def test_a_stage_alone_is_tried_again_as_often_as_asked(lab: Lab, run_with: Runner) -> None:
    stage = toys.noop.bind(index=1)
    summary, executor = run_with([stage], poison(stage.key), crash_retries=4)
    assert summary.failed == 1 and len(executor.history) == 5


def test_only_the_stage_that_ran_is_blamed_in_a_chain(lab: Lab, run_with: Runner) -> None:
    net = toys.tune.bind(init=toys.base.bind(seed=0))
    good, bad = toys.score.bind(net=net, split="val"), toys.score.bind(net=net, split="test")

    def fate(call: Call, keys: list[str]) -> Any:
        return ("crashed", [bad.key]) if bad.key in keys else None

    summary, _ = run_with([good, bad], fate)
    assert (summary.done, summary.failed) == (1, 1)
    assert lab.value(good) is not None
    assert lab.store.records().status(net.key) == "ok"


def test_losses_of_idle_workers_are_nobodys_fault(lab: Lab, run_with: Runner) -> None:
    left = iter([True] * 3)

    def fate(call: Call, keys: list[str]) -> Any:
        return ("crashed", []) if next(left, False) else None

    stages = [toys.noop.bind(index=i) for i in range(3)]
    summary, _ = run_with(stages, fate)
    assert (summary.done, summary.failed) == (3, 0)
    assert lab.attempts() == []


def test_a_call_that_never_comes_back_is_given_up(lab: Lab, run_with: Runner) -> None:
    stage = toys.noop.bind(index=0)
    summary, executor = run_with([stage], lambda call, keys: ("crashed", []))
    assert summary.failed == 1 and len(executor.history) < 20
    assert "without a result" in lab.attempts(stage)[-1].reason


def test_a_preempted_worker_costs_no_try(lab: Lab, run_with: Runner) -> None:
    left = iter([True] * 8)

    def fate(call: Call, keys: list[str]) -> Any:
        return ("preempted", first_batch(call)) if next(left, False) else None

    stage = toys.noop.bind(index=0)
    summary, _ = run_with([stage], fate)
    assert summary.done == 1
    assert Counter(lab.statuses(stage)) == {"preempted": 8}


def test_a_worker_out_of_memory_climbs_down_the_ladder(lab: Lab, run_with: Runner) -> None:
    def fate(call: Call, keys: list[str]) -> Any:
        return ("oom", first_batch(call)) if call.rung.divide < 4 else None

    stages = [toys.herd.bind(index=i) for i in range(8)]
    summary, executor = run_with(stages, fate)
    assert summary.done == 8
    assert [call.rung.divide for call in executor.calls][:3] == [1, 2, 4]
    assert {lab.store.records().field(stage.key, "width") for stage in stages} == {2}
    assert lab.statuses(stages[0]) == ["oom", "oom"]


def test_then_to_a_bigger_slot_and_then_it_has_failed(lab: Lab, run_with: Runner) -> None:
    study = {"execution": SimpleNamespace(resources={"noop": {"gpus": 0.25}}, retention={})}
    stage = toys.noop.bind(index=0)
    summary, executor = run_with([stage], lambda call, keys: ("oom", keys), study)
    assert summary.failed == 1
    shares = [max(resources.gpus for resources in demand) for demand in executor.demands if demand]
    assert sorted(set(shares)) == [0.25, 0.5, 1.0]
    assert [call.rung.slot for call in executor.calls] == [0, 1, 2]
    assert set(lab.statuses(stage)) == {"oom"}


def test_a_stage_short_of_memory_moves_to_a_bigger_slot(lab: Lab, run_with: Runner, tmp_path: Path) -> None:
    study = {"execution": SimpleNamespace(resources={"fussy": {"gpus": 0.5}}, retention={})}
    stage = toys.fussy.bind(index=4, how="memory", marker=str(tmp_path / "marker"))
    summary, executor = run_with([stage], lambda call, keys: None, study)
    assert summary.done == 1 and lab.value(stage) == 4.0
    assert [call.rung.slot for call in executor.calls] == [0, 1]
    assert "tried again with 1 of a GPU" in lab.attempts(stage)[-1].reason


def test_a_stuck_batch_is_halved_and_the_stuck_stage_times_out(lab: Lab, run_with: Runner) -> None:
    stages = [toys.herd.bind(index=i) for i in range(8)]
    bad = stages[6].key

    def fate(call: Call, keys: list[str]) -> Any:
        return ("timeout", first_batch(call)) if bad in first_batch(call) else None

    summary, executor = run_with(stages, fate)
    assert (summary.done, summary.failed) == (7, 1)
    assert [len(keys) for keys in executor.history if bad in keys] == [8, 4, 2, 1]
    assert lab.statuses(stages[6])[-1] == "timeout"


def test_what_cannot_be_sent_is_found_among_what_can(lab: Lab, run_with: Runner) -> None:
    stages = [toys.herd.bind(index=i) for i in range(8)]
    bad = stages[2].key
    summary, _ = run_with(stages, lambda call, keys: "Traceback\nTypeError: no" if bad in keys else None)
    assert (summary.done, summary.failed) == (7, 1)
    row = lab.attempts(stages[2])[-1]
    assert row.reason == "it could not be run: TypeError: no" and row.error == "Traceback\nTypeError: no"


def test_a_driver_that_cannot_go_on_says_so(lab: Lab, run_with: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.execution.ledger import Ledger

    monkeypatch.setattr(Ledger, "_notify", lambda self, key: [])
    with pytest.raises(HarnessError, match="1 stages wait for inputs that nothing will make"):
        run_with([toys.score.bind(net=toys.base.bind(seed=0))], lambda call, keys: None)


def test_what_was_in_flight_is_done_again_and_only_that(lab: Lab, run_with: Runner) -> None:
    seen: list[int] = []

    def fate(call: Call, keys: list[str]) -> Any:
        seen.append(call.number)
        return ("crashed", first_batch(call)) if len(seen) in (2, 4) else None

    terminals = chains(6, 2)
    summary, _ = run_with(terminals, fate, batch=4)
    assert (summary.done, summary.failed) == (12, 0)
    assert Counter(lab.store.records().column("kind")) == {"base": 2, "tune": 12, "score": 12}


def test_calls_hold_references_not_graphs(lab: Lab, run_with: Runner) -> None:
    _, executor = run_with(chains(4, 1), lambda call, keys: None)
    call = executor.calls[-1]
    kinds = [[spec.kind.name for spec in wave] for wave in call.waves]
    assert kinds == [["tune", "score"] * 4]
    assert set(call.inputs) == {toys.base.bind(seed=0).key}
    assert [spec.inputs for wave in call.waves for spec in wave if spec.kind.name == "score"] == [
        (spec.key,) for wave in call.waves for spec in wave if spec.kind.name == "tune"
    ]


def test_batches_fill_their_width(lab: Lab, run_with: Runner) -> None:
    stages = [toys.herd.bind(index=i) for i in range(20)]
    _, executor = run_with(stages, lambda call, keys: None)
    assert len(executor.history[0]) == 8, "nothing is known of the pace: one batch"
    assert sum(len(keys) for keys in executor.history) == 20
    assert all(len(wave) % 8 == 0 or wave is call.waves[-1] for call in executor.calls for wave in call.waves)
