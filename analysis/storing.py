"""Imported outcomes kept beside our own: in the store, so that every command finds them by their study's name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.columns import CONTEXT, IDENTITY, MEASUREMENT, label
from analysis.foreign import TRIAL_COLUMNS
from harness.errors import HarnessError

if TYPE_CHECKING:
    import pandas as pd

    from harness.store import Group

KIND = "imported"
_NO_AXIS = IDENTITY | MEASUREMENT | CONTEXT | {"study", "task"} | set(TRIAL_COLUMNS)


def store_outcomes(frame: pd.DataFrame, results: str | Path, study: Mapping[str, Any]) -> int:
    """Keep an outcome frame in a results folder under the name ``study["study"]``; give the number of trials.

    What was stored under that name before is replaced. ``study`` is recorded as the resolved study, so that its
    analyses can be drawn later.

    Raises:
        HarnessError: when the frame is empty or the folder cannot be written.
    """
    from harness.store import Group, Store

    if frame.empty:
        raise HarnessError("There is no outcome to import.")
    name = str(study["study"])
    store = Store.open(Path(results), create=True)
    provenance = store.provenance(study)
    keys = _keys(frame, name)
    group, trials = Group(), []
    axes = [str(c) for c in frame.columns if c not in _NO_AXIS]
    for trial, rows in frame.groupby("trial_id", sort=False):
        first = rows.iloc[0]
        key = keys[str(trial)]
        trials.append({column: _text(first.get(column)) for column in TRIAL_COLUMNS} | {
            "trial_id": str(trial), "key": key, "params": _params(first, axes), "reason": None, "plan": name,
        })  # fmt: skip
        _record(group, rows, key, provenance)
    plan = hashlib.blake2s("".join(sorted(keys.values())).encode(), digest_size=16).hexdigest()
    store.write_trials(name, {c: [t[c] for t in trials] for c in trials[0]} | {"plan": [plan] * len(trials)})
    store.commit(group)
    return len(trials)


def _keys(frame: pd.DataFrame, study: str) -> dict[str, str]:
    """A content key for every trial: what it is and what it measured, so that a changed import has other keys."""
    columns = [c for c in ("trial_id", "task", "split", "metric", "value", "status", "flags") if c in frame.columns]
    texts: dict[str, list[str]] = {}
    for row in frame[columns].itertuples(index=False, name=None):
        texts.setdefault(str(row[0]), []).append(json.dumps([study, *map(repr, row)]))
    return {t: hashlib.blake2s("\n".join(sorted(r)).encode(), digest_size=16).hexdigest() for t, r in texts.items()}


def _text(value: object) -> str | None:
    return None if label(value) == "none" else label(value)


def _params(row: pd.Series, axes: list[str]) -> str:
    values = {axis: row[axis] for axis in axes if label(row[axis]) != "none"}
    plain = {k: v.item() if hasattr(v, "item") else v for k, v in values.items()}
    return json.dumps(plain, sort_keys=True, ensure_ascii=False, default=str)


def _record(group: Group, rows: pd.DataFrame, key: str, provenance: str) -> None:
    """Add one trial: its measurements, or why it has none."""
    from harness.store import AttemptRow, MeasurementRow, StageRecord

    status = str(rows["status"].iloc[0])
    if status not in ("ok", "diverged"):
        reason = _text(rows["reason"].iloc[0]) or "the imported table says so"
        kind: Any = status if status in ("oom", "timeout", "crashed", "skipped") else "failed"
        group.attempts.append(AttemptRow(key, KIND, key, kind, reason))
        return
    flags = tuple(f for f in str(rows["flags"].iloc[0] or "").replace(" ", "").split(",") if f)
    record = StageRecord(key, KIND, flags=flags, provenance=provenance, attempt=key)
    record.status = "diverged" if status == "diverged" else "ok"
    group.records.append(record)
    for row in rows.to_dict("records"):
        n_eval = None if _text(row.get("n_eval")) is None else int(row["n_eval"])
        group.measurements.append(
            MeasurementRow(key, key, _text(row["task"]) or "", str(row["split"]), str(row["metric"]),
                           float(row["value"]), n_eval)
        )  # fmt: skip
