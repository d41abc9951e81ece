"""One study taken out of a store into a store of its own, at one moment, on request without names.

Everything in a bundle is made from that small store, so that its parts agree although drivers may be at work, and so
that nothing that was taken out can come back in through a figure or a page.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.bundle.anonymous import Anonymiser, hosts_of
from harness.store import AttemptRow, Group, StageRecord, Store
from harness.store.comparison import Outcome
from harness.store.merge import read_outcomes

if TYPE_CHECKING:
    import pyarrow as pa

_KEPT = ("study", "key", "plan")
"""Columns of the trials without names: digests, and what the study is called."""
_LOG_BYTES = 64 * 2**10
"""Of a worker's log, so many last bytes come along."""


@dataclass
class Extract:
    """What a study's part of a store holds.

    Attributes:
        trials: its newest plan. stages: the keys of the plan's other stages, None when they were not stated.
        outcomes: the records that its trials rest on. attempts: their failures, oldest first.
        runs: rows of provenance of these records. logs: of the failures, by name: the end of each.
    """

    study: str
    trials: pa.Table
    stages: set[str] | None
    outcomes: list[Outcome]
    attempts: list[AttemptRow]
    runs: list[dict[str, Any]]
    logs: dict[str, str]


def read_extract(store: Store, study: str) -> Extract:
    """Read all that a store knows of a study.

    Raises:
        StoreError: there is no such study.
    """
    from harness.store.prune import reachable
    from harness.store.trials import stage_keys

    trials = store.trials(study)
    stages = stage_keys(store).get(study)
    roots = {key for key in trials.column("key").to_pylist() if key is not None} | (stages or set())
    reached = reachable(store.refresh(), roots)
    found = read_outcomes(store, sorted(key for key in reached if key in store.records()))
    attempts = sorted(store.attempts(reached), key=lambda row: (row.finished_at, row.key, row.attempt))
    used = {outcome.record.provenance for outcome in found}
    runs = [row for row in store.table("provenance").read().to_pylist() if row["id"] in used]
    logs = {row.log: text for row in attempts if row.log and (text := _end_of(store.local, row.log)) is not None}
    return Extract(study, trials, stages, found, attempts, sorted(runs, key=lambda row: str(row["id"])), logs)


def _end_of(root: Path, log: str) -> str | None:
    """Return the end of a log inside the store, if it is there."""
    path = root / log
    try:
        if not path.resolve().is_relative_to(root.resolve()):
            return None
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _LOG_BYTES))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return None


def acquaint(anonymiser: Anonymiser, store: Store, extract: Extract) -> None:
    """Let an anonymiser learn the names in an extract and in the provenance of the whole store."""
    hosts_of(store.table("provenance").read(["host"]).to_pylist(), anonymiser)
    for text in _texts(extract):
        anonymiser.learn(text)


def _texts(extract: Extract) -> Iterable[str | None]:
    for outcome in extract.outcomes:
        yield from (outcome.record.preimage, outcome.record.value)
    for row in extract.attempts:
        yield from (row.reason, row.error)
    for run in extract.runs:
        yield from (run["content"], run["code"])
    for name in ("source", "target", "backbone", "method", "params", "reason"):
        yield from extract.trials.column(name).unique().to_pylist()
    yield from extract.logs.values()


def without_names(extract: Extract, anonymiser: Anonymiser) -> Extract:
    """Return an extract of which no text holds a name, an address or an absolute path."""

    def text(value: str | None) -> str | None:
        return None if value is None else anonymiser.text(value)

    def told(value: str | None) -> str | None:
        return None if value is None else anonymiser.text(value, addresses=True)

    outcomes = [_outcome_without(outcome, text) for outcome in extract.outcomes]
    attempts = [
        replace(
            row, kind=anonymiser.text(row.kind), reason=told(row.reason) or "", error=told(row.error), log=text(row.log)
        )
        for row in extract.attempts
    ]
    runs = [
        {**row, "content": _without_commit(str(text(row["content"]))), "code": text(row["code"]), "host": None}
        for row in extract.runs
    ]
    logs = {anonymiser.name(name): anonymiser.text(log, addresses=True) for name, log in extract.logs.items()}
    trials = extract.trials
    for place, name in enumerate(trials.column_names):
        if name not in _KEPT:
            trials = trials.set_column(place, trials.schema.field(place), _column_without(trials.column(name), text))
    return Extract(anonymiser.name(extract.study), trials, extract.stages, outcomes, attempts, runs, logs)


def _outcome_without(outcome: Outcome, text: Any) -> Outcome:
    record: StageRecord = replace(
        outcome.record,
        kind=text(outcome.record.kind),
        value=text(outcome.record.value),
        preimage=text(outcome.record.preimage),
        device=text(outcome.record.device),
        flags=tuple(text(flag) for flag in outcome.record.flags),
    )
    measurements = [
        replace(row, task=text(row.task), split=text(row.split), metric=text(row.metric),
                flags=tuple(text(flag) for flag in row.flags))
        for row in outcome.measurements
    ]  # fmt: skip
    return Outcome(record, measurements, [replace(row, name=text(row.name)) for row in outcome.curves])


def _column_without(column: pa.ChunkedArray, text: Any) -> pa.Array:
    """Apply a function to each distinct text of a column."""
    import pyarrow as pa

    encoded = column.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    return pa.array([text(value) for value in encoded.dictionary.to_pylist()], pa.string()).take(encoded.indices)


def _without_commit(content: str) -> str:
    """Drop the git commit of a run, by which a public repository and so its authors are found."""
    run: dict[str, Any] = json.loads(content)
    git = run.get("git")
    if isinstance(git, Mapping):
        run["git"] = {name: value for name, value in git.items() if name != "commit"}
    return json.dumps(run, sort_keys=True, ensure_ascii=False)


def write_extract(extract: Extract, results: Path) -> Store:
    """Write an extract into a fresh results folder and return its store; artifacts are not copied."""
    import pyarrow as pa

    from harness.store.schemas import PROVENANCE

    store = Store.open(results, create=True)
    if extract.runs:
        store.table("provenance").append(pa.Table.from_pylist(extract.runs, schema=PROVENANCE.schema), store.writer)
    store.commit(
        Group(
            [outcome.record for outcome in extract.outcomes],
            [row for outcome in extract.outcomes for row in outcome.measurements],
            [row for outcome in extract.outcomes for row in outcome.curves],
            extract.attempts,
        )
    )
    store.write_trials(extract.study, extract.trials, extract.stages)
    return store
