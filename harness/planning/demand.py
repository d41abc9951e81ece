"""Which stages must still run, given what is recorded, and which can not."""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import dataclass, field
from typing import Literal, Protocol

from harness.graph import Choice, Node, Stage

NOT_TRAINED = "not_trained"
WAS_NOT_TRAINED = "was not trained (its loss stayed at its first level; with `on_untrained_source: run` it is used)"
State = Literal["done", "needed", "diverged", "blocked"]


class Sized(Protocol):
    """Where an artifact lies."""

    @property
    def nbytes(self) -> int:
        """Its size."""


class Records(Protocol):
    """What is recorded of the stages that have run, by key."""

    def status(self, key: str, /) -> str | None:
        """``ok`` or ``diverged``; None when the key has no record."""

    def flags(self, key: str, /) -> tuple[str, ...]:
        """Flags such as ``not_trained``."""

    def value(self, key: str, /) -> str | None:
        """The JSON text of a small value."""

    def artifact(self, key: str, /) -> Sized | None:
        """Where the artifact is, if it was kept."""

    def code(self, key: str, /) -> str | None:
        """The digest of the code that made it."""

    def kind(self, key: str, /) -> str | None:
        """The name of the stage kind."""


class NoRecords:
    """The records of a store that does not exist yet."""

    def status(self, _key: str, /) -> str | None:
        """Nothing has run."""
        return None

    def flags(self, _key: str, /) -> tuple[str, ...]:
        """No flags."""
        return ()

    def value(self, _key: str, /) -> str | None:
        """No value."""
        return None

    def artifact(self, _key: str, /) -> Sized | None:
        """No artifact."""
        return None

    def code(self, _key: str, /) -> str | None:
        """No code."""
        return None

    def kind(self, _key: str, /) -> str | None:
        """No kind."""
        return None


@dataclass
class Demand:
    """The state of every stage that some trial wants.

    ``needed`` holds the stages to run, inputs first; ``blocked`` those that cannot run, with the reason; ``choices``
    those whose option is not yet known or not yet tested.
    """

    records: Records
    withdrawn: Set[str] = frozenset()
    skip_untrained: bool = True
    needed: dict[str, Stage] = field(default_factory=dict)
    blocked: dict[str, str] = field(default_factory=dict)
    choices: dict[str, Choice] = field(default_factory=dict)
    states: dict[str, State] = field(default_factory=dict)

    def status(self, key: str) -> str | None:
        """The status of the record that counts for a key; None when there is none or it is to be made again."""
        return None if key in self.withdrawn else self.records.status(key)

    def want_trial(self, terminal: Node) -> State:
        """Ask for a trial's outcome."""
        if isinstance(terminal, Choice):
            return self._want_choice(terminal)
        assert isinstance(terminal, Stage)
        return self.want(terminal)

    def want(self, stage: Stage) -> State:
        """Ask for a stage's result: done, to be run, diverged when it was last run, or blocked by an input."""
        known = self.states.get(stage.key)
        if known is None:
            known = self.states[stage.key] = self._decide(stage)
        return known

    def _decide(self, stage: Stage) -> State:
        status = self.status(stage.key)
        if status == "diverged":
            return "diverged"
        if status is not None and (stage.kind.result != "artifact" or self.records.artifact(stage.key) is not None):
            return "done"
        reason = self._obstacle(stage)
        if reason is not None:
            self.blocked[stage.key] = reason
            return "blocked"
        self.needed[stage.key] = stage
        return "needed"

    def _obstacle(self, stage: Stage) -> str | None:
        """Ask for the inputs; say why the stage cannot run, if so."""
        found = None
        for name, needed in stage.named_inputs():
            state = self.want(needed)
            if state == "diverged" and name not in stage.kind.tolerates:
                found = found or f"input {name} ({needed.kind.name} {needed.key[:8]}) diverged"
            elif state == "blocked":
                found = found or self.blocked[needed.key]
            elif self._is_untrained(stage, name, needed, state):
                found = found or f"input {name} ({needed.kind.name} {needed.key[:8]}) {WAS_NOT_TRAINED}"
        return found

    def _is_untrained(self, stage: Stage, name: str, needed: Stage, state: State) -> bool:
        """Whether an input is flagged that the stage wants trained."""
        wanted = self.skip_untrained and name in stage.kind.needs_trained
        return wanted and state == "done" and NOT_TRAINED in self.records.flags(needed.key)

    def _want_choice(self, choice: Choice) -> State:
        known = self.states.get(choice.key)
        if known is None:
            known = self.states[choice.key] = self._decide_choice(choice)
        return known

    def _decide_choice(self, choice: Choice) -> State:
        status = self.status(choice.key)
        if status is not None:
            return "diverged" if status == "diverged" else "done"
        state = self.want(choice.selector)
        if state in ("diverged", "blocked"):
            self.blocked[choice.key] = self.blocked.get(choice.selector.key, "no candidate could be selected")
            return "blocked"
        self.choices[choice.key] = choice
        return "needed"


def rerun_after(nodes: Iterable[Node], stale: Set[str]) -> set[str]:
    """Return the keys to make again: the stale ones and all that was made from them. ``nodes``: inputs first."""
    again = set(stale)
    if again:
        for node in nodes:
            options = node.options if isinstance(node, Choice) else ()
            if any(item.key in again for item in (*node.inputs, *options)):
                again.add(node.key)
    return again
