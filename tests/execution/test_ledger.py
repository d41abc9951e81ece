"""What the ledger makes of plans and results: units, what they wait for, what dies and why."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from typing import Any

import pytest

from harness.execution.ledger import Death, Ledger, artifact_class, flags_after, name_of
from harness.execution.messages import Result
from harness.execution.units import MAX_FUSED, Unit, externals, needed_members
from harness.graph import Choice, Measurement, Node, Resources, Stage, Weights
from harness.store import ArtifactRef
from tests.execution.lab import chains, toys, tuned_choice

REF = ArtifactRef("artifacts/a", "a", "0" * 64, 4)


@dataclass
class Known:
    """Records in a dict: key -> (status, attempt, flags, value, artifact)."""

    rows: dict[str, tuple[str, str, tuple[str, ...], str | None, ArtifactRef | None]] = field(default_factory=dict)

    def add(
        self, stage: Node, status: str = "ok", flags: tuple[str, ...] = (), value: Any = None, ref: Any = None
    ) -> None:
        self.rows[stage.key] = (status, f"attempt of {stage.key[:4]}", flags, value, ref)

    def _part(self, key: str, part: int) -> Any:
        return self.rows[key][part] if key in self.rows else None

    def status(self, key: str) -> str | None:
        return self._part(key, 0)

    def attempt(self, key: str) -> str | None:
        return self._part(key, 1)

    def flags(self, key: str) -> tuple[str, ...]:
        return self._part(key, 2) or ()

    def value(self, key: str) -> str | None:
        return self._part(key, 3)

    def artifact(self, key: str) -> ArtifactRef | None:
        return self._part(key, 4)


def ledger_of(*terminals: Node, records: Known | None = None, **more: Any) -> tuple[Ledger, list[Unit]]:
    ledger = Ledger(records or Known(), lambda key: (), **more)
    for terminal in terminals:
        ledger.want(terminal)
    return ledger, ledger.form()


def result_of(stage: Stage, flags: tuple[str, ...] = (), saved: bool = False, value: Any = None) -> Result:
    kind = stage.kind
    result = Result(stage.key, "ok", f"new {stage.key[:4]}", flags=flags, value=value)
    if kind.result == "measurements":
        result.rows = (Measurement("accuracy", 0.5, "test", "toy"),)
    if kind.result == "artifact" and (kind.keep == "durable" or saved):
        result.artifact = REF
    return result


def do(ledger: Ledger, unit: Unit) -> list[Unit]:
    """Finish all wanted stages of a unit; return what can start because of it."""
    ready: list[Unit] = []
    for stage in unit.stages:
        if stage.key in unit.wanted:
            ready += ledger.finish(stage.key, result_of(stage, saved=stage.key in unit.saved))
    return ready + ledger.form()


def kinds(unit: Unit) -> list[str]:
    return [stage.kind.name for stage in unit.stages]


# --- units ---------------------------------------------------------------------------------------------------------


def test_a_transient_is_fused_with_its_consumers() -> None:
    ledger, ready = ledger_of(*chains(3, 1))
    assert [kinds(unit) for unit in ready] == [["base"]]
    started = do(ledger, ready[0])
    assert [kinds(unit) for unit in started] == [["tune", "score"]] * 3
    assert all(unit.width == 4 and not unit.saved for unit in started)


def test_all_consumers_of_a_transient_share_its_unit() -> None:
    net = toys.tune.bind(init=toys.base.bind(seed=0))
    scores = [toys.score.bind(net=net, split=split) for split in ("val", "test", "train")]
    ledger, ready = ledger_of(*scores)
    (unit,) = do(ledger, ready[0])
    assert kinds(unit) == ["tune", "score", "score", "score"]
    assert unit.reads == (toys.base.bind(seed=0).key,)


def test_a_transient_with_very_many_consumers_goes_through_the_store() -> None:
    net = toys.tune.bind(init=toys.base.bind(seed=0))
    scores = [toys.score.bind(net=net, task=f"task{i}") for i in range(MAX_FUSED + 20)]
    ledger, ready = ledger_of(*scores)
    (unit,) = do(ledger, ready[0])
    assert len(unit.stages) <= MAX_FUSED and unit.saved == {net.key}
    rest = do(ledger, unit)
    assert sum(len(other.stages) for other in rest) + len(unit.stages) == len(scores) + 1


def test_a_consumer_of_another_resource_class_gets_it_through_the_store() -> None:
    net = toys.tune.bind(init=toys.base.bind(seed=0))
    score = toys.score.bind(net=net)
    ledger, ready = ledger_of(score, resources_of=lambda stage: Resources(gpus=float(stage.kind.name == "tune")))
    (unit,) = do(ledger, ready[0])
    assert kinds(unit) == ["tune"] and unit.saved == {net.key}
    assert unit.resources == Resources(gpus=1.0)
    (last,) = do(ledger, unit)
    assert kinds(last) == ["score"] and last.resources == Resources()


def test_a_unit_never_waits_for_itself() -> None:
    """score reads the transient, pick reads score, and a second reader of the transient needs pick's value."""
    net = toys.tune.bind(init=toys.base.bind(seed=0))
    first = toys.tune.bind(init=toys.base.bind(seed=1))
    between = toys.features.bind(net=net)  # not transient: leaves the unit
    both = toys.tune.bind(init=between)
    ledger, ready = ledger_of(toys.score.bind(net=both), toys.score.bind(net=net), toys.score.bind(net=first))
    seen = 0
    while ready:
        unit = ready.pop()
        seen += len(unit.stages)
        ready += do(ledger, unit)
    assert seen == 9 and not ledger.pending_units()


