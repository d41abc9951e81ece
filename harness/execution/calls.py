"""From units to the call that a worker gets: compact specs, and what is known of the inputs."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.execution.ledger import Ledger
from harness.execution.messages import Call, Input, InputRef, Spec
from harness.execution.units import Unit, needed_members
from harness.graph import Stage


def travelling(values: Sequence[Any]) -> tuple[Any, ...]:
    """Return a stage's values with references in place of its inputs."""
    return tuple(_travelling(value) for value in values)


def _travelling(value: Any) -> Any:
    if isinstance(value, Stage):
        return InputRef(value.key)
    if isinstance(value, tuple) and any(isinstance(item, Stage) for item in value):
        return tuple(_travelling(item) for item in value)
    return value


@dataclass
class CallBuilder:
    """Makes calls. ``code_of`` gives the digest of the code behind a stage; ``tries`` counts failed tries by key."""

    ledger: Ledger
    code_of: Callable[[Stage], str]
    time_limit: float | None = None
    tries: dict[str, int] = field(default_factory=dict)
    _number: int = 0

    def build(self, waves: Iterable[Sequence[Unit]]) -> Call:
        """Return the call that runs these units."""
        self._number += 1
        draft = _Draft(self, {}, {})
        specs = tuple(draft.wave(units) for units in waves)
        rung = draft.rung
        assert rung is not None
        return Call(self._number, specs, draft.inputs, rung, self.time_limit, self.ledger.skip_untrained)


class _Draft:
    """A call being made."""

    def __init__(self, builder: CallBuilder, inputs: dict[str, Input], groups: dict[Hashable, Hashable]) -> None:
        self.builder = builder
        self.inputs = inputs
        self.groups = groups
        self.rung: Any = None

    def wave(self, units: Sequence[Unit]) -> tuple[Spec, ...]:
        specs: dict[str, Spec] = {}
        for unit in units:
            self.rung = unit.rung
            alone = len(unit.stages) == 1
            for stage in unit.stages if alone else needed_members(unit, self.builder.ledger):
                self._add(stage, stage.key in unit.wanted, stage.key in unit.saved, specs)
        return tuple(specs.values())

    def _add(self, stage: Stage, wanted: bool, save: bool, specs: dict[str, Spec]) -> None:
        keys = tuple(needed.key for needed in stage.inputs)
        for needed in stage.inputs:
            if needed.key not in specs:
                self._add_input(needed, specs)
        known = specs.get(stage.key)
        if known is not None:
            known.wanted, known.save = known.wanted or wanted, known.save or save
            return
        specs[stage.key] = Spec(
            key=stage.key,
            kind=stage.kind,
            values=travelling(stage.values) if keys else stage.values,
            inputs=keys,
            group=self._group(stage),
            keep=self.builder.ledger.keep_of(stage),
            code=self.builder.code_of(stage),
            wanted=wanted,
            save=save,
            attempt=self.builder.tries.get(stage.key, 0),
        )

    def _add_input(self, stage: Stage, specs: dict[str, Spec]) -> None:
        """Say what is known of an input; one that was never stored, or may have vanished, travels along as a spec."""
        ledger = self.builder.ledger
        if ledger.known(stage.key) or stage.key in ledger.dead:
            entry = self.inputs.get(stage.key)
            if entry is None:
                entry = self.inputs[stage.key] = ledger.input_of(stage.key)
            if ledger.keep_of(stage) != "cache" or entry.artifact is not None or entry.diverged:
                return
        self._add(stage, False, False, specs)

    def _group(self, stage: Stage) -> Hashable:
        """Return what the stage may be batched by: one object for all that are equal, so that it travels once."""
        if stage.kind.batch is None:
            return None
        group = stage.group()
        return self.groups.setdefault(group, group)
