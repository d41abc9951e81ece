"""Rows to commit in tests."""

from __future__ import annotations

import hashlib
from typing import Any

from harness.store import Group, MeasurementRow, StageRecord


def key_of(name: object) -> str:
    return hashlib.sha256(str(name).encode()).hexdigest()[:32]


def record(name: object, **fields: Any) -> StageRecord:
    return StageRecord(key_of(name), "evaluate", **fields)


def measured(row: StageRecord, value: float | None, metric: str = "accuracy", **fields: Any) -> MeasurementRow:
    return MeasurementRow(row.key, row.attempt, "digits", "test", metric, value, **fields)


def one(name: object, measure: float = 0.5, **fields: Any) -> Group:
    """Return a group of one record with one measurement."""
    row = record(name, **fields)
    return Group(records=[row], measurements=[measured(row, measure)])
