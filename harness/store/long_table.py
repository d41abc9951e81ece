"""The outcomes as one long arrow table: a row a trial x task x split x metric, a column an axis.

Which trials exist is what each study's newest plan says; a trial's outcome is what is stored under the key it names.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.store.errors import StoreError, StoreWriteError
from harness.store.rows import new_id
from harness.store.store import Store

if TYPE_CHECKING:
    import pyarrow as pa

    from harness.store.snapshot import Snapshot

_TRIAL = (
    "study", "trial_id", "role", "baseline", "parent", "source", "target", "backbone", "method", "seed", "source_seed",
)  # fmt: skip
_MEASURED = ("task", "split", "metric", "value", "n_eval", "step")
_RECORDED = ("device", "threads", "width", "precision", "provenance")
_EITHER = ("seconds", "memory_bytes", "attempt", "finished_at")
OUTCOME_COLUMNS = (*_TRIAL, *_MEASURED, "status", "flags", "reason", *_RECORDED, *_EITHER, "key")
STATE_COLUMNS = (*_TRIAL, "state", "status", "flags", "reason", *_EITHER, "key")
_NAN_REASON = "the loss became NaN or infinite"


def outcomes(results: Path | str | Store, study: str | None = None) -> pa.Table:
    """Return the outcomes of a study's (or every study's) newest plan.

    A trial that is done has a row for each of its measurements; one that failed, was skipped or diverged has one row
    with a null value, its status and a reason. Excluded and pending trials have none (see :func:`trial_states`).

    Columns: :data:`OUTCOME_COLUMNS`, with a column for each axis after ``source_seed``. An axis named like one of these
    columns is called ``axis_<name>``. Seeds are integers when all of them are, text otherwise; flags are words
    separated by commas.

    Raises:
        NoStoreError: there is no store.
        StoreError: there is no such study.
    """
    import pyarrow as pa

    from harness.store.snapshot import load

    data = load(_store(results), study, excluded=False)
    trial, measured = _pairs(data)
    record, attempt = data.record_of_trial.take(trial), data.attempt_of_trial.take(trial)
    columns = _trial_columns(data.trials.take(trial), OUTCOME_COLUMNS)
    columns |= {name: _take(data.measurements, name, measured) for name in _MEASURED}
    columns["status"] = _first(_take(data.records, "status", record), _take(data.attempts, "status", attempt))
    columns["flags"] = _flags(_take(data.records, "flags", record), _take(data.measurements, "flags", measured))
    columns["reason"] = _reason(columns["status"], _take(data.attempts, "reason", attempt))
    columns |= {name: _take(data.records, name, record) for name in _RECORDED}
    columns |= _either(data, record, attempt)
    columns["key"] = data.trials.column("key").take(trial)
    return pa.table(columns).combine_chunks()


def trial_states(results: Path | str | Store, study: str | None = None) -> pa.Table:
    """Return one row for every trial of the newest plan, with its state and the reason for it.

    Columns: :data:`STATE_COLUMNS`, with a column for each axis after ``source_seed``; ``state`` is done, failed,
    skipped, diverged, pending or excluded.

    Raises:
        NoStoreError: there is no store.
        StoreError: there is no such study.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    from harness.store.snapshot import load

    data = load(_store(results), study, excluded=True)
    record, attempt = data.record_of_trial, data.attempt_of_trial
    columns = _trial_columns(data.trials, STATE_COLUMNS)
    status = _first(_take(data.records, "status", record), _take(data.attempts, "status", attempt))
    columns["state"] = _state(status, data.trials.column("key"))
    columns["status"] = status
    columns["flags"] = pc.fill_null(_take(data.records, "flags", record), "")
    why = _reason(status, _take(data.attempts, "reason", attempt))
    columns["reason"] = _first(data.trials.column("reason").combine_chunks(), why)
    columns |= _either(data, record, attempt)
    columns["key"] = data.trials.column("key")
    return pa.table(columns).combine_chunks()


