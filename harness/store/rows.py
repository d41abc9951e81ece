"""The rows of the store as plain dataclasses: what a stage left, what it measured, how it failed.

This module imports neither pyarrow nor deltalake, so that everybody may name these types at no cost.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

RecordStatus = Literal["ok", "diverged", "withdrawn"]
AttemptStatus = Literal[
    "failed", "oom", "timeout", "crashed", "preempted", "skipped", "duplicate", "damaged", "diverged"
]
TrialState = Literal["done", "failed", "skipped", "diverged", "pending", "excluded"]

FAILED_STATUSES: tuple[str, ...] = ("failed", "oom", "timeout", "crashed", "preempted", "skipped", "diverged")
"""Attempt statuses that are a trial's outcome while its key has no record."""


def utc_now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)


def new_id() -> str:
    """Return a fresh random identifier (32 hex digits) for an attempt, a commit or a writer."""
    return uuid.uuid4().hex


@dataclass(frozen=True, slots=True)
class ArtifactRef:
    """Where one member of an artifact file lies and what it must contain.

    Attributes:
        location: path of the file relative to the store, with forward slashes.
        name: name of the member inside the file (the key of the stage that left it).
        sha256: digest of the member's tensors (names, types, shapes, bytes) and header.
        nbytes: bytes of the member's tensors.
    """

    location: str
    name: str
    sha256: str
    nbytes: int


@dataclass(slots=True)
class StageRecord:
    """The completion marker of a stage: it is done once this row is committed.

    A row with status ``withdrawn`` takes back the record of the same key and attempt (damaged artifact, stale rerun,
    pruned); its ``flags`` say why.

    Attributes:
        key: content key of the stage (32 hex digits).
        kind: name of the stage kind.
        version: declared version of the stage kind.
        attempt: identifier of the execution that made it (32 hex digits).
        flags: remarks such as ``not_trained``.
        value: JSON text of a small value handed on, or None.
        artifact: where the artifact lies, or None.
        keep: ``durable``, ``transient`` or ``cache``.
        code: code digest.
        preimage: JSON text that the key is the hash of.
        inputs: JSON text, an object from each input's key to its sha256 or attempt.
        seconds: wall time. memory_bytes: peak resident memory.
        width: batch width; threads, device, precision: as executed.
        data_wait: share of its seconds, 0 to 1, that a training stood still until its data were there; None for stages
            that train nothing. Of a training that was resumed, of the part since then.
        provenance: identifier of the provenance row. writer: identifier of the committing driver.
        finished_at: end of the execution, UTC.
    """

    key: str
    kind: str
    version: int = 1
    attempt: str = field(default_factory=new_id)
    status: RecordStatus = "ok"
    flags: tuple[str, ...] = ()
    value: str | None = None
    artifact: ArtifactRef | None = None
    keep: str = "durable"
    code: str = ""
    preimage: str = ""
    inputs: str = "{}"
    seconds: float | None = None
    memory_bytes: int | None = None
    device: str | None = None
    threads: int | None = None
    width: int | None = None
    precision: str | None = None
    provenance: str | None = None
    writer: str | None = None
    finished_at: datetime = field(default_factory=utc_now)
    data_wait: float | None = None


@dataclass(slots=True)
class MeasurementRow:
    """One measured number of a terminal stage. NaN and infinities are kept as they are."""

    key: str
    attempt: str
    task: str
    split: str
    metric: str
    value: float | None
    n_eval: int | None = None
    step: int | None = None
    flags: tuple[str, ...] = ()


@dataclass(slots=True)
class CurveRow:
    """One point of a training curve."""

    key: str
    attempt: str
    name: str
    step: int
    value: float


@dataclass(slots=True)
class AttemptRow:
    """One execution that left no record: how and why it failed, was skipped, or came second.

    Attributes:
        reason: one sentence. error: traceback text. log: path of the log relative to the store.
        agreed: for duplicates, whether the outcome equalled the one that counts.
    """

    key: str
    kind: str
    attempt: str
    status: AttemptStatus
    reason: str = ""
    error: str | None = None
    log: str | None = None
    seconds: float | None = None
    memory_bytes: int | None = None
    agreed: bool | None = None
    writer: str | None = None
    finished_at: datetime = field(default_factory=utc_now)


@dataclass(slots=True)
class Group:
    """Rows that a driver commits together. A record's measurements and curves must be in the same group."""

    records: list[StageRecord] = field(default_factory=list)
    measurements: list[MeasurementRow] = field(default_factory=list)
    curves: list[CurveRow] = field(default_factory=list)
    attempts: list[AttemptRow] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Whether there is anything to commit."""
        return bool(self.records or self.measurements or self.curves or self.attempts)


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A record that came second: another attempt had already won its key."""

    key: str
    attempt: str
    winner: str
    agreed: bool


@dataclass(frozen=True, slots=True)
class CommitResult:
    """What became of a group.

    Attributes:
        committed: keys whose winning record is now the group's.
        withdrawn: keys whose record the group took back.
        duplicates: records of the group that came second; their keys are done, by another attempt.
    """

    committed: tuple[str, ...] = ()
    withdrawn: tuple[str, ...] = ()
    duplicates: tuple[Duplicate, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that ``verify`` found.

    Attributes:
        severity: ``error`` (data is lost or wrong) or ``note`` (disk space only).
        where: the table or file.
        message: one sentence.
        key: the stage concerned, if one is.
    """

    severity: Literal["error", "note"]
    where: str
    message: str
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Compaction:
    """What a compaction did.

    Attributes:
        parts_before: live Parquet files before. parts_after: live Parquet files after.
        rows_dropped: rows that no record names (unfinished commits) or that were taken back.
        files_deleted: files removed from disk. bytes_deleted: their size.
        files_kept: superseded files kept for readers of the previous version.
    """

    parts_before: int = 0
    parts_after: int = 0
    rows_dropped: int = 0
    files_deleted: int = 0
    bytes_deleted: int = 0
    files_kept: int = 0


@dataclass(frozen=True, slots=True)
class Pruning:
    """What pruning dropped, or would drop.

    Attributes:
        records: keys withdrawn. files: artifact files deleted, relative to the store. nbytes: bytes of those files.
    """

    records: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    nbytes: int = 0
    dry_run: bool = False
