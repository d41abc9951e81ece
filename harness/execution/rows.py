"""From what a worker reports to the rows that are committed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from harness.execution.messages import Input, Reply, Result
from harness.graph import Choice, Measurement, Stage
from harness.store import ArtifactRef, AttemptRow, CurveRow, Group, MeasurementRow, StageRecord, new_id, utc_now

CHOICE = "choice"
_ATTEMPT_STATUS: dict[str, Any] = {"no_space": "failed", "stopped": "preempted"}


@dataclass
class RowMaker:
    """Makes the rows of one run. ``code_of`` gives the digest of a stage's code."""

    code_of: Callable[[Stage], str]
    keep_of: Callable[[Stage], str]
    provenance: str | None = None
    writer: str | None = None

    def completed(self, group: Group, stage: Stage, result: Result, reply: Reply, inputs: Mapping[str, Input]) -> None:
        """Add the record of a stage that ended well or diverged, its measurements and its curves."""
        group.records.append(self._record(stage, result, reply, inputs))
        tainted = ("untrained_source",) if "untrained_source" in result.flags else ()
        for row in result.rows or ():
            flags = tuple(dict.fromkeys((*row.flags, *tainted)))
            group.measurements.append(_measurement(stage.key, result.attempt, row, flags))
        for name, step, value in result.curves:
            group.curves.append(CurveRow(stage.key, result.attempt, name, step, value))

    def _record(self, stage: Stage, result: Result, reply: Reply, inputs: Mapping[str, Input]) -> StageRecord:
        return StageRecord(
            key=stage.key,
            kind=stage.kind.name,
            version=stage.kind.version,
            attempt=result.attempt,
            status="diverged" if result.status == "diverged" else "ok",
            flags=result.flags,
            value=None if result.value is None else json.dumps(result.value),
            artifact=result.artifact,
            keep=self.keep_of(stage),
            code=self.code_of(stage),
            preimage=stage.preimage(),
            inputs=_inputs_text(stage, result, inputs),
            seconds=result.seconds,
            memory_bytes=result.memory_bytes or None,
            device=reply.device,
            threads=reply.threads,
            width=result.width,
            data_wait=result.data_wait,
            precision=precision_of(stage),
            provenance=self.provenance,
            writer=self.writer,
        )

    def chosen(
        self, choice: Choice, index: int, record: StageRecord | None, rows: tuple[Measurement, ...], status: str = "ok"
    ) -> Group:
        """Return the rows under a choice's own key: those of the option that was chosen."""
        option = choice.options[index]
        attempt = new_id()
        value = json.dumps({"index": index, "option": option.key})
        made = StageRecord(
            key=choice.key,
            kind=CHOICE,
            attempt=attempt,
            status="diverged" if status == "diverged" else "ok",
            value=value,
            code=self.code_of(option),
            preimage=json.dumps({"choice": choice.selector.key, "options": [item.key for item in choice.options]}),
            inputs=json.dumps({choice.selector.key: "", option.key: ""}),
            precision=precision_of(option),
            provenance=self.provenance,
            writer=self.writer,
        )
        if record is not None:
            made.flags, made.seconds, made.memory_bytes = record.flags, record.seconds, record.memory_bytes
            made.device, made.threads, made.width = record.device, record.threads, record.width
            made.data_wait = record.data_wait
            made.inputs = json.dumps({choice.selector.key: "", option.key: record.attempt})
        return Group(records=[made], measurements=[_measurement(choice.key, attempt, row, row.flags) for row in rows])

    def failed(self, group: Group, key: str, kind: str, result: Result, log: str) -> None:
        """Add the attempt of a stage that failed."""
        status: Any = _ATTEMPT_STATUS.get(result.status, result.status)
        group.attempts.append(
            AttemptRow(
                key=key,
                kind=kind,
                attempt=result.attempt,
                status=status,
                reason=result.reason,
                error=result.error or None,
                log=log or None,
                seconds=result.seconds,
                memory_bytes=result.memory_bytes or None,
                writer=self.writer,
            )
        )

    def tried(self, group: Group, key: str, kind: str, result: Result, log: str) -> None:
        """Add the tries that ended in memory trouble and were followed by another."""
        for one in result.tries:
            group.attempts.append(
                AttemptRow(
                    key, kind, new_id(), one.status, one.reason, one.error, log or None, one.seconds, writer=self.writer
                )
            )

    def note(self, group: Group, key: str, kind: str, status: Any, reason: str, log: str = "") -> None:
        """Add an attempt that left nothing but its reason: skipped, lost with its worker, damaged."""
        group.attempts.append(
            AttemptRow(key, kind, new_id(), status, reason, log=log or None, writer=self.writer, finished_at=utc_now())
        )

    def withdrawn(self, group: Group, stage: Stage, attempt: str, why: str) -> None:
        """Add the row that takes back a record."""
        group.records.append(StageRecord(stage.key, stage.kind.name, attempt=attempt, status="withdrawn", flags=(why,)))


def _measurement(key: str, attempt: str, row: Measurement, flags: tuple[str, ...]) -> MeasurementRow:
    return MeasurementRow(key, attempt, row.task, row.split, row.metric, row.value, row.n_eval, row.step, flags)


def as_measurement(row: MeasurementRow) -> Measurement:
    """Return a stored row as a stage would have returned it."""
    value = float("nan") if row.value is None else row.value
    return Measurement(row.metric, value, row.split, row.task, row.n_eval, row.step, row.flags)


def _inputs_text(stage: Stage, result: Result, inputs: Mapping[str, Input]) -> str:
    keys = [needed.key for needed in stage.inputs]
    if not keys:
        return "{}"
    return json.dumps({key: _identity(inputs.get(key), result.inputs.get(key)) for key in keys})


def _identity(entry: Input | None, made: str | None) -> str:
    artifact: ArtifactRef | None = None if entry is None else entry.artifact
    if artifact is not None:
        return artifact.sha256
    return made or ("" if entry is None else entry.attempt)


def precision_of(stage: Stage) -> str:
    """Return the precision that a stage's numerics ask for; float32 when it takes none."""
    for value in stage.values:
        found = getattr(value, "precision", None)
        if isinstance(found, str):
            return found
    return "float32"
