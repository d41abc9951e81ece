"""Whether two executions of a stage, or two plans of a study, are the same, and in what they first differ."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.store.rows import CurveRow, MeasurementRow, StageRecord

if TYPE_CHECKING:
    import pyarrow as pa

ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Outcome:
    """A record with its measurements and curves."""

    record: StageRecord
    measurements: Sequence[MeasurementRow]
    curves: Sequence[CurveRow]


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs, in a few words, and how it is on either side."""

    what: str
    one: str
    other: str


def difference(one: Outcome, other: Outcome) -> Difference | None:
    """Return in what two executions of a stage differ first; None when all that they found is equal bit by bit.

    Compared are status, value, artifact (where both kept one), measurements and curves; not when, where and how fast.
    """
    mine, yours = one.record, other.record
    if mine.status != yours.status:
        return Difference("status", mine.status, yours.status)
    if _canonical(mine.value) != _canonical(yours.value):
        return Difference("value", mine.value or ABSENT, yours.value or ABSENT)
    if mine.artifact is not None and yours.artifact is not None and mine.artifact.sha256 != yours.artifact.sha256:
        return Difference("artifact", f"sha256 {mine.artifact.sha256[:12]}", f"sha256 {yours.artifact.sha256[:12]}")
    return _first(_measured(one.measurements), _measured(other.measurements)) or _first(
        _drawn(one.curves), _drawn(other.curves)
    )


def plan_difference(one: pa.Table, other: pa.Table) -> Difference | None:
    """Return in what two plans of a study differ, or None when they have the same trials with the same stages."""
    prints = [set(table.column("plan").to_pylist()) for table in (one, other)]
    if prints[0] == prints[1] and None not in prints[0]:
        return None
    mine, yours = (_by_trial(table) for table in (one, other))
    if mine == yours:
        return None
    changed = sum(mine[trial] != yours[trial] for trial in mine.keys() & yours.keys())
    what = f"{changed:,} of their common trials" if changed else "their trials"
    return Difference(what, *(f"{len(a):,} trials, {len(a.keys() - b.keys()):,} only here"
                              for a, b in ((mine, yours), (yours, mine))))  # fmt: skip


def _by_trial(table: pa.Table) -> dict[str, tuple[Any, ...]]:
    columns = [table.column(name).to_pylist() for name in table.column_names if name != "plan"]
    return {str(row[1]): row[1:] for row in sorted(zip(*columns, strict=True), key=lambda row: str(row[1]))}


def _canonical(value: str | None) -> str | None:
    return None if value is None else json.dumps(json.loads(value), sort_keys=True)


def _measured(rows: Sequence[MeasurementRow]) -> dict[str, list[str]]:
    """Return the numbers by what they measure, as texts: ``repr`` tells all floats apart and makes NaN equal to NaN."""
    found: dict[str, list[str]] = {}
    for row in rows:
        step = "" if row.step is None else f" at step {row.step}"
        number = (
            repr(row.value)
            + ("" if row.n_eval is None else f" of {row.n_eval}")
            + "".join(f" ({flag})" for flag in row.flags)
        )
        found.setdefault(f"{row.metric} on {row.task}/{row.split}{step}", []).append(number)
    return found


def _drawn(rows: Sequence[CurveRow]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(f"curve {row.name} at step {row.step}", []).append(repr(row.value))
    return found


def _first(one: Mapping[str, list[str]], other: Mapping[str, list[str]]) -> Difference | None:
    """Return the first entry in which two mappings differ, and how many more there are."""
    names = [name for name in dict.fromkeys([*one, *other]) if sorted(one.get(name, [])) != sorted(other.get(name, []))]
    if not names:
        return None
    more = f", and {len(names) - 1:,} more" if len(names) > 1 else ""
    name = names[0]
    return Difference(name + more, *("; ".join(side[name]) if name in side else ABSENT for side in (one, other)))
