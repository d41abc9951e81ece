"""A consistent look at all tables: trials with the record or attempt that decides each, and their measurements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.store.errors import StoreError
from harness.store.records import winning
from harness.store.rows import FAILED_STATUSES

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from harness.store.store import Store

_RECORDS = (
    "key", "attempt", "status", "seq", "commit_id", "flags", "device", "threads", "width", "precision", "seconds",
    "memory_bytes", "kind", "provenance", "finished_at",
)  # fmt: skip
_ATTEMPTS = ("key", "kind", "attempt", "status", "reason", "seconds", "memory_bytes", "finished_at")
_TRIES = 10


@dataclass(frozen=True)
class Snapshot:
    """Tables that belong together.

    Attributes:
        trials: the planned trials [t].
        records: the winning records [r].
        measurements: the measurements of these records, ordered by record [m].
        owner: the record of each measurement, int64 [m].
        attempts: the attempt that decides each key that has no successful record [a].
        record_of_trial, attempt_of_trial: row in ``records`` / ``attempts`` of each trial, or null [t].
    """

    trials: pa.Table
    records: pa.Table
    measurements: pa.Table
    owner: npt.NDArray[np.int64]
    attempts: pa.Table
    record_of_trial: pa.Array
    attempt_of_trial: pa.Array


def load(store: Store, study: str | None, excluded: bool) -> Snapshot:
    """Read the newest plan of ``study`` (or of all) with what is known about its trials.

    Args:
        excluded: whether to include excluded trials.

    Raises:
        StoreError: there is no such study, or compaction by others never ends.
    """
    from harness.store.schemas import SWEEP

    table = store.table("records")
    for _ in range(_TRIES):
        rows = table.read(_RECORDS)
        sweep = table.number(SWEEP)
        measurements = store.table("measurements").read()
        attempts = store.table("attempts").read(_ATTEMPTS)
        trials = store.trials(study)
        table.refresh()
        if table.number(SWEEP) == sweep:  # else rows that the records name may have been dropped in between
            return _joined(trials, rows, measurements, attempts, excluded)
    raise StoreError(f"the store '{store.root}' is being compacted all the time: try again")


def _joined(trials: pa.Table, rows: pa.Table, measurements: pa.Table, attempts: pa.Table, excluded: bool) -> Snapshot:
    import pyarrow.compute as pc

    if not excluded:
        trials = trials.filter(pc.is_valid(trials.column("key")))
    trials = trials.combine_chunks()
    records = winning(rows).combine_chunks()
    deciding = _deciding(attempts, rows)
    record_of_trial = _lookup(trials, records)
    status = records.column("status").combine_chunks().take(record_of_trial)
    attempt_of_trial = _lookup(trials, deciding)
    attempt_status = deciding.column("status").combine_chunks().take(attempt_of_trial)
    # A record that succeeded hides earlier failures; one that diverged is explained by the attempt that diverged.
    relevant = pc.or_kleene(
        pc.is_null(status), pc.and_(pc.equal(status, "diverged"), pc.equal(attempt_status, "diverged"))
    )
    attempt_of_trial = pc.if_else(pc.fill_null(relevant, False), attempt_of_trial, None)
    visible, owner = _visible(measurements, records)
    return Snapshot(trials, records, visible, owner, deciding, record_of_trial, attempt_of_trial)


def _lookup(trials: pa.Table, table: pa.Table) -> pa.Array:
    """Return for each trial the row of ``table`` (unique keys) with its key, or null."""
    import pyarrow.compute as pc

    keys = trials.column("key").combine_chunks()
    found = pc.index_in(keys, value_set=table.column("key").combine_chunks())
    return pc.if_else(pc.is_valid(keys), found, None)


def _visible(measurements: pa.Table, records: pa.Table) -> tuple[pa.Table, npt.NDArray[np.int64]]:
    """Return the measurements that belong to the commit of a winning record, ordered by record."""
    import numpy as np
    import pyarrow.compute as pc

    measurements = measurements.combine_chunks()
    owner = pc.index_in(measurements.column("key").combine_chunks(), value_set=records.column("key").combine_chunks())
    named = records.column("commit_id").combine_chunks().take(owner)
    mine = pc.fill_null(pc.equal(named, measurements.column("commit_id").combine_chunks()), False)
    rows = owner.filter(mine).to_numpy(zero_copy_only=False).astype(np.int64)
    order = np.argsort(rows, kind="stable")
    return measurements.filter(mine).take(order).combine_chunks(), rows[order]


def _deciding(attempts: pa.Table, records: pa.Table) -> pa.Table:
    """Return the newest failed attempt of each key, of those since its last record was taken back."""
    import pyarrow as pa
    import pyarrow.compute as pc

    failed = attempts.filter(pc.is_in(attempts.column("status"), value_set=pa.array(FAILED_STATUSES)))
    if failed.num_rows == 0:
        return failed.combine_chunks()
    withdrawn = records.filter(pc.equal(records.column("status"), "withdrawn"))
    since = withdrawn.group_by("key").aggregate([("finished_at", "max")]).combine_chunks()
    at = pc.index_in(failed.column("key").combine_chunks(), value_set=since.column("key").combine_chunks())
    limit = since.column("finished_at_max").combine_chunks().take(at)
    newer = pc.greater(failed.column("finished_at").combine_chunks(), limit)
    failed = failed.filter(pc.fill_null(newer, True)).combine_chunks()
    numbered = failed.append_column("row", pa.array(range(failed.num_rows), pa.int64()))
    last = numbered.sort_by("finished_at").group_by("key", use_threads=False).aggregate([("row", "last")])
    return failed.take(last.column("row_last").sort()).combine_chunks()
