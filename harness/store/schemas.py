"""Names, columns and versions of the Delta tables.

Columns may be added later: a table written before a column existed is read with nulls in it. Any other change raises
``SCHEMA_VERSION``, which is kept in each table's metadata; a later version is refused with one sentence.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

SCHEMA_VERSION = 1
VERSION_PROPERTY = "harness.schemaVersion"

LAYOUT = "layout"
"""Number raised by every commit that replaces parts."""
RECORDS_COMMITTED = "records"
"""Number raised by every commit of records."""
SWEEP = "sweep"
"""Number raised before rows that no record names are dropped."""

STAMP = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True)
class TableSpec:
    """A table's columns, the column it is partitioned by (if any), and the numbers that its log keeps.

    The numbers are the versions that Delta Lake keeps for "applications" in the log, which here serve compare-and-swap.
    """

    name: str
    schema: pa.Schema
    partition: str | None = None
    numbers: tuple[str, ...] = (LAYOUT,)


def _schema(**columns: pa.DataType) -> pa.Schema:
    return pa.schema([pa.field(name, kind) for name, kind in columns.items()])


TEXT = pa.string()

TRIALS = TableSpec(
    "trials",
    _schema(
        study=TEXT,
        trial_id=TEXT,
        role=TEXT,
        baseline=TEXT,
        parent=TEXT,
        source=TEXT,
        target=TEXT,
        backbone=TEXT,
        method=TEXT,
        seed=TEXT,
        source_seed=TEXT,
        params=TEXT,
        key=TEXT,
        reason=TEXT,
        plan=TEXT,
    ),
    partition="study",
)

STAGES = TableSpec("stages", _schema(study=TEXT, key=TEXT), partition="study")

RECORDS = TableSpec(
    "records",
    _schema(
        key=TEXT,
        kind=TEXT,
        version=pa.int64(),
        attempt=TEXT,
        status=TEXT,
        flags=TEXT,
        value=TEXT,
        location=TEXT,
        name=TEXT,
        sha256=TEXT,
        nbytes=pa.int64(),
        keep=TEXT,
        code=TEXT,
        preimage=TEXT,
        inputs=TEXT,
        seconds=pa.float64(),
        memory_bytes=pa.int64(),
        device=TEXT,
        threads=pa.int64(),
        width=pa.int64(),
        precision=TEXT,
        provenance=TEXT,
        writer=TEXT,
        finished_at=STAMP,
        seq=pa.int64(),
        commit_id=TEXT,
        data_wait=pa.float64(),
    ),
    numbers=(LAYOUT, RECORDS_COMMITTED, SWEEP),
)

MEASUREMENTS = TableSpec(
    "measurements",
    _schema(
        key=TEXT,
        attempt=TEXT,
        task=TEXT,
        split=TEXT,
        metric=TEXT,
        value=pa.float64(),
        n_eval=pa.int64(),
        step=pa.int64(),
        flags=TEXT,
        commit_id=TEXT,
    ),
)

CURVES = TableSpec(
    "curves",
    _schema(key=TEXT, attempt=TEXT, name=TEXT, step=pa.int64(), value=pa.float64(), commit_id=TEXT),
)

ATTEMPTS = TableSpec(
    "attempts",
    _schema(
        key=TEXT,
        kind=TEXT,
        attempt=TEXT,
        status=TEXT,
        reason=TEXT,
        error=TEXT,
        log=TEXT,
        seconds=pa.float64(),
        memory_bytes=pa.int64(),
        agreed=pa.bool_(),
        writer=TEXT,
        finished_at=STAMP,
    ),
)

PROVENANCE = TableSpec(
    "provenance",
    _schema(id=TEXT, created_at=STAMP, content=TEXT, code=TEXT, host=TEXT),
)

TABLES: dict[str, TableSpec] = {
    spec.name: spec for spec in (TRIALS, STAGES, RECORDS, MEASUREMENTS, CURVES, ATTEMPTS, PROVENANCE)
}
