"""What the driver makes of what workers report: results into the ledger and into rows, failures up their ladder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from harness.execution import ladder
from harness.execution.batches import Pace, Queue
from harness.execution.committer import Committed, Committer
from harness.execution.ledger import Death, Ledger, name_of
from harness.execution.messages import Call, Lost, Refused, Reply, Result, Rung
from harness.execution.pools import Seat
from harness.execution.progress import Display
from harness.execution.rows import RowMaker
from harness.execution.units import Unit
from harness.graph import Stage
from harness.store import Group, StageRecord, new_id

MAX_DAMAGES = 3
MAX_FRUITLESS = 6


class StageRecords(Protocol):
    """Full records by key, with a lock against changes while they are read."""

    lock: Any

    def full_record(self, key: str) -> StageRecord | None:
        """Return the whole record of a key."""


@dataclass
class Errand:
    """A call in a worker's hands, with the units it runs."""

    call: Call
    units: list[Unit]
    seat: Seat
    kinds: dict[str, int] = field(default_factory=dict)
    expected: float = float("inf")


@dataclass
class Outcomes:
    """Takes in replies and losses. ``halt`` is told when the run must end early, and why."""

    ledger: Ledger
    queue: Queue
    pace: Pace
    committer: Committer
    rows: RowMaker
    display: Display
    records: StageRecords
    halt: Callable[[str], None]
    crash_retries: int = 2
    stop_at_failure: bool = False
    stopping: bool = False
    stages_run: int = 0
    tries: dict[str, int] = field(default_factory=dict)
    uncommitted: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Start with no damage and no options."""
        self._damages: dict[str, int] = {}
        self._fruitless: dict[int, int] = {}
        self._option_records: dict[str, StageRecord] = {}
        self._group = Group()
        self._keys: list[str] = []

    # --- replies --------------------------------------------------------------------------------------------------

    def replied(self, errand: Errand, reply: Reply) -> None:
        """Take in the results of a call."""
        errand.seat.holds.update(reply.held)
        errand.seat.holds.difference_update(reply.dropped)
        by_key = {result.key: result for result in reply.results}
        self._learn(errand, reply, by_key)
        suspects = [unit for unit in errand.units if any(key in reply.suspects for key in unit.wanted)]
        for unit in errand.units:
            results = [by_key[stage.key] for stage in unit.stages if stage.key in by_key]
            self._take_unit(errand, reply, unit, results)
        if suspects:
            self._blame(suspects, set(reply.suspects), "crashed", reply.retire, errand.seat.log)
        for unit in errand.units:
            if unit not in suspects:
                self._put_back(unit, progressed=any(stage.key in by_key for stage in unit.stages))
        self.settle()

    def _learn(self, errand: Errand, reply: Reply, by_key: Mapping[str, Result]) -> None:
        overhead = max(0.0, reply.seconds - sum(result.seconds for result in reply.results)) / len(errand.units)
        sums: dict[Any, tuple[float, int]] = {}
        for unit in errand.units:
            spent = [by_key[stage.key].seconds for stage in unit.stages if stage.key in by_key]
            if spent:
                total, count = sums.get(unit.signature, (0.0, 0))
                sums[unit.signature] = (total + sum(spent) + overhead, count + 1)
        for signature, (total, count) in sums.items():
            self.pace.learn(signature, total / count)

    def _take_unit(self, errand: Errand, reply: Reply, unit: Unit, results: list[Result]) -> None:
        short = [result for result in results if result.status == "oom"]
        if short and self._to_bigger_slot(unit, short, errand.seat.log):
            results = [result for result in results if result.status in ("ok", "diverged")]
        for result in results:
            if result.key in unit.wanted:
                self._take(errand, reply, result)

    def _take(self, errand: Errand, reply: Reply, result: Result) -> None:
        stage = self.ledger.stages[result.key]
        log = errand.seat.log
        if result.status in ("ok", "diverged"):
            self.stages_run += 1
            self.rows.tried(self._group, stage.key, stage.kind.name, result, log)
            self._complete(stage, result, reply, errand.call)
        elif result.status == "damaged":
            self._damaged(errand, stage, result)
        elif result.status == "skipped":
            cause: Any = result.cause or "failed"
            self.ledger.newly_dead.append(stage.key)
            self._push(self.ledger.fail(stage.key, Death(cause, result.reason)))
        elif result.status != "stopped":
            self.rows.tried(self._group, stage.key, stage.kind.name, result, log)
            self._fail(stage, result, log)

    def _complete(self, stage: Stage, result: Result, reply: Reply, call: Call) -> None:
        earlier = self.ledger.again.pop(stage.key, None)
        if earlier is not None:
            with self.records.lock:
                result.flags = tuple(dict.fromkeys((*result.flags, *self.ledger.records.flags(stage.key))))
        if earlier is None or result.artifact is not None:
            if earlier:
                self.rows.withdrawn(self._group, stage, earlier, "artifact_not_kept")
            self.rows.completed(self._group, stage, result, reply, call.inputs)
            self._note(stage.key, "done")
            if stage.key in self.ledger.option_keys:
                self._option_records[stage.key] = self._group.records[-1]
        else:
            self.display.tally.of(stage.kind.name).done += 1
        if result.status == "diverged":
            self.display.say(f"diverged: {name_of(stage)}: {result.reason}")
            self._push(self.ledger.fail(stage.key, Death("diverged", "diverged", own=True)))
        else:
            self._push(self.ledger.finish(stage.key, result))

    def _put_back(self, unit: Unit, progressed: bool) -> None:
        """Queue a unit again whose wanted stages did not all come to an end."""
        if not unit.wanted or unit.queued or self.stopping:
            return
        if not progressed:
            count = self._fruitless[unit.number] = self._fruitless.get(unit.number, 0) + 1
            if count >= MAX_FRUITLESS:
                self._fail_unit(unit, unit.wanted, "failed", "workers gave it back without a result several times", "")
                return
        if self.ledger.requeue(unit):
            self.queue.push(unit)

    # --- failures -------------------------------------------------------------------------------------------------

    def _fail(self, stage: Stage, result: Result, log: str) -> None:
        """A stage has failed for good in this run: its row, its dependents, the message."""
        self.stages_run += 1
        self.rows.failed(self._group, stage.key, stage.kind.name, result, log)
        self._note(stage.key, "failed")
        where = f" (log: {log})" if log else ""
        self.display.say(f"{result.status.replace('no_space', 'failed')}: {name_of(stage)}: {result.reason}{where}")
        self._push(self.ledger.fail(stage.key, Death("failed", f"failed: {result.reason}", own=True)))
        if result.status == "no_space":
            self.halt(f"there is no space left for artifacts: {result.reason}")
        elif self.stop_at_failure:
            self.halt("stopped at the first failure")

    def _fail_unit(self, unit: Unit, keys: Iterable[str], status: Any, reason: str, log: str, error: str = "") -> None:
        for key in list(keys):
            if key in unit.wanted:  # a failure may take others along
                self._fail(self.ledger.stages[key], Result(key, status, new_id(), reason, error), log)

    def _to_bigger_slot(self, unit: Unit, short: list[Result], log: str) -> bool:
        resources = ladder.bigger(unit.resources)
        if resources is None:
            return False
        for result in short:
            stage = self.ledger.stages[result.key]
            self.rows.tried(self._group, stage.key, stage.kind.name, result, log)
            reason = f"{result.reason}; tried again with {resources.gpus:g} of a GPU"
            self.rows.note(self._group, stage.key, stage.kind.name, "oom", reason, log)
            self.tries[stage.key] = self.tries.get(stage.key, 0) + 1
        unit.rung = Rung(slot=unit.rung.slot + 1)
        unit.resources = resources
        return True

    def _damaged(self, errand: Errand, stage: Stage, result: Result) -> None:
        """An input cannot be read: take its record back and let its producer run again."""
        key = result.cause
        used, now = errand.call.inputs.get(key), self.ledger.current_attempt(key)
        if used is None or now is None or now != used.attempt:
            return
        count = self._damages[key] = self._damages.get(key, 0) + 1
        producer = self.ledger.stages[key]
        if count > MAX_DAMAGES:
            self._fail(stage, replace(result, status="failed"), errand.seat.log)
            return
        self.display.say(f"damaged: {result.reason}; {name_of(producer)} is run again")
        self.rows.withdrawn(self._group, producer, used.attempt, "damaged")
        self.rows.note(self._group, key, producer.kind.name, "damaged", result.reason, errand.seat.log)
        self.display.tally.of(producer.kind.name).total += 1
        self._push(self.ledger.damage(key))

    def lost(self, errands: list[Errand], event: Lost) -> None:
        """Take in that a worker is gone: who was running is suspect, the rest is queued again."""
        suspects: list[Unit] = []
        for errand in errands:
            mine = errand.call.number == event.active
            keys = set(event.running) if mine else set()
            found = [unit for unit in errand.units if any(stage.key in keys for stage in unit.stages)]
            suspects += found
            for unit in errand.units:
                if unit not in found:
                    self._put_back(unit, progressed=event.active is not None)
        if suspects:
            log = errands[0].seat.log
            self._blame(suspects, set(event.running), event.cause, event.reason, log)
        self.settle()

    def _blame(self, units: list[Unit], running: set[str], cause: str, reason: str, log: str) -> None:
        """Find the culprit among units that were running when their worker died: halve them until it is alone."""
        for unit in units:
            for key in running & unit.wanted:
                self.tries[key] = self.tries.get(key, 0) + 1
        if cause == "preempted":
            self._note_all(units, running, cause, reason, log)
        elif cause == "oom":
            for unit in units:
                self._less_memory(unit, running, reason, log)
        elif len(units) > 1:
            self._note_all(units, running, cause, f"{reason}; one of {len(units)} stages run together", log)
            for unit in units:
                unit.suspect = -(-len(units) // 2)
        else:
            unit = units[0]
            unit.suspect, unit.crashes = 1, unit.crashes + 1
            if cause == "timeout" or unit.crashes > self.crash_retries:
                self._fail_unit(unit, running or set(unit.wanted), cause, reason, log)
            else:
                self._note_all(units, running, cause, f"{reason}; it is tried again alone", log)
        for unit in units:
            self._put_back(unit, progressed=True)

    def _less_memory(self, unit: Unit, running: set[str], reason: str, log: str) -> None:
        """The machine ran out of memory and ended the worker: the next rung, or a bigger slot, or the end."""
        kinds = [stage.kind for stage in unit.stages if stage.key in running] or [unit.stages[-1].kind]
        steps = ladder.rungs(unit.rung, unit.width, all(kind.accumulates for kind in kinds))
        following = next((rung for rung in steps if rung != unit.rung), None)
        bigger = ladder.bigger(unit.resources)
        if following is None and bigger is None:
            self._fail_unit(unit, running or set(unit.wanted), "oom", reason, log)
            return
        if following is not None:
            unit.rung = following
        elif bigger is not None:
            unit.rung, unit.resources = Rung(slot=unit.rung.slot + 1), bigger
        self._note_all([unit], running, "oom", f"{reason}; tried again with less", log)

    def _note_all(self, units: list[Unit], running: set[str], status: Any, reason: str, log: str) -> None:
        for unit in units:
            for stage in unit.stages:
                if stage.key in running and stage.key in unit.wanted:
                    self.rows.note(self._group, stage.key, stage.kind.name, status, reason, log)

    def refused(self, errand: Errand, event: Refused) -> None:
        """Take in that a call could not be run at all."""
        if len(errand.units) > 1:
            for unit in errand.units:
                unit.suspect = -(-len(errand.units) // 2)
                self._put_back(unit, progressed=True)
        else:
            lines = event.error.strip().splitlines() or ["no reason given"]
            unit, reason = errand.units[0], f"it could not be run: {lines[-1]}"
            self._fail_unit(unit, unit.wanted, "failed", reason, event.log, event.error)
        self.settle()

    # --- rows -----------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Form new units, write the rows of what died or was chosen because of the last events, and offer all rows."""
        while self.ledger.has_fresh or self.ledger.newly_dead or self.ledger.newly_settled:
            self._push(self.form())
            dead, self.ledger.newly_dead = self.ledger.newly_dead, []
            self._skip(dead)
            settled, self.ledger.newly_settled = self.ledger.newly_settled, []
            for key in settled:
                self._choose(key, "ok")
        if self._group or self._keys:
            self.committer.offer(self._group, self._keys)
            self._group, self._keys = Group(), []

    def form(self) -> list[Unit]:
        """Form units of what became wanted, and count them."""
        for stage in self.ledger.fresh_stages():
            self.display.tally.of(stage.kind.name).total += 1
        return self.ledger.form()

    def _skip(self, keys: Iterable[str]) -> None:
        for key in keys:
            death = self.ledger.dead[key]
            choice = self.ledger.choices.get(key)
            if choice is not None:
                if death.cause == "diverged" and death.own:
                    self._choose(key, "diverged")
                else:
                    self.rows.note(self._group, key, "choice", "failed" if death.own else "skipped", death.reason)
                    self._note(key, "")
                continue
            stage = self.ledger.stages[key]
            self.rows.note(self._group, key, stage.kind.name, "skipped", death.reason)
            self._note(key, "skipped")

    def _choose(self, key: str, status: str) -> None:
        choice, index = self.ledger.choices[key], self.ledger.chosen[key]
        option = choice.options[index]
        record = self._option_records.get(option.key)
        if record is None:
            with self.records.lock:
                record = self.records.full_record(option.key)
        measured = () if status == "diverged" else self.ledger.input_of(option.key).rows or ()
        group = self.rows.chosen(choice, index, record, measured, status)
        self._group.records += group.records
        self._group.measurements += group.measurements
        self._note(key, "")

    def _note(self, key: str, state: str) -> None:
        self.uncommitted[key] = state
        self._keys.append(key)

    def committed(self, batch: Committed) -> None:
        """Count what is now permanent."""
        for key in batch.keys:
            state = self.uncommitted.pop(key, "")
            stage = self.ledger.stages.get(key)
            if state and stage is not None:
                count = self.display.tally.of(stage.kind.name)
                setattr(count, state, getattr(count, state) + 1)
        for second in batch.result.duplicates:
            if not second.agreed and second.winner:
                self.display.say(f"another driver had another result for stage {second.key[:8]}; the first one counts")

    def take_over(self, keys: Iterable[str]) -> None:
        """Take in what other drivers have done."""
        for key in keys:
            self._push(self.ledger.take_over(key))
            if key in self.ledger.finished or key in self.ledger.dead:
                self.display.tally.of(self.ledger.stages[key].kind.name).done += 1
        self.settle()

    def _push(self, units: Iterable[Unit]) -> None:
        for unit in units:
            self.queue.push(unit)
