"""What is known of every stage of a run: done, waiting, dead; which units that gives, and what they wait for."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from harness.execution.messages import Input, Result
from harness.execution.units import Unit, externals, form_unit
from harness.graph import Artifact, Choice, Measurement, Node, Resources, Stage, StageKind
from harness.graph.stage import Keep
from harness.planning.demand import NOT_TRAINED, WAS_NOT_TRAINED

if TYPE_CHECKING:
    from harness.store import ArtifactRef

UNTRAINED_SOURCE = "untrained_source"

Cause = Literal["diverged", "untrained", "failed"]


class Records(Protocol):
    """What the store holds, by stage key."""

    def status(self, key: str) -> str | None:
        """Return ``ok`` or ``diverged``, or None without a record."""

    def attempt(self, key: str) -> str | None:
        """Return the attempt whose record counts."""

    def flags(self, key: str) -> tuple[str, ...]:
        """Return the flags of the record."""

    def value(self, key: str) -> str | None:
        """Return the JSON text of a small value."""

    def artifact(self, key: str) -> ArtifactRef | None:
        """Return where the artifact is, if it was kept."""


@dataclass(frozen=True, slots=True)
class Death:
    """Why a stage will leave no result in this run. ``own`` is True for the stage that failed or diverged itself; its
    reason then continues a sentence that begins with the stage's name."""

    cause: Cause
    reason: str
    own: bool = False


def name_of(node: Node) -> str:
    """Return how a stage is named in messages: its kind and the beginning of its key."""
    return f"{node.kind.name} {node.key[:8]}" if isinstance(node, Stage) else f"choice {node.key[:8]}"


def flags_after(own: Iterable[str], inputs: Iterable[tuple[bool, Sequence[str]]]) -> tuple[str, ...]:
    """Return a stage's flags: its own, and ``untrained_source`` when it comes from an untrained input.

    ``inputs``: for each input whether the stage needs it trained, and the input's flags.
    """
    found = list(own)
    tainted = any(UNTRAINED_SOURCE in flags or (needed and NOT_TRAINED in flags) for needed, flags in inputs)
    if tainted and UNTRAINED_SOURCE not in found:
        found.append(UNTRAINED_SOURCE)
    return tuple(found)


def artifact_class(kind: StageKind[Any, Any]) -> type[Artifact]:
    """Return the class that a stage is annotated to return."""
    import typing

    annotation = typing.get_type_hints(kind.function).get("return")
    assert isinstance(annotation, type) and issubclass(annotation, Artifact)
    return annotation


