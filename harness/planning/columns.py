"""The rows of the trials table that a plan writes: one a trial, a candidate, or an excluded cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from harness.planning.trials import STANDARD_AXES, PlannedBlock

if TYPE_CHECKING:
    import numpy as np

FORMAT = 1
"""Raised when the columns change their meaning, so that a plan stored before is written anew."""

COLUMNS = (
    "trial_id",
    "role",
    "baseline",
    "parent",
    "source",
    "target",
    "backbone",
    "method",
    "seed",
    "source_seed",
    "params",
    "key",
    "reason",
    "plan",
)
CANDIDATE = "candidate"
NO_SOURCE = "none"


def trial_columns(blocks: Sequence[PlannedBlock], plan: str) -> dict[str, list[Any]]:
    """Return the columns of all blocks; ``plan`` is the fingerprint that every row carries."""
    table: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    for planned in blocks:
        keys = [node.key for node in planned.terminals]
        labels = _labels(planned, planned.block.rows)
        _extend(table, planned, labels, trial_id=planned.ids, params=planned.params, key=keys)
        _extend_candidates(table, planned, labels)
        for group, (ids, params) in zip(planned.block.excluded, planned.excluded_ids, strict=True):
            reasons = [group.reason] * len(ids)
            _extend(table, planned, _labels(planned, group.rows), trial_id=ids, params=params, reason=reasons)
    table["plan"] = [plan] * len(table["trial_id"])
    return table


def _extend_candidates(table: dict[str, list[Any]], planned: PlannedBlock, labels: dict[str, list[str | None]]) -> None:
    rows = planned.candidates
    own = {name: [values[row.parent] for row in rows] for name, values in labels.items()}
    _extend(
        table,
        planned,
        own,
        trial_id=[row.id for row in rows],
        role=[CANDIDATE] * len(rows),
        parent=[planned.ids[row.parent] for row in rows],
        params=[row.params for row in rows],
        key=[row.terminal.key for row in rows],
    )


def _extend(
    table: dict[str, list[Any]], planned: PlannedBlock, labels: dict[str, list[str | None]], **given: list[Any]
) -> None:
    count = len(given["trial_id"])
    block = planned.block
    constant = {"role": block.role, "baseline": block.baseline, "method": block.method}
    for name in COLUMNS:
        table[name].extend(given.get(name) or labels.get(name) or [constant.get(name)] * count)


def _labels(planned: PlannedBlock, rows: np.ndarray) -> dict[str, list[str | None]]:
    """The labels of the standard axes as text, for each row. A baseline that has no source has no label of one."""
    block = planned.block
    found: dict[str, list[str | None]] = {}
    for position, axis in enumerate(block.axes):
        if axis.name in STANDARD_AXES:
            absent = {None, NO_SOURCE} if block.role == "baseline" else {None}
            texts = [None if label in absent else str(label) for label in axis.labels]
            found[axis.name] = [texts[i] for i in rows[:, position].tolist()]
    return found
