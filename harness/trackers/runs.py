"""What there is to show: a run for each trial with its outcome, and one for each stage that left a curve.

A source training that many trials share has one curve, so it is one run; ``stage`` in the settings of other runs names
it by the beginning of its key.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.store import StageRecord, Store

Setting = str | int | float | bool
_MEASURED = ("task", "split", "metric", "value", "n_eval", "step")
_NOT_SETTINGS = {*_MEASURED, "reason", "attempt", "finished_at", "provenance", "memory_bytes", "flags", "status"}
_LONGEST = 250
_KEY = 12


@dataclass(frozen=True, slots=True)
class Point:
    """One number. ``step`` is None for an outcome, which belongs to no moment of a training."""

    name: str
    step: int | None
    value: float


@dataclass(frozen=True, slots=True)
class Run:
    """What is shown as one line of a tracker.

    Attributes:
        id: 32 hex digits, different for every study, trial or stage, and execution of it.
        group: ``trials`` or ``stages``. name: for people. slot: the same for all executions of one trial or stage.
        settings: axes and parameters. points: curve or outcome. status: ``ok``, ``diverged`` or how it failed.
        started, ended: seconds since 1970.
    """

    id: str
    group: str
    name: str
    slot: str
    settings: Mapping[str, Setting]
    points: tuple[Point, ...]
    status: str
    started: float
    ended: float


def identify(study: str, group: str, slot: str, attempt: str) -> str:
    """Return a run's identifier."""
    return hashlib.sha256("\0".join((study, group, slot, attempt)).encode()).hexdigest()[:32]


def runs(store: Store, study: str, known: Collection[str]) -> Iterator[Run]:
    """Iterate over the runs of a study's newest plan whose identifier is not in ``known``, those of stages first.

    Raises:
        StoreError: there is no such study.
    """
    yield from _stage_runs(store, study, known)
    yield from _trial_runs(store, study, known)


# --- stages -----------------------------------------------------------------------------------------------------------


def _stage_runs(store: Store, study: str, known: Collection[str]) -> Iterator[Run]:
    from harness.store.lookup import curves_of
    from harness.store.prune import reachable
    from harness.store.trials import stage_keys

    planned = store.trials(study, ["key"]).column("key").to_pylist()
    records = store.refresh()
    reached = reachable(records, {key for key in planned if key is not None} | stage_keys(store).get(study, set()))
    fresh = {
        key: attempt
        for key in sorted(reached)
        if (attempt := records.attempt(key)) is not None and identify(study, "stages", key, attempt) not in known
    }
    for key, curve in curves_of(store, list(fresh)).items():
        record = records.get(key)
        if record is None or any(point.attempt != record.attempt for point in curve):
            continue  # withdrawn or run again meanwhile: it will be seen next time
        points = tuple(Point(point.name, point.step, point.value) for point in curve)
        yield Run(
            identify(study, "stages", key, record.attempt), "stages", _stage_name(record), key,
            {"kind": record.kind, "stage": key[:_KEY], **stage_settings(record.preimage)}, points,
            record.status, *_times(record.finished_at.timestamp(), record.seconds),
        )  # fmt: skip


def _stage_name(record: StageRecord) -> str:
    settings = stage_settings(record.preimage)
    words = [record.kind, *(str(settings[name]) for name in ("task", "backbone") if name in settings)]
    return f"{' '.join(words)} {record.key[:8]}"


def stage_settings(preimage: str) -> dict[str, Setting]:
    """Return the arguments of a stage, one number or word each: a task by its name, another stage by its key."""
    try:
        content = json.loads(preimage)
    except ValueError:
        return {}
    arguments = content.get("arguments") if isinstance(content, dict) else None
    return dict(_flat("", arguments)) if isinstance(arguments, Mapping) else {}


def _flat(name: str, value: Any) -> Iterator[tuple[str, Setting]]:
    if isinstance(value, Mapping):
        for word in ("task", "backbone", "input"):  # identities begin with the name of what they identify
            if isinstance(value.get(word), str):
                yield name, value[word][:_KEY] if word == "input" else value[word]
                if word == "backbone":
                    yield from _flat(name, value.get("options") or {})
                return
        for key, part in value.items():
            yield from _flat(f"{name}.{key}" if name else str(key), part)
    elif isinstance(value, (list, tuple)):
        yield name, json.dumps(value, ensure_ascii=False)[:_LONGEST]
    elif value is not None:
        yield name, value if isinstance(value, (bool, int, float)) else str(value)[:_LONGEST]


# --- trials -----------------------------------------------------------------------------------------------------------


def _trial_runs(store: Store, study: str, known: Collection[str]) -> Iterator[Run]:
    from harness.store import outcomes

    rows: dict[str, list[dict[str, Any]]] = {}
    for row in outcomes(store, study).to_pylist():
        rows.setdefault(row["trial_id"], []).append(row)
    for trial, measured in rows.items():
        first = measured[0]
        if identify(study, "trials", trial, str(first["attempt"])) not in known:
            yield _trial_run(study, trial, measured)


def _trial_run(study: str, trial: str, rows: list[dict[str, Any]]) -> Run:
    first = rows[0]
    settings: dict[str, Setting] = {
        name: value for name, value in first.items() if name not in _NOT_SETTINGS and value is not None
    }
    settings["stage"] = str(settings.pop("key", ""))[:_KEY]
    if first["flags"]:
        settings["flags"] = first["flags"]
    if first["reason"]:
        settings["reason"] = str(first["reason"])[:_LONGEST]
    points = tuple(
        Point(f"{row['task']}/{row['split']}/{row['metric']}", row["step"], row["value"])
        for row in rows
        if row["value"] is not None
    )
    words = [f"{first['source'] or first['baseline'] or 'none'} > {first['target']}", first["method"]]
    words += [f"seed {first['seed']}"] if first["seed"] is not None else []
    ended = first["finished_at"].timestamp()
    return Run(
        identify(study, "trials", trial, str(first["attempt"])), "trials", f"{' '.join(words)} {trial[:8]}", trial,
        settings, points, str(first["status"]), *_times(ended, first["seconds"]),
    )  # fmt: skip


def _times(ended: float, seconds: float | None) -> tuple[float, float]:
    return ended - (seconds or 0.0), ended
