"""Where a study's time went: seconds of its stages by kind, and how many more it would have been without sharing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from analysis.tables import Table, plain_table

PARTS = ("data", "features", "training", "probes", "evaluation", "estimators", "other")
# Words in names of stage kinds, the first that fits counts: fit_probe is a probe, prepare_data is data.
_WORDS = (
    ("probes", ("probe", "logistic")),
    ("features", ("feature", "activation", "prefix", "embed")),
    ("data", ("data", "decode", "fetch", "load")),
    ("evaluation", ("evaluat", "predict", "measure", "score")),
    ("training", ("train", "adapt", "tune", "suffix", "initialise", "average", "distil", "merge")),
)
_NO_WORK = "choice"


@dataclass(frozen=True)
class Stage:
    """A recorded stage: its kind, seconds of one worker (a batch's divided among its members), and its inputs.

    ``waiting``: share of its seconds that it waited for data, None where that is not known.
    """

    kind: str
    seconds: float
    inputs: tuple[str, ...] = ()
    waiting: float | None = None


@dataclass
class KindTime:
    """Stages of one kind that a study rests on; ``alone``: what they would take if every trial computed its own."""

    part: str
    kind: str
    stages: int = 0
    seconds: float = 0.0
    calls: int = 0
    alone: float = 0.0


@dataclass(frozen=True)
class TimeSpent:
    """Kinds with most seconds first; ``unknown``: stages without a record; ``waiting``: share of training spent waiting
    for data, None where no row says."""

    kinds: tuple[KindTime, ...]
    trials: int
    unknown: int = 0
    waiting: float | None = None

    @property
    def seconds(self) -> float:
        """Seconds of all stages."""
        return sum(kind.seconds for kind in self.kinds)

    @property
    def alone(self) -> float:
        """Seconds if every trial computed everything it needs itself."""
        return sum(kind.alone for kind in self.kinds)


@dataclass
class _Reached:
    """What the trials reach: how many of them reach each stage, and which keys have no record."""

    trials: Counter[str] = field(default_factory=Counter)
    unknown: set[str] = field(default_factory=set)


def time_spent(stages: Mapping[str, Stage], terminals: Sequence[tuple[str, str]]) -> TimeSpent:
    """Add up the stages behind some trials.

    Args:
        stages: recorded stages by key.
        terminals: key of the last stage and role of every trial that has a record.
    """
    scores = {stages[key].kind for key, role in terminals if role == "estimator" and key in stages}
    reached = _Reached()
    for key, _ in terminals:
        _walk(key, stages, reached)
    found: dict[str, KindTime] = {}
    for key, trials in reached.trials.items():
        stage = stages[key]
        if stage.kind == _NO_WORK:
            continue
        part = "estimators" if stage.kind in scores else part_of(stage.kind)
        kind = found.setdefault(stage.kind, KindTime(part, stage.kind))
        kind.stages += 1
        kind.seconds += stage.seconds
        kind.calls += trials
        kind.alone += stage.seconds * trials
    order = sorted(found.values(), key=lambda k: (-k.seconds, k.kind))
    waiting = _waiting_share(stages[key] for key in reached.trials)
    return TimeSpent(tuple(order), len(terminals), len(reached.unknown), waiting)


def _walk(start: str, stages: Mapping[str, Stage], reached: _Reached) -> None:
    """Count a trial at every stage that it rests on, once."""
    waiting, seen = [start], {start}
    while waiting:
        key = waiting.pop()
        stage = stages.get(key)
        if stage is None:
            reached.unknown.add(key)
            continue
        reached.trials[key] += 1
        new = [k for k in stage.inputs if k not in seen]
        seen.update(new)
        waiting.extend(new)


def _waiting_share(stages: Iterable[Stage]) -> float | None:
    """Share of the seconds of trainings that was spent waiting for data; None when none of them says."""
    known = [(stage.waiting, stage.seconds) for stage in stages if stage.waiting is not None]
    total = sum(seconds for _, seconds in known)
    return sum(share * seconds for share, seconds in known) / total if total else None


def part_of(kind: str) -> str:
    """The part of the work that a stage kind belongs to, by the words in its name."""
    return next((part for part, words in _WORDS if any(word in kind for word in words)), "other")


def read_time(results: Path, study: str, roles: Collection[str] = ("outcome", "baseline", "estimator")) -> TimeSpent:
    """Add up what the store holds for the newest plan of a study.

    Raises:
        HarnessError: when there is no store, or no such study.
    """
    from harness.store import Store

    store = Store.open(results)
    trials = store.trials(study, ["key", "role"])
    records = store.records()
    wanted = [
        (key, role)
        for key, role in zip(trials.column("key").to_pylist(), trials.column("role").to_pylist(), strict=True)
        if key is not None and key in records and role in roles
    ]
    rows = store.table("records").read(["key", "attempt", "kind", "seconds", "inputs", "data_wait"])
    columns = (rows.column(name).to_pylist() for name in rows.column_names)
    stages = {
        key: Stage(kind, seconds or 0.0, tuple(json.loads(inputs or "{}")), waiting)
        for key, attempt, kind, seconds, inputs, waiting in zip(*columns, strict=True)
        if records.attempt(key) == attempt
    }
    return time_spent(stages, wanted)


def time_table(spent: TimeSpent) -> Table:
    """Seconds by part and stage kind, with what sharing saved."""
    total = spent.seconds
    rows = []
    parts = {part: [k for k in spent.kinds if k.part == part] for part in PARTS}
    for part, kinds in sorted(parts.items(), key=lambda item: -sum(k.seconds for k in item[1])):
        rows += [_row(part, kind, total) for kind in kinds]
    everything = KindTime("all", "", sum(k.stages for k in spent.kinds), total, sum(k.calls for k in spent.kinds),
                          spent.alone)  # fmt: skip
    rows.append(_row("all", everything, total))
    notes = [
        f"Seconds of one worker (a batch's divided among its members) behind {spent.trials:,} trials with a record, "
        "whichever study computed them. Alone: if every trial computed all that it needs itself."
    ]
    if spent.waiting is not None:
        notes.append(f"Share of their seconds that trainings waited for data: {spent.waiting:.1%}.")
    if spent.unknown:
        notes.append(f"{spent.unknown:,} stages behind them have no record of their own (fused or cached away).")
    head = ("part", "stage", "calls", "seconds", "share", "calls alone", "seconds alone", "saved")
    return plain_table("Seconds by part of the work", head, rows, notes, stubs=2)


def _row(part: str, kind: KindTime, total: float) -> tuple[str, ...]:
    share = f"{kind.seconds / total:.1%}" if total else ""
    saved = f"{kind.alone / kind.seconds:.1f} x" if kind.seconds else ""
    return (part, kind.kind, f"{kind.stages:,}", f"{kind.seconds:,.1f}", share, f"{kind.calls:,}",
            f"{kind.alone:,.1f}", saved)  # fmt: skip
