"""Between the dataclasses of :mod:`harness.store.rows` and arrow tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from harness.store.errors import StoreError
from harness.store.rows import ArtifactRef, AttemptRow, CurveRow, MeasurementRow, StageRecord
from harness.store.schemas import ATTEMPTS, CURVES, MEASUREMENTS, RECORDS, TableSpec

_PLAIN_RECORD = (
    "key", "kind", "version", "attempt", "status", "value", "keep", "code", "preimage", "inputs", "seconds",
    "memory_bytes", "device", "threads", "width", "precision", "provenance", "finished_at",
    "data_wait",
)  # fmt: skip
_ARTIFACT = ("location", "name", "sha256", "nbytes")


def join_flags(flags: Sequence[str]) -> str:
    """Return flags as one text: words separated by commas.

    Raises:
        StoreError: a flag holds a comma.
    """
    if any("," in flag for flag in flags):
        raise StoreError(f"a flag must not contain a comma: {list(flags)}")
    return ",".join(flags)


def split_flags(text: str | None) -> tuple[str, ...]:
    """Return the flags in a text of :func:`join_flags`."""
    return tuple(text.split(",")) if text else ()


def records_table(records: Sequence[StageRecord], writer: str, seq: int, commit_id: str) -> pa.Table:
    """Return record rows as a table; ``seq`` is the number of the commit, ``commit_id`` ties it to its measurements."""
    columns: dict[str, Sequence[Any]] = {name: [getattr(row, name) for row in records] for name in _PLAIN_RECORD}
    for name in _ARTIFACT:
        columns[name] = [None if row.artifact is None else getattr(row.artifact, name) for row in records]
    columns["flags"] = [join_flags(row.flags) for row in records]
    columns["writer"] = [row.writer or writer for row in records]
    columns["seq"] = [seq] * len(records)
    columns["commit_id"] = [commit_id] * len(records)
    return _table(RECORDS, columns)


def record(row: Mapping[str, Any]) -> StageRecord:
    """Return one row of the records table as a dataclass."""
    artifact = None
    if row["location"] is not None:
        artifact = ArtifactRef(row["location"], row["name"], row["sha256"], row["nbytes"])
    plain = {name: row[name] for name in _PLAIN_RECORD}
    return StageRecord(**plain, flags=split_flags(row["flags"]), artifact=artifact, writer=row["writer"])


def measurements_table(rows: Sequence[MeasurementRow], commit_id: str) -> pa.Table:
    """Return measurements as a table."""
    plain = ("key", "attempt", "task", "split", "metric", "value", "n_eval", "step")
    columns: dict[str, Sequence[Any]] = {name: [getattr(row, name) for row in rows] for name in plain}
    columns["flags"] = [join_flags(row.flags) for row in rows]
    columns["commit_id"] = [commit_id] * len(rows)
    return _table(MEASUREMENTS, columns)


def measurement(row: Mapping[str, Any]) -> MeasurementRow:
    """Return one row of the measurements table as a dataclass."""
    plain = {name: value for name, value in row.items() if name not in ("flags", "commit_id")}
    return MeasurementRow(**plain, flags=split_flags(row["flags"]))


def curves_table(rows: Sequence[CurveRow], commit_id: str) -> pa.Table:
    """Return curve points as a table."""
    plain = ("key", "attempt", "name", "step", "value")
    columns: dict[str, Sequence[Any]] = {name: [getattr(row, name) for row in rows] for name in plain}
    columns["commit_id"] = [commit_id] * len(rows)
    return _table(CURVES, columns)


def attempts_table(rows: Sequence[AttemptRow], writer: str) -> pa.Table:
    """Return attempts as a table."""
    columns: dict[str, Sequence[Any]] = {name: [getattr(row, name) for row in rows] for name in ATTEMPTS.schema.names}
    columns["writer"] = [row.writer or writer for row in rows]
    return _table(ATTEMPTS, columns)


def _table(spec: TableSpec, columns: Mapping[str, Sequence[Any]]) -> pa.Table:
    arrays = []
    for column in spec.schema:
        try:
            arrays.append(pa.array(columns[column.name], column.type))
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
            raise StoreError(f"column {column.name!r} of table {spec.name!r} got a wrong value: {error}") from error
    return pa.Table.from_arrays(arrays, schema=spec.schema)