def test_random_graphs_always_come_to_an_end() -> None:
    for turn in range(60):
        chance = random.Random(turn)
        nodes: list[Stage] = [toys.base.bind(seed=turn)]
        for i in range(25):
            kind = chance.choice([toys.tune, toys.features, toys.base, toys.score])
            inner = chance.choice([node for node in nodes if node.kind is not toys.score])
            if kind is toys.tune:
                nodes.append(toys.tune.bind(init=inner, seed=i))
            elif kind is toys.features:
                nodes.append(toys.features.bind(net=inner))
            elif kind is toys.base:
                nodes.append(toys.base.bind(seed=1000 + i))
            else:
                nodes.append(toys.score.bind(net=inner, task=f"t{i}"))
        terminals = [node for node in nodes if node.kind is toys.score]
        ledger, ready = ledger_of(*terminals)
        order: list[str] = []
        while ready or ledger.pending_units():
            if not ready:
                ready = ledger.split()
                assert ready, "stuck"
            unit = ready.pop(chance.randrange(len(ready)))
            for stage in needed_members(unit, ledger):
                assert all(needed.key in order or ledger.known(needed.key) for needed in stage.inputs), (
                    "an input was not there"
                )
                order.append(stage.key)
            ready += do(ledger, unit)
        assert all(node.key in ledger.finished for node in terminals)


def test_a_partly_done_unit_runs_only_what_is_left_and_what_that_needs() -> None:
    net = toys.tune.bind(init=toys.base.bind(seed=0))
    scores = [toys.score.bind(net=net, split=split) for split in ("val", "test")]
    ledger, ready = ledger_of(*scores)
    (unit,) = do(ledger, ready[0])
    ledger.finish(net.key, result_of(net))
    ledger.finish(scores[0].key, result_of(scores[0]))
    assert unit.wanted == {scores[1].key}
    assert needed_members(unit, ledger) == [net, scores[1]]
    assert externals(unit, ledger) == {toys.base.bind(seed=0).key}
    assert ledger.requeue(unit)


def test_longer_paths_come_first() -> None:
    long = toys.score.bind(net=toys.tune.bind(init=toys.base.bind(seed=0)))
    short = toys.score.bind(net=toys.base.bind(seed=1))
    costs = {"base": 5.0, "tune": 20.0, "score": 1.0}
    _, ready = ledger_of(short, long, cost=lambda stage: costs[stage.kind.name])
    assert sorted(unit.priority for unit in ready) == [6.0, 26.0]


# --- what is recorded ----------------------------------------------------------------------------------------------


def test_recorded_stages_are_not_asked_for_again() -> None:
    records = Known()
    terminal = toys.score.bind(net=toys.base.bind(seed=0))
    records.add(terminal)
    ledger, ready = ledger_of(terminal, records=records)
    assert not ready and terminal.key in ledger.finished


def test_a_recorded_artifact_is_an_input() -> None:
    records, source = Known(), toys.base.bind(seed=0)
    records.add(source, flags=("checked",), ref=REF)
    ledger, (unit,) = ledger_of(toys.score.bind(net=source), records=records)
    entry = ledger.input_of(source.key)
    assert kinds(unit) == ["score"]
    assert (entry.artifact, entry.made_by, entry.flags) == (REF, Weights, ("checked",))