@dataclass
class Ledger:
    """The state of a run, by stage key. Knows nothing of workers, time or tables.

    ``records``: what the store holds; ``withdrawn``: keys whose record does not count; ``rows_of`` reads the
    measurements of a recorded stage; ``resources_of`` and ``keep_of`` may differ from what a kind
    declares; ``cost`` estimates the
    seconds of a stage.

    ``again`` holds the recorded attempts of stages that run again only because their artifact was not kept.
    """

    records: Records
    rows_of: Callable[[str], tuple[Measurement, ...]]
    resources_of: Callable[[Stage], Resources] = lambda stage: stage.kind.resources
    keep_of: Callable[[Stage], Keep] = lambda stage: stage.kind.keep
    cost: Callable[[Stage], float] = lambda stage: 1.0
    withdrawn: set[str] = field(default_factory=set)
    skip_untrained: bool = True
    stages: dict[str, Stage] = field(default_factory=dict)
    finished: set[str] = field(default_factory=set)
    dead: dict[str, Death] = field(default_factory=dict)
    units: dict[str, Unit] = field(default_factory=dict)
    choices: dict[str, Choice] = field(default_factory=dict)
    chosen: dict[str, int] = field(default_factory=dict)
    newly_dead: list[str] = field(default_factory=list)
    newly_settled: list[str] = field(default_factory=list)
    again: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Start with empty indices."""
        self._inputs: dict[str, Input] = {}
        self._consumers: dict[str, list[str]] = {}
        self._depth: dict[str, int] = {}
        self._later: set[str] = set()
        self._fresh: list[Stage] = []
        self._new_choices: list[Choice] = []
        self._started: list[Unit] = []
        self._below: dict[str, float] = {}
        self._waiting: dict[str, list[Unit]] = {}
        self._open: dict[str, list[str]] = {}
        self._of_option: dict[str, list[str]] = {}
        self._classes: dict[str, type[Artifact]] = {}
        self.option_keys: set[str] = set()
        self._unkept: dict[str, str] = {}

    # --- asking for results ---------------------------------------------------------------------------------------

    def want(self, terminal: Node) -> None:
        """Ask for a trial's outcome; `form` turns what that needs into units."""
        if isinstance(terminal, Stage):
            self._activate(terminal, needs_output=False)
        elif isinstance(terminal, Choice) and terminal.key not in self.choices:
            status = self._status(terminal.key)
            if status == "diverged":
                self.dead[terminal.key] = Death("diverged", "diverged", own=True)
            elif status is not None:
                self.finished.add(terminal.key)
            if status is not None:
                return
            self.choices[terminal.key] = terminal
            self._new_choices.append(terminal)
            self._open.setdefault(terminal.selector.key, []).append(terminal.key)
            self.option_keys.update(option.key for option in terminal.options)
            self._activate(terminal.selector, needs_output=True)

    def fresh_stages(self) -> list[Stage]:
        """Return the stages that `form` will turn into units."""
        self._settle_new_choices()
        return list(self._fresh)

    def form(self) -> list[Unit]:
        """Turn the stages that became wanted since the last call into units; return those that can start now."""
        self._settle_new_choices()
        fresh, self._fresh = self._fresh, []
        self._measure_paths(fresh)
        ready, self._started = self._started, []
        for stage in fresh:
            if self.formable(stage.key) is None:
                continue
            unit = form_unit(stage, self, self.resources_of)
            unit.priority = max(self._below[member.key] for member in unit.stages)
            for member in unit.stages:
                self.units[member.key] = unit
            if self._wait(unit):
                ready.append(unit)
        return ready

    def _settle_new_choices(self) -> None:
        """Resolve new choices whose selector was decided before; note what the others may come to need."""
        waiting, self._new_choices = self._new_choices, []
        for choice in waiting:
            selector = choice.selector.key
            if selector in self.finished:
                self._open.pop(selector, None)
                self._resolve(choice)
            elif selector in self.dead:
                self._open.pop(selector, None)
                self._kill_choice(choice, self.dead[selector], choice.selector)
            else:
                self._mark_later(choice)

    def _measure_paths(self, fresh: Sequence[Stage]) -> None:
        """Give each stage the cost of the longest path from it to an end."""
        below = self._below
        for stage in reversed(fresh):
            total = below.get(stage.key, 0.0) + self.cost(stage)
            below[stage.key] = total
            for needed in stage.inputs:
                if total > below.get(needed.key, 0.0):
                    below[needed.key] = total

    def _activate(self, root: Stage, needs_output: bool) -> None:
        stack = [(root, needs_output, False)]
        while stack:
            stage, output, entered = stack.pop()
            if entered:
                self._enter(stage)
                continue
            if self._is_settled(stage, output):
                continue
            self.stages[stage.key] = stage
            stack.append((stage, output, True))
            stack.extend((needed, True, False) for needed in stage.inputs)

    def _is_settled(self, stage: Stage, needs_output: bool) -> bool:
        """Say whether nothing more is to be asked for; take over what the store knows."""
        key = stage.key
        if key in self.dead or (key in self.stages and key not in self.finished):
            return True
        if key not in self.finished:
            status = self._status(key)
            if status is None:
                return False
            self.stages[key] = stage
            if status == "diverged":
                self.dead[key] = Death("diverged", "diverged", own=True)
                return True
            self.finished.add(key)
        if not needs_output or self.known(key):
            return True
        if self._status(key) is not None:
            self._take_over(stage)
        if not self.known(key):
            self.again[key] = self._unkept.get(key) or self.records.attempt(key) or ""
        return self.known(key)

    def _status(self, key: str) -> str | None:
        return None if key in self.withdrawn else self.records.status(key)

    def _take_over(self, stage: Stage) -> None:
        """Make what a record holds an input for others, if it holds the whole of it."""
        key, kind = stage.key, stage.kind.result
        entry = Input(key, self.records.attempt(key) or "", self.records.flags(key))
        if kind == "artifact":
            entry.artifact, entry.made_by = self.records.artifact(key), self._class_of(stage)
            if entry.artifact is None:
                return
        elif kind == "value":
            entry.value = json.loads(self.records.value(key) or "{}")
        self._inputs[key] = entry

    def _class_of(self, stage: Stage) -> type[Artifact]:
        found = self._classes.get(stage.kind.name)
        if found is None:
            found = self._classes[stage.kind.name] = artifact_class(stage.kind)
        return found

    def _enter(self, stage: Stage) -> None:
        """Take a stage into the run, once its inputs are in."""
        key = stage.key
        self._depth[key] = 1 + max((self.depth(needed.key) for needed in stage.inputs), default=-1)
        for needed in stage.inputs:
            consumers = self._consumers.setdefault(needed.key, [])
            if not consumers or consumers[-1] != key:
                consumers.append(key)
        self.finished.discard(key)
        self.units.pop(key, None)
        self._fresh.append(stage)
        obstacle = self._obstacle(stage)
        if obstacle is not None:
            self._kill(key, obstacle)

    def _obstacle(self, stage: Stage) -> Death | None:
        for name, needed in stage.named_inputs():
            found = self._blocks(stage, name, needed)
            if found is not None:
                return found
        return None

    def _blocks(self, stage: Stage, name: str, needed: Stage) -> Death | None:
        """Say why an input keeps a stage from running, if it does."""
        death = self.dead.get(needed.key)
        if death is not None:
            if death.cause != "failed" and name in stage.kind.tolerates:
                return None
            reason = f"input {name} ({name_of(needed)}) {death.reason}" if death.own else death.reason
            return Death(death.cause, reason)
        if not self.skip_untrained or name not in stage.kind.needs_trained or name in stage.kind.tolerates:
            return None
        entry = self._inputs.get(needed.key)
        if entry is not None and NOT_TRAINED in entry.flags:
            return Death("untrained", f"input {name} ({name_of(needed)}) {WAS_NOT_TRAINED}")
        return None

    # --- the neighbourhood that units are formed in ---------------------------------------------------------------

    def consumers_of(self, key: str) -> Sequence[str]:
        """Return the keys of the stages that will read this key in this run."""
        return [other for other in self._consumers.get(key, ()) if other not in self.dead and self._is_pending(other)]

    def formable(self, key: str) -> Stage | None:
        """Return the stage if it is to be run and belongs to no unit yet."""
        if key in self.units or key in self.finished or key in self.dead:
            return None
        return self.stages.get(key)

    def _is_pending(self, key: str) -> bool:
        return key in self.stages and key not in self.finished

    def read_later(self, key: str) -> bool:
        """Say whether an option of an open choice is, or may come to read, this key."""
        return key in self._later

    def depth(self, key: str) -> int:
        """Return the length of the longest path from an input-free (or recorded) stage to this one."""
        return self._depth.get(key, -1)

    def known(self, key: str) -> bool:
        """Say whether what this key leaves can be had: it is stored, or it may be in a cache."""
        return key in self._inputs

    def _mark_later(self, choice: Choice) -> None:
        stack = list(choice.options)
        while stack:
            stage = stack.pop()
            if stage.key in self._later:
                continue
            self._later.add(stage.key)
            if not self._is_pending(stage.key):
                stack.extend(stage.inputs)

    # --- what units wait for --------------------------------------------------------------------------------------

    def _wait(self, unit: Unit) -> bool:
        """Count what a unit still waits for and register it there; say whether it can start."""
        unit.reads = tuple(externals(unit, self))
        missing = [key for key in unit.reads if not self._is_met(key)]
        unit.unmet = len(missing)
        for key in missing:
            self._waiting.setdefault(key, []).append(unit)
        return not missing

    def _is_met(self, key: str) -> bool:
        return key in self._inputs or key in self.dead

    def requeue(self, unit: Unit) -> bool:
        """Put back a unit whose wanted stages did not all come to an end; say whether it can start again now."""
        unit.queued = False
        return bool(unit.wanted) and self._wait(unit)

    def input_of(self, key: str) -> Input:
        """Return what is known of a finished (or diverged and tolerated) input."""
        if key in self.dead:
            return Input(key, diverged=True)
        entry = self._inputs[key]
        if entry.rows is None and self.stages[key].kind.result == "measurements":
            entry.rows = self.rows_of(key)
        return entry

    def current_attempt(self, key: str) -> str | None:
        """Return the attempt whose result others read now, or None while there is none."""
        entry = self._inputs.get(key)
        return None if entry is None else entry.attempt

    @property
    def has_fresh(self) -> bool:
        """Say whether `form` has something to do."""
        return bool(self._fresh or self._new_choices or self._started)

    def recorded_rows(self) -> list[str]:
        """Return the keys of recorded stages whose measurements a stage or a choice of this run may read."""
        return [
            key
            for key, entry in self._inputs.items()
            if entry.rows is None
            and self.stages[key].kind.result == "measurements"
            and (self._consumers.get(key) or key in self.option_keys)
        ]

    def pending_units(self) -> list[Unit]:
        """Return the units that are not finished, once each."""
        found = {unit.number: unit for unit in self.units.values() if unit.wanted}
        return list(found.values())

    def split(self) -> list[Unit]:
        """Take fused units that wait apart, their transient artifacts going through the store; return what can start.

        Called when nothing else can go on: two units may wait for each other.
        """
        apart = [unit for unit in self.pending_units() if len(unit.stages) > 1 and not unit.queued]
        for waiting in self._waiting.values():
            waiting[:] = [unit for unit in waiting if unit not in apart]
        ready = []
        for unit in apart:
            for stage in [stage for stage in unit.stages if stage.key in unit.wanted]:
                alone = form_unit(stage, _Alone(self), self.resources_of)
                self.units[stage.key] = alone
                if self._wait(alone):
                    ready.append(alone)
        return ready

    # --- what happens ---------------------------------------------------------------------------------------------

    def finish(self, key: str, result: Result) -> list[Unit]:
        """Take in a successful result; return the units that can start because of it."""
        stage = self.stages[key]
        self.finished.add(key)
        kind = stage.kind
        entry = Input(key, result.attempt, result.flags, value=result.value)
        if self._consumers.get(key) or key in self.option_keys:
            entry.rows = result.rows
        if result.artifact is not None:
            entry.artifact, entry.made_by = result.artifact, self._class_of(stage)
        if kind.result != "artifact" or result.artifact is not None or self.keep_of(stage) == "cache":
            self._inputs[key] = entry
        else:
            self._unkept[key] = result.attempt
        return self._after(key, entry)

    def take_over(self, key: str) -> list[Unit]:
        """Take in a result that another driver has committed; return the units that can start because of it."""
        stage = self.stages[key]
        if self._status(key) == "diverged":
            return self.fail(key, Death("diverged", "diverged", own=True))
        self._take_over(stage)
        if key not in self._inputs:
            return []
        self.finished.add(key)
        return self._after(key, self._inputs[key])

    def _after(self, key: str, entry: Input) -> list[Unit]:
        self._leave_unit(key)
        if NOT_TRAINED in entry.flags and self.skip_untrained:
            for consumer in self.consumers_of(key):
                obstacle = self._obstacle(self.stages[consumer])
                if obstacle is not None:
                    self._kill(consumer, obstacle)
        for identifier in self._open.pop(key, ()):
            self._resolve(self.choices[identifier])
        self._settle_option(key)
        return self._notify(key)

    def _leave_unit(self, key: str) -> None:
        unit = self.units.get(key)
        if unit is not None:
            unit.wanted.discard(key)

    def _notify(self, key: str) -> list[Unit]:
        ready = []
        if key in self._waiting and self._is_met(key):
            for unit in self._waiting.pop(key):
                unit.unmet -= 1
                if unit.unmet == 0 and unit.wanted:
                    ready.append(unit)
        return ready

    def _resolve(self, choice: Choice) -> None:
        value = self._inputs[choice.selector.key].value or {}
        index = int(value["index"])
        self.chosen[choice.key] = index
        option = choice.options[index]
        self._of_option.setdefault(option.key, []).append(choice.key)
        self._activate(option, needs_output=True)
        if option.key in self.finished or option.key in self.dead:
            self._settle_option(option.key)

    def _settle_option(self, key: str) -> None:
        for identifier in self._of_option.pop(key, ()):
            death = self.dead.get(key)
            if death is None:
                self.finished.add(identifier)
                self.newly_settled.append(identifier)
            else:
                self._kill_choice(self.choices[identifier], death, self.stages[key])

    def _kill_choice(self, choice: Choice, death: Death, because: Stage) -> None:
        reason = f"{name_of(because)} {death.reason}" if death.own else death.reason
        self.dead[choice.key] = Death(death.cause, reason, own=death.own)
        self.newly_dead.append(choice.key)

    def fail(self, key: str, death: Death) -> list[Unit]:
        """Take in that a stage failed for good; whatever needs it dies with it. Returns units that can start."""
        self.dead[key] = death
        return self._spread(key)

    def _kill(self, key: str, death: Death) -> None:
        self.dead[key] = death
        self.newly_dead.append(key)
        self._started += self._spread(key)

    def _spread(self, root: str) -> list[Unit]:
        ready: list[Unit] = []
        stack = [root]
        while stack:
            key = stack.pop()
            self._leave_unit(key)
            for identifier in self._open.pop(key, ()):
                self._kill_choice(self.choices[identifier], self.dead[key], self.stages[key])
            self._settle_option(key)
            for consumer in self.consumers_of(key):
                obstacle = self._obstacle(self.stages[consumer])
                if obstacle is not None:
                    self.dead[consumer] = obstacle
                    self.newly_dead.append(consumer)
                    stack.append(consumer)
            self._prune(key)
            ready.extend(self._notify(key))
        return ready

    def _prune(self, dead: str) -> None:
        """Drop the transient inputs of a dead stage that nothing else in their unit will read."""
        unit = self.units.get(dead)
        if unit is None or unit.queued:
            return
        for stage in reversed(unit.stages):
            unread = self.keep_of(stage) == "transient" and stage.key in unit.wanted and stage.key not in unit.saved
            if unread and not self.consumers_of(stage.key):
                unit.wanted.discard(stage.key)
                self.stages.pop(stage.key)
                self.units.pop(stage.key)

    def damage(self, key: str) -> list[Unit]:
        """Take in that an artifact cannot be read: its producer is to run again. Returns nothing that can start yet."""
        self.withdrawn.add(key)
        self._inputs.pop(key, None)
        self.finished.discard(key)
        stage = self.stages.pop(key)
        self.units.pop(key, None)
        self._activate(stage, needs_output=True)
        return self.form()

    def open_keys(self) -> Set[str]:
        """Return the keys of stages that are neither finished nor dead."""
        return {key for key in self.stages if key not in self.finished and key not in self.dead}


class _Alone:
    """A neighbourhood in which nothing can be fused, so that every transient artifact with a consumer is saved."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def consumers_of(self, key: str) -> Sequence[str]:
        return self._ledger.consumers_of(key)

    def formable(self, key: str) -> Stage | None:
        return None

    def read_later(self, key: str) -> bool:
        return self._ledger.read_later(key)

    def depth(self, key: str) -> int:
        return self._ledger.depth(key)

    def keep_of(self, stage: Stage) -> Keep:
        return self._ledger.keep_of(stage)

    def known(self, key: str) -> bool:
        return self._ledger.known(key)