def export(results: Path | str | Store, study: str | None, to: Path | str) -> int:
    """Write the outcomes into a ``.parquet`` or ``.csv`` file, all or nothing; return the number of rows.

    Raises:
        NoStoreError: there is no store.
        StoreError: there is no such study, or the file name ends in something else.
        StoreWriteError: the file cannot be written; an older file of that name is untouched.
    """
    target = Path(to)
    writer = _writer(target)
    table = outcomes(results, study)
    draft = target.with_name(f".{target.name}-{new_id()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        writer(table, draft)
        os.replace(draft, target)
    except OSError as error:
        raise StoreWriteError(f"'{target}' could not be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            draft.unlink()
    return int(table.num_rows)


def _writer(target: Path) -> Callable[[pa.Table, Path], Any]:
    import pyarrow.csv
    import pyarrow.parquet

    writers: dict[str, Callable[[pa.Table, Path], Any]] = {
        ".parquet": pyarrow.parquet.write_table,
        ".csv": pyarrow.csv.write_csv,
    }
    if target.suffix not in writers:
        raise StoreError(f"cannot export to '{target}': the name must end in .parquet or .csv")
    return writers[target.suffix]


def _store(results: Path | str | Store) -> Store:
    return results if isinstance(results, Store) else Store.open(results)


def _pairs(data: Snapshot) -> tuple[pa.Array, pa.Array]:
    """Return for each row of the outcomes its trial, and its measurement or null.

    A trial with a record has a row for each of the record's measurements, but at least one; a trial with only a failed
    attempt has one; a pending trial has none.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    record = pc.fill_null(data.record_of_trial, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    failed = pc.is_valid(data.attempt_of_trial).to_numpy(zero_copy_only=False)
    counts = np.bincount(data.owner, minlength=data.records.num_rows + 1)  # one more: what index -1 means, always 0
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    repeats = np.where(record >= 0, np.maximum(counts[record], 1), failed.astype(np.int64))
    trial = np.repeat(np.arange(len(record)), repeats)
    within = np.arange(len(trial)) - np.repeat(np.cumsum(repeats) - repeats, repeats)
    measured = starts[record[trial]] + within
    return pa.array(trial), pa.array(measured, mask=counts[record[trial]] == 0)


def _trial_columns(rows: pa.Table, fixed: Collection[str]) -> dict[str, Any]:
    """Return the columns that say which trial a row is: the fixed axes, then a column for each further axis."""
    from harness.store.axes import axis_columns, integers

    columns: dict[str, Any] = {name: rows.column(name) for name in _TRIAL}
    for name in ("seed", "source_seed"):
        columns[name] = integers(columns[name])
    return columns | axis_columns(rows.column("params"), fixed)


def _either(data: Snapshot, record: pa.Array, attempt: pa.Array) -> dict[str, pa.Array]:
    """Return what both records and failed attempts state."""
    return {name: _first(_take(data.records, name, record), _take(data.attempts, name, attempt)) for name in _EITHER}


def _state(status: pa.Array, key: pa.ChunkedArray) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    own = pc.is_in(status, value_set=pa.array(["diverged", "skipped"]))
    state = pc.if_else(pc.equal(status, "ok"), "done", pc.if_else(own, status, "failed"))
    state = pc.if_else(pc.is_null(status), "pending", state)
    return pc.if_else(pc.is_null(key.combine_chunks()), "excluded", state)


def _reason(status: pa.Array, reason: pa.Array) -> pa.Array:
    import pyarrow.compute as pc

    return _first(reason, pc.if_else(pc.equal(status, "diverged"), _NAN_REASON, None))


def _flags(stage: pa.Array, own: pa.Array) -> pa.Array:
    """Join the flags of the record with those of the measurement, each once."""
    import pyarrow as pa
    import pyarrow.compute as pc

    stage, own = pc.fill_null(stage, ""), pc.fill_null(own, "")
    joined = pc.utf8_trim(pc.binary_join_element_wise(stage, own, ","), ",").dictionary_encode()
    texts = [",".join(dict.fromkeys(text.split(","))) for text in joined.dictionary.to_pylist()]
    return pa.array(texts, pa.string()).take(joined.indices)


def _take(table: pa.Table, name: str, rows: pa.Array) -> pa.Array:
    return table.column(name).combine_chunks().take(rows)


def _first(one: pa.Array, other: pa.Array) -> pa.Array:
    """Return the values of ``one``, and those of ``other`` where they are null."""
    import pyarrow.compute as pc

    return pc.coalesce(one, other)
