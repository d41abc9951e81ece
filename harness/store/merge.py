"""Bringing the results of one store into another: shards that ran apart, co-authors' halves of a study.

What the receiving store has already is never changed. A stage that both have is compared bit by bit: equal ones are
counted, others reported. Everything is keyed by content, so that merging again, after a kill too, adds only what is
missing, and other drivers may commit meanwhile: records go in by the same compare-and-swap as theirs.

The order is such that nothing is ever named before it is there: provenance, then in groups artifacts and records with
their measurements and curves, then attempts, and plans last.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypeVar

from harness.store.comparison import Outcome, difference
from harness.store.errors import ArtifactDamaged, StoreError
from harness.store.rows import AttemptRow, Finding, Group, StageRecord, new_id

if TYPE_CHECKING:
    from harness.store.store import Store

T = TypeVar("T")

GROUP = 1000
"""Records committed together."""
_TRIES = 3


@dataclass(frozen=True, slots=True)
class Conflict:
    """Something that both stores have and that is not the same in them; the receiving store's stands.

    Attributes:
        what: ``stage`` or ``plan``. name: the stage's key, or the study's name. kind: of the stage, else empty.
        differs: what of it, in a few words. ours, theirs: how it is in the receiving store and in the other one.
    """

    what: str
    name: str
    kind: str
    differs: str
    ours: str
    theirs: str


@dataclass(slots=True)
class Merged:
    """What merging one store into another did, or would do.

    Attributes:
        added: stages whose record is new. present: records that were there. equal: stages that both had computed, with
            equal outcomes. conflicts: those with other outcomes, and studies with other plans.
        damaged: artifacts that are not as recorded; their stages were left out.
        taken_back: stages left out because the receiving store had withdrawn these very records.
        changed: stages left out because the other store changed them meanwhile.
        artifacts, nbytes: artifacts that came with the new stages. attempts: new rows on failures. runs: new rows of
            provenance. studies: studies whose plan is new.
    """

    added: int = 0
    present: int = 0
    equal: int = 0
    conflicts: list[Conflict] = field(default_factory=list)
    damaged: list[Finding] = field(default_factory=list)
    taken_back: int = 0
    changed: int = 0
    artifacts: int = 0
    nbytes: int = 0
    attempts: int = 0
    runs: int = 0
    studies: list[str] = field(default_factory=list)


def merge(into: Store, other: Store, dry_run: bool = False) -> Merged:
    """Add to ``into`` what only ``other`` has; ``other`` is only read.

    Args:
        dry_run: only say what would be added and what differs; artifacts are then not read.

    Raises:
        StoreError: both are the same store.
        StoreWriteError: the disk does not take it; what was merged before stands, and merging again goes on from there.
    """
    if into.local.resolve() == other.local.resolve():
        raise StoreError(f"'{other.results}' cannot be merged with itself")
    done = Merged()
    done.runs = _merge_provenance(into, other, dry_run)
    second = [*_merge_records(into, other, done, dry_run)]
    done.attempts = _merge_attempts(into, other, second, dry_run)
    _merge_plans(into, other, done, dry_run)
    if not dry_run:
        with suppress(StoreError):  # all rows stand; small files can be merged another time
            into.compact()
    return done


# --- provenance -------------------------------------------------------------------------------------------------------


def _merge_provenance(into: Store, other: Store, dry_run: bool) -> int:
    """Append the rows whose identifier is not there; return their number."""
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = other.table("provenance").read()
    table, added = into.table("provenance"), 0
    for _ in range(_TRIES):
        known = pa.array(table.read(["id"]).column("id").to_pylist(), pa.string())
        fresh = rows.filter(pc.invert(pc.is_in(rows.column("id"), value_set=known)))
        added = added or fresh.num_rows
        if dry_run or not fresh.num_rows or table.append(fresh, into.writer):
            break
    return int(added)


# --- records ----------------------------------------------------------------------------------------------------------


def _merge_records(into: Store, other: Store, done: Merged, dry_run: bool) -> Iterator[AttemptRow]:
    """Commit the records that are new; yield a row for each that comes second."""
    ours, theirs = into.refresh(), other.refresh()
    fresh, shared = [], []
    for key in theirs:
        attempt = theirs.attempt(key)
        if attempt is not None and ours.is_withdrawn(attempt):
            done.taken_back += 1
        elif key not in ours:
            fresh.append(key)
        elif ours.attempt(key) == attempt:
            done.present += 1
        else:
            shared.append(key)
    for keys in _pieces(shared, GROUP):
        yield from _compare(into, _read_all(other, keys, done), done)
    # Artifacts that share a file stay together, as far as a group holds them.
    places = {key: str(theirs.field(key, "location") or "") for key in fresh}
    for keys in _pieces(sorted(fresh, key=places.__getitem__), GROUP):
        yield from _add(into, other, _read_all(other, keys, done), done, dry_run)


def _pieces(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[at : at + size] for at in range(0, len(items), size))


def _read_all(other: Store, keys: Sequence[str], done: Merged) -> list[Outcome]:
    """Read records of the other store, and count those that its own driver changes meanwhile."""
    found = read_outcomes(other, keys)
    done.changed += len(keys) - len(found)
    return found


def read_outcomes(store: Store, keys: Sequence[str]) -> list[Outcome]:
    """Return the records of ``keys`` with their rows; what another driver changes meanwhile is left out."""
    from harness.store.lookup import curves_of, measurements_of

    records = store.refresh()
    held = [records[key] for key in keys if key in records]
    measurements = measurements_of(store, [row.key for row in held])
    curves = curves_of(store, [row.key for row in held])
    records = store.refresh()
    still = [row for row in held if records.attempt(row.key) == row.attempt]
    return [Outcome(row, measurements.get(row.key, []), curves.get(row.key, [])) for row in still]


def _compare(into: Store, found: Sequence[Outcome], done: Merged) -> Iterator[AttemptRow]:
    """Set what the other store has beside what counts here."""
    # What leaves our store meanwhile is a withdrawal by its own driver: neither equal nor a conflict.
    mine = {one.record.key: one for one in read_outcomes(into, [one.record.key for one in found])}
    for theirs in found:
        ours = mine.get(theirs.record.key)
        if ours is None:
            continue
        differs = difference(ours, theirs)
        if differs is None:
            done.equal += 1
        else:
            record = theirs.record
            done.conflicts.append(Conflict("stage", record.key, record.kind, differs.what, differs.one, differs.other))
        yield _second(theirs.record, ours.record.attempt, differs is None)


def _second(row: StageRecord, winner: str, agreed: bool) -> AttemptRow:
    """Return the row that says that a key's record came second."""
    why = f"attempt {winner} was there before the merge, with {'the same' if agreed else 'another'} outcome"
    return AttemptRow(
        row.key, row.kind, row.attempt, "duplicate", why, seconds=row.seconds, memory_bytes=row.memory_bytes,
        agreed=agreed, writer=row.writer, finished_at=row.finished_at,
    )  # fmt: skip


