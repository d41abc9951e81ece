"""How a group becomes permanent.

1. Measurements and curves are appended, marked with a fresh commit id. Nobody sees them yet: readers join them to the
   records on (key, commit id).
2. The records are appended with compare-and-swap on the number that the log of ``records`` keeps for the application
   ``records``. If another driver committed in between, the append fails; this driver reads what was committed, drops
   the keys that are already won, and tries again. So no key is won twice, without any lock.
3. Attempts are appended, among them one row for each record that came second.

Compaction drops measurements that no record names. It announces that in the log of ``records`` (application ``sweep``),
which fails every compare-and-swap under way; a driver that finds the announcement appends its measurements again under
a new commit id. So a row that a record is about to name is never lost, however long its driver slept.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from harness.store.errors import StoreError, StoreWriteError
from harness.store.rows import AttemptRow, CommitResult, Duplicate, Group, MeasurementRow, StageRecord, new_id
from harness.store.schemas import RECORDS_COMMITTED, SWEEP

if TYPE_CHECKING:
    from harness.store.records import Records
    from harness.store.store import Store

_ROUNDS = 100


def withdrawals(records: Records, keys: Iterable[str], reason: str) -> list[StageRecord]:
    """Return the rows that take back the winning records of ``keys``, as far as they have one."""
    rows = []
    for key in dict.fromkeys(keys):
        attempt = records.attempt(key)
        if attempt is not None:
            kind = str(records.field(key, "kind"))
            rows.append(StageRecord(key, kind, attempt=attempt, status="withdrawn", flags=(reason,)))
    return rows


def commit(store: Store, group: Group) -> CommitResult:
    """Commit a group; see :meth:`harness.store.Store.commit`."""
    from harness.store.compaction import tidy
    from harness.store.drivers import beat

    if not group:
        return CommitResult()
    _check(group)
    beat(store.root, store.writer)
    fresh, duplicates = _commit_records(store, group)
    _append_attempts(store, [*group.attempts, *_duplicate_rows(group, duplicates)])
    with suppress(StoreWriteError):  # the group stands; merging can wait for a better moment
        tidy(store)
    return CommitResult(
        committed=tuple(row.key for row in fresh if row.status != "withdrawn"),
        withdrawn=tuple(row.key for row in fresh if row.status == "withdrawn"),
        duplicates=duplicates,
    )


def _check(group: Group) -> None:
    """Refuse a group in which a key is won twice or a measurement has no record."""
    won = [row.key for row in group.records if row.status != "withdrawn"]
    if len(won) != len(set(won)):
        raise StoreError("a group holds two records of one key")
    owners = {(row.key, row.attempt) for row in group.records}
    named = [(row.key, row.attempt) for row in group.measurements] + [(row.key, row.attempt) for row in group.curves]
    for key, attempt in named:
        if (key, attempt) not in owners:
            raise StoreError(f"a group holds measurements of stage {key} without the record of their attempt")


def _commit_records(store: Store, group: Group) -> tuple[list[StageRecord], tuple[Duplicate, ...]]:
    """Commit the records with their measurements; return those that stand and those that came second."""
    if not group.records:
        return [], ()
    table = store.table("records")
    store.refresh()
    appended: set[str] = set()
    commit_id, sweep = "", 0
    for _ in range(_ROUNDS):
        pending, standing, losers = _sort_out(store.records(), group.records)
        if not pending:
            return standing, _judge(store, group, losers)
        keys = {row.key for row in pending}
        if not commit_id or not keys <= appended or table.number(SWEEP) != sweep:
            # The number is read before the append: a sweep from here on is either seen above in the next round, or
            # fails the swap below.
            commit_id, sweep, appended = new_id(), table.number(SWEEP), keys
            if not _append_rows(store, group, pending, commit_id):
                commit_id = ""
                store.refresh()
                continue
        if _swap(store, pending, commit_id) and _sort_out(store.refresh(), group.records)[0]:
            commit_id = ""  # the log was cleaned at that very moment and the commit is lost
        store.refresh()
    raise StoreWriteError(f"the store '{store.root}' is too busy: other drivers committed first {_ROUNDS} times")


def _sort_out(
    records: Records, rows: Sequence[StageRecord]
) -> tuple[list[StageRecord], list[StageRecord], list[StageRecord]]:
    """Split rows into those still to commit, those that stand already, and those whose key another attempt won."""
    pending: list[StageRecord] = []
    standing: list[StageRecord] = []
    losers: list[StageRecord] = []
    taken_back = {row.attempt for row in rows if row.status == "withdrawn"}
    for row in rows:
        winner = records.attempt(row.key)
        if row.status == "withdrawn":
            (standing if records.is_withdrawn(row.attempt) else pending).append(row)
        elif records.is_withdrawn(row.attempt):
            losers.append(row)
        elif winner == row.attempt:
            standing.append(row)
        elif winner is None or winner in taken_back:
            pending.append(row)
        else:
            losers.append(row)
    return pending, standing, losers


def _append_rows(store: Store, group: Group, pending: Sequence[StageRecord], commit_id: str) -> bool:
    """Append the measurements and curves of the pending records; False when an append may have been lost."""
    from harness.store.convert import curves_table, measurements_table

    wanted = {row.key for row in pending if row.status != "withdrawn"}
    measurements = [row for row in group.measurements if row.key in wanted]
    curves = [row for row in group.curves if row.key in wanted]
    settled = True
    if measurements:
        settled &= store.table("measurements").append(measurements_table(measurements, commit_id), store.writer)
    if curves:
        settled &= store.table("curves").append(curves_table(curves, commit_id), store.writer)
    return settled


def _swap(store: Store, pending: Sequence[StageRecord], commit_id: str) -> bool:
    """Append records if nobody committed any since this driver last looked."""
    from harness.store.convert import records_table
    from harness.store.tables import Conflict

    table = store.table("records")
    seen = table.number(RECORDS_COMMITTED)
    try:
        rows = records_table(pending, store.writer, seen + 1, commit_id)
        table.append(rows, store.writer, {RECORDS_COMMITTED: seen})
    except Conflict:
        return False
    return True


def _judge(store: Store, group: Group, losers: Sequence[StageRecord]) -> tuple[Duplicate, ...]:
    """Compare records that came second with the ones that count."""
    if not losers:
        return ()
    from harness.store.lookup import measurements_of

    records = store.records()
    theirs = measurements_of(store, [row.key for row in losers])
    ours: dict[str, list[MeasurementRow]] = {}
    for row in group.measurements:
        ours.setdefault(row.key, []).append(row)
    duplicates = []
    for loser in losers:
        winner = records.get(loser.key)
        agreed = winner is not None and (
            _outcome(loser, ours.get(loser.key, [])) == _outcome(winner, theirs.get(loser.key, []))
        )
        duplicates.append(Duplicate(loser.key, loser.attempt, winner.attempt if winner else "", agreed))
    return tuple(duplicates)


def _outcome(row: StageRecord, measurements: Sequence[MeasurementRow]) -> tuple[object, ...]:
    """Return what must be equal for two executions to agree; ``repr`` makes NaN equal to itself."""
    numbers = sorted(
        (m.task, m.split, m.metric, repr(m.value), repr(m.n_eval), repr(m.step), m.flags) for m in measurements
    )
    value = None if row.value is None else json.dumps(json.loads(row.value), sort_keys=True)
    return row.status, value, None if row.artifact is None else row.artifact.sha256, numbers


def _duplicate_rows(group: Group, duplicates: Sequence[Duplicate]) -> list[AttemptRow]:
    """Return the attempts rows of records that came second."""
    rows: Mapping[tuple[str, str], StageRecord] = {(row.key, row.attempt): row for row in group.records}
    return [
        AttemptRow(
            key=second.key,
            kind=rows[second.key, second.attempt].kind,
            attempt=second.attempt,
            status="duplicate",
            reason=_why(second),
            seconds=rows[second.key, second.attempt].seconds,
            memory_bytes=rows[second.key, second.attempt].memory_bytes,
            agreed=second.agreed,
            finished_at=rows[second.key, second.attempt].finished_at,
        )
        for second in duplicates
    ]


def _why(second: Duplicate) -> str:
    if not second.winner:
        return "this attempt was taken back before it was committed again"
    return f"attempt {second.winner} was committed first, with {'the same' if second.agreed else 'another'} outcome"


def _append_attempts(store: Store, rows: Sequence[AttemptRow]) -> None:
    if rows:
        from harness.store.convert import attempts_table

        # Readers count an attempt once, so that appending again after an uncertain commit does no harm.
        for _ in range(3):
            if store.table("attempts").append(attempts_table(rows, store.writer), store.writer):
                return
