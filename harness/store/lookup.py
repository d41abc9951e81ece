"""Rows of single stages: what `show` prints and what duplicates are compared with."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from harness.store.rows import AttemptRow, CurveRow, MeasurementRow

if TYPE_CHECKING:
    from harness.store.store import Store


def measurements(store: Store, key: str) -> list[MeasurementRow]:
    """Return the measurements of ``key``'s winning record, in the order they were given."""
    return measurements_of(store, [key]).get(key, [])


def measurements_of(store: Store, keys: Sequence[str]) -> dict[str, list[MeasurementRow]]:
    """Return the measurements of the winning records of ``keys``, for those that have any."""
    from harness.store.convert import measurement

    found: dict[str, list[MeasurementRow]] = {}
    for row in _visible(store, "measurements", keys):
        found.setdefault(row["key"], []).append(measurement(row))
    return found


def curves(store: Store, key: str) -> list[CurveRow]:
    """Return the curve points of ``key``'s winning record, in the order they were given."""
    return curves_of(store, [key]).get(key, [])


def curves_of(store: Store, keys: Sequence[str]) -> dict[str, list[CurveRow]]:
    """Return the curve points of the winning records of ``keys``, for those that have any."""
    found: dict[str, list[CurveRow]] = {}
    for row in _visible(store, "curves", keys):
        point = CurveRow(row["key"], row["attempt"], row["name"], row["step"], row["value"])
        found.setdefault(point.key, []).append(point)
    return found


def attempts(store: Store, keys: Collection[str] | None = None) -> list[AttemptRow]:
    """Return attempts (of ``keys``, or all), oldest first, each once."""
    from harness.store.reading import Where

    where = None if keys is None else Where("key", keys)
    rows = [AttemptRow(**row) for row in store.table("attempts").read(where=where).to_pylist()]
    unique = {(row.key, row.attempt, row.status, row.finished_at): row for row in rows}
    return sorted(unique.values(), key=lambda row: row.finished_at)


def _visible(store: Store, table: str, keys: Sequence[str]) -> list[dict[str, Any]]:
    """Return the rows of ``keys`` that belong to the commit of the winning record."""
    from harness.store.reading import Where

    records = store.refresh()
    commits = {key: records.field(key, "commit_id") for key in keys}
    rows: list[dict[str, Any]] = store.table(table).read(where=Where("key", commits)).to_pylist()
    return [row for row in rows if row["commit_id"] == commits[row["key"]]]