def _add(into: Store, other: Store, found: Sequence[Outcome], done: Merged, dry_run: bool) -> Iterator[AttemptRow]:
    """Commit new records with their artifacts and rows; those that another driver won meanwhile are compared."""
    if dry_run:
        refs = [one.record.artifact for one in found if one.record.artifact is not None]
        done.added, done.artifacts = done.added + len(found), done.artifacts + len(refs)
        done.nbytes += sum(ref.nbytes for ref in refs)
        return
    whole = _with_artifacts(into, other, found, done)
    group = Group(
        [one.record for one in whole],
        [row for one in whole for row in one.measurements],
        [row for one in whole for row in one.curves],
    )
    result = into.commit(group)
    committed = set(result.committed)
    new = [one for one in whole if one.record.key in committed]
    done.added += len(new)
    done.artifacts += sum(one.record.artifact is not None for one in new)
    done.nbytes += sum(one.record.artifact.nbytes for one in new if one.record.artifact is not None)
    yield from _compare(into, [one for one in whole if one.record.key not in committed], done)


def _with_artifacts(into: Store, other: Store, found: Sequence[Outcome], done: Merged) -> list[Outcome]:
    """Copy the artifacts of records, each compared with its sha256; leave out the records whose artifact is damaged."""
    files: dict[str, list[Outcome]] = {}
    for one in found:
        if one.record.artifact is not None:
            files.setdefault(one.record.artifact.location, []).append(one)
    whole = [one for one in found if one.record.artifact is None]
    for location, sharing in files.items():
        members = {}
        for one in sharing:
            assert one.record.artifact is not None
            try:
                members[one.record.artifact.name] = other.artifacts.get(one.record.artifact)
            except ArtifactDamaged as error:
                done.damaged.append(Finding("error", location, f"the artifact is damaged: {error.what}", error.key))
        refs = into.artifacts.put_many(members)
        for one in sharing:
            ref = refs.get(one.record.artifact.name) if one.record.artifact is not None else None
            if ref is not None:
                whole.append(replace(one, record=replace(one.record, artifact=ref)))
    return whole


# --- attempts ---------------------------------------------------------------------------------------------------------


def _merge_attempts(into: Store, other: Store, second: Sequence[AttemptRow], dry_run: bool) -> int:
    """Append the rows on failures that are not there, and those on records that came second; return the former."""
    known = {_identity(row) for row in into.attempts()}
    fresh = [row for row in other.attempts() if _identity(row) not in known]
    if not dry_run:
        told = {_identity(row) for row in fresh} | known
        rows = [*fresh, *(row for row in second if _identity(row) not in told)]
        for some in _pieces(rows, 10 * GROUP):
            for log in {row.log for row in some if row.log is not None}:
                _copy_log(into.local, other.local, log)
            into.commit(Group(attempts=list(some)))
    return len(fresh)


def _identity(row: AttemptRow) -> tuple[object, ...]:
    return row.key, row.attempt, row.status, row.finished_at


def _copy_log(into: Path, other: Path, log: str) -> None:
    """Copy a worker's log that is not there yet; without it, the row still says what went wrong."""
    name = PurePosixPath(log)
    if name.is_absolute() or ".." in name.parts or (into / name).exists():
        return
    draft = into / name.parent / f".{name.name}-{new_id()}"
    with suppress(OSError):
        try:
            draft.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(other / name, draft)
            draft.replace(into / name)
        finally:
            draft.unlink(missing_ok=True)


# --- plans ------------------------------------------------------------------------------------------------------------


def _merge_plans(into: Store, other: Store, done: Merged, dry_run: bool) -> None:
    """Add the plans of studies that are not there; report those that differ."""
    from harness.store.comparison import plan_difference
    from harness.store.trials import add_stages, add_trials, stage_keys

    stages = stage_keys(other)
    for study in other.studies():
        rows = other.trials(study)
        if study not in into.studies() and (dry_run or add_trials(into, study, rows)):
            done.studies.append(study)
        else:
            differs = plan_difference(into.trials(study), rows)
            if differs is not None:
                done.conflicts.append(Conflict("plan", study, "", differs.what, differs.one, differs.other))
                continue
        if not dry_run and study in stages:
            add_stages(into, study, rows, stages[study])