def test_a_recorded_transient_without_artifact_runs_again() -> None:
    records = Known()
    net = toys.tune.bind(init=toys.base.bind(seed=0))
    records.add(net)
    records.add(net.inputs[0], ref=REF)
    ledger, (unit,) = ledger_of(toys.score.bind(net=net), records=records)
    assert kinds(unit) == ["tune", "score"]
    assert ledger.again == {net.key: f"attempt of {net.key[:4]}"}


def test_recorded_divergence_kills_what_needs_it() -> None:
    records = Known()
    net = toys.tune.bind(init=toys.base.bind(seed=0))
    records.add(net, status="diverged")
    terminal = toys.score.bind(net=net)
    ledger, ready = ledger_of(terminal, records=records)
    assert not ready and ledger.newly_dead == [terminal.key]
    assert ledger.dead[terminal.key].cause == "diverged" and not ledger.dead[terminal.key].own


def test_measurements_of_an_earlier_run_are_read_when_needed() -> None:
    records, rows = Known(), (Measurement("accuracy", 0.25, "val", "toy"),)
    score = toys.score.bind(net=toys.base.bind(seed=0))
    records.add(score)
    ledger = Ledger(records, lambda key: rows if key == score.key else ())
    ledger.want(toys.pick.bind(scores=(score,)))
    (unit,) = ledger.form()
    assert ledger.recorded_rows() == [score.key]
    assert kinds(unit) == ["pick"] and ledger.input_of(score.key).rows == rows


def test_another_driver_may_finish_what_waits_here() -> None:
    records = Known()
    terminal = toys.score.bind(net=toys.base.bind(seed=0))
    ledger, _ = ledger_of(terminal, records=records)
    assert ledger.open_keys() == {terminal.key, terminal.inputs[0].key}
    records.add(terminal.inputs[0], ref=REF)
    (unit,) = ledger.take_over(terminal.inputs[0].key)
    assert kinds(unit) == ["score"]
    records.add(terminal, status="diverged")
    ledger.take_over(terminal.key)
    assert ledger.dead[terminal.key].own and not unit.wanted


# --- death ---------------------------------------------------------------------------------------------------------


def test_death_spreads_to_all_that_depend_and_to_nothing_else() -> None:
    terminals = chains(2, 2)
    ledger, ready = ledger_of(*terminals)
    bad = ready[0].stages[0]
    ledger.fail(bad.key, Death("failed", "failed: boom", own=True))
    doomed = {node.key for node in terminals if bad.key in {node.inputs[0].inputs[0].key}}
    assert {key for key in ledger.dead if key in {node.key for node in terminals}} == doomed
    reasons = {ledger.dead[key].reason for key in doomed}
    assert reasons == {f"input init ({name_of(bad)}) failed: boom"}
    assert all(unit.wanted for unit in ledger.pending_units())


def test_transients_that_nobody_will_read_are_dropped() -> None:
    other = toys.base.bind(seed=9)
    net = toys.tune.bind(init=toys.base.bind(seed=0))
    score = toys.score.bind(net=net)
    ledger, ready = ledger_of(score, toys.score.bind(net=other))
    (unit,) = do(ledger, next(unit for unit in ready if unit.stages[0].key != other.key))
    ledger.fail(score.key, Death("failed", "failed", own=True))
    assert not unit.wanted and net.key not in ledger.open_keys()


@pytest.mark.parametrize(("cause", "dies"), [("diverged", False), ("untrained", False), ("failed", True)])
def test_tolerated_inputs_may_have_diverged(cause: Any, dies: bool) -> None:
    scores = [toys.noop.bind(index=i) for i in range(2)]
    pick = toys.pick.bind(scores=tuple(scores))
    ledger, _ = ledger_of(pick)
    ledger.fail(scores[0].key, Death(cause, "why", own=True))
    ready = ledger.finish(scores[1].key, result_of(scores[1]))
    assert (pick.key in ledger.dead) == dies
    assert bool(ready) != dies
    if not dies:
        assert ledger.input_of(scores[0].key).diverged


