"""All that is known of one trial: its settings, its rows, the stages behind it, and what went wrong on the way."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError, suggest
from harness.store.rows import FAILED_STATUSES

if TYPE_CHECKING:
    from harness.store import AttemptRow, MeasurementRow, StageRecord, Store

MOST_MATCHES = 8
_KEY_IN_REASON = re.compile(r"\b[0-9a-f]{8}\b")


@dataclass(frozen=True)
class TrialView:
    """A trial. ``settings`` are its fixed axes and parameters; ``stages`` the recorded stages, the last one first."""

    trial_id: str
    studies: tuple[str, ...]
    key: str | None
    reason: str | None
    settings: Mapping[str, Any]
    rows: tuple[MeasurementRow, ...]
    stages: tuple[StageRecord, ...]
    attempts: tuple[AttemptRow, ...]
    candidates: tuple[str, ...]
    store: Path

    @property
    def state(self) -> str:
        """One word: excluded, done, diverged, pending, or what its last attempt ended in."""
        if self.key is None:
            return "excluded"
        own = [attempt for attempt in self.attempts if attempt.key == self.key and attempt.status in FAILED_STATUSES]
        if self.stages and self.stages[0].key == self.key:
            return "done" if self.stages[0].status == "ok" else self.stages[0].status
        return own[-1].status if own else "pending"


def view_trial(trial: str, store: Store) -> TrialView:
    """Find the trial whose id begins with ``trial``. Raises HarnessError when there is none or more than one."""
    rows = _find(trial, store)
    row = rows[0]
    key = row["key"]
    stages = _stages(key, store)
    return TrialView(
        trial_id=row["trial_id"],
        studies=tuple(sorted({other["study"] for other in rows})),
        key=key,
        reason=row["reason"],
        settings=_settings(row),
        rows=tuple(store.measurements(key)) if key in store.records() else (),
        stages=stages,
        attempts=_attempts(key, stages, store),
        candidates=_candidates(row["trial_id"], store),
        store=store.local,
    )


def _find(trial: str, store: Store) -> list[dict[str, Any]]:
    """Return the rows of the one trial, one for each study that has it."""
    import pyarrow.compute as pc

    table = store.trials()
    found = table.filter(pc.starts_with(table.column("trial_id"), trial)).to_pylist()
    ids = sorted({row["trial_id"] for row in found})
    if not ids:
        near = suggest(trial, table.column("trial_id").to_pylist()) if table.num_rows < 10_000 else ""
        raise HarnessError(f"no trial's id begins with {trial!r}{near}; `harness export` lists them")
    if len(ids) > 1 and trial not in ids:
        more = f" and {len(ids) - MOST_MATCHES:,} more" if len(ids) > MOST_MATCHES else ""
        raise HarnessError(f"{trial!r} begins {len(ids):,} trial ids: {', '.join(ids[:MOST_MATCHES])}{more}")
    chosen = trial if trial in ids else ids[0]
    return [row for row in found if row["trial_id"] == chosen]


def _settings(row: Mapping[str, Any]) -> dict[str, Any]:
    fixed = ("role", "baseline", "parent", "source", "target", "backbone", "method", "seed", "source_seed")
    settings = {name: row[name] for name in fixed if row[name] is not None}
    return settings | dict(json.loads(row["params"] or "{}"))


def _stages(key: str | None, store: Store) -> tuple[StageRecord, ...]:
    """Return the recorded stages behind a terminal stage, found through their recorded inputs."""
    records = store.records()
    waiting = [key] if key is not None else []
    found: dict[str, StageRecord] = {}
    while waiting:
        current = waiting.pop(0)
        if current not in found and current in records:
            found[current] = records[current]
            waiting.extend(json.loads(found[current].inputs))
    return tuple(found.values())


def _attempts(key: str | None, stages: tuple[StageRecord, ...], store: Store) -> tuple[AttemptRow, ...]:
    """Return the attempts of these stages, and of those that kept them from running.

    The reason of a skipped stage names the stage at fault by the beginning of its key.
    """
    if key is None:
        return ()
    everything = store.attempts()
    wanted = {key, *(stage.key for stage in stages)}
    while True:
        found = [attempt for attempt in everything if attempt.key in wanted]
        named = {word for attempt in found for word in _KEY_IN_REASON.findall(attempt.reason or "")}
        more = {attempt.key for attempt in everything if attempt.key[:8] in named} - wanted
        if not more:
            return tuple(found)
        wanted |= more


def _candidates(trial_id: str, store: Store) -> tuple[str, ...]:
    """Return the ids of the candidates that selection tried for this trial."""
    import pyarrow.compute as pc

    table = store.trials(columns=["trial_id", "parent"])
    return tuple(sorted(set(table.filter(pc.equal(table.column("parent"), trial_id)).column("trial_id").to_pylist())))