def test_an_untrained_input_kills_only_what_needs_it_trained() -> None:
    source = toys.base.bind(seed=0)
    tuned, plain = toys.score.bind(net=toys.tune.bind(init=source)), toys.score.bind(net=source)
    for skip in (True, False):
        ledger, (unit,) = ledger_of(tuned, plain, skip_untrained=skip)
        ready = ledger.finish(unit.stages[0].key, result_of(source, flags=("not_trained",)))
        assert (tuned.key in ledger.dead) == skip
        assert plain.key not in ledger.dead
        assert len(ready) == (1 if skip else 2)


def test_flags_taint_what_comes_after() -> None:
    assert flags_after((), []) == ()
    assert flags_after(("own",), [(False, ("not_trained",))]) == ("own",)
    assert flags_after(("own",), [(True, ("not_trained",))]) == ("own", "untrained_source")
    assert flags_after((), [(False, ("untrained_source",)), (False, ())]) == ("untrained_source",)


# --- choices -------------------------------------------------------------------------------------------------------


def test_a_choice_runs_its_option_and_keeps_what_options_may_need() -> None:
    choice, tests = tuned_choice([0.1, 0.2])
    ledger, ready = ledger_of(choice)
    units = do(ledger, ready[0])
    assert [kinds(unit) for unit in units] == [["tune", "score"]] * 2
    assert all(unit.saved == {unit.stages[0].key} for unit in units), "an option may read it later"
    (pick,) = [unit for done in units for unit in do(ledger, done)]
    ledger.finish(pick.stages[0].key, result_of(pick.stages[0], value={"index": 1}))
    (option,) = ledger.form()
    assert [stage.key for stage in option.stages] == [tests[1].key]
    ledger.finish(tests[1].key, result_of(tests[1]))
    assert ledger.newly_settled == [choice.key] and choice.key in ledger.finished
    assert ledger.chosen == {choice.key: 1}
    assert ledger.input_of(tests[1].key).rows


def test_a_choice_dies_with_its_selector() -> None:
    choice, _ = tuned_choice([0.1, 0.2])
    ledger, _ = ledger_of(choice)
    ledger.fail(choice.selector.key, Death("failed", "failed: none", own=True))
    assert ledger.newly_dead == [choice.key]
    assert ledger.dead[choice.key].reason == f"{name_of(choice.selector)} failed: none"


def test_a_selector_recorded_before_decides_at_once() -> None:
    records = Known()
    choice, tests = tuned_choice([0.1, 0.2])
    records.add(choice.selector, value=json.dumps({"index": 0}))
    ledger, ready = ledger_of(choice, records=records)
    assert ledger.chosen == {choice.key: 0}
    assert kinds(ready[0]) == ["base"] and tests[0].key in ledger.stages and tests[1].key not in ledger.stages


def test_a_recorded_choice_needs_nothing() -> None:
    for status in ("ok", "diverged"):
        records = Known()
        choice, _ = tuned_choice([0.1])
        records.add(choice, status=status)
        ledger, ready = ledger_of(choice, records=records)
        assert not ready and (choice.key in ledger.finished) == (status == "ok")
        assert (choice.key in ledger.dead) == (status == "diverged")


def test_an_option_that_is_done_already_settles_the_choice() -> None:
    records = Known()
    option = toys.noop.bind(index=1)
    choice = Choice(toys.pick.bind(scores=(option,)), [option])
    records.add(option)
    records.add(choice.selector, value=json.dumps({"index": 0}))
    ledger, ready = ledger_of(choice, records=records)
    assert not ready and ledger.newly_settled == [choice.key]


# --- damage --------------------------------------------------------------------------------------------------------


def test_a_damaged_artifact_sends_its_producer_back() -> None:
    records, source = Known(), toys.base.bind(seed=0)
    records.add(source, ref=REF)
    score = toys.score.bind(net=source)
    ledger, (waiting,) = ledger_of(score, records=records)
    assert ledger.current_attempt(source.key) is not None
    (again,) = ledger.damage(source.key)
    assert kinds(again) == ["base"] and ledger.current_attempt(source.key) is None
    assert not ledger.requeue(waiting) and waiting.unmet == 1
    assert ledger.finish(source.key, result_of(source)) == [waiting]


def test_names_and_classes() -> None:
    stage = toys.base.bind(seed=0)
    choice, _ = tuned_choice([0.1])
    assert name_of(stage) == f"base {stage.key[:8]}" and name_of(choice) == f"choice {choice.key[:8]}"
    assert artifact_class(stage.kind) is Weights
