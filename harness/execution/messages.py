"""What travels between the driver and its workers: calls out, results back. Never a tensor."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from harness.graph import Measurement, StageKind
from harness.graph.stage import Keep

if TYPE_CHECKING:
    from harness.store import ArtifactRef

ResultStatus = Literal["ok", "diverged", "failed", "oom", "timeout", "skipped", "stopped", "damaged", "no_space"]
LostCause = Literal["crashed", "oom", "timeout", "preempted"]


@dataclass(frozen=True, slots=True)
class InputRef:
    """Stands for an input inside the arguments of a stage that travels."""

    key: str


@dataclass(slots=True)
class Spec:
    """One stage as a worker gets it: its kind and its values, with references for inputs.

    ``wanted`` is False for a stage that is only run when a wanted one needs its artifact and it is found nowhere.
    ``save`` writes a transient artifact to the store, for a consumer elsewhere.
    """

    key: str
    kind: StageKind[Any, Any]
    values: tuple[Any, ...]
    inputs: tuple[str, ...]
    group: Hashable
    keep: Keep = "durable"
    code: str = ""
    wanted: bool = True
    save: bool = False
    attempt: int = 0


@dataclass(slots=True)
class Input:
    """What the driver knows of an input that is not made within the call.

    Exactly one of ``artifact``, ``value``, ``rows`` is set, or none: a cached artifact (its Spec travels along), or a
    diverged input that the consumer tolerates. ``made_by`` is the class of the artifact.
    """

    key: str
    attempt: str = ""
    flags: tuple[str, ...] = ()
    artifact: ArtifactRef | None = None
    made_by: type | None = None
    value: Mapping[str, Any] | None = None
    rows: tuple[Measurement, ...] | None = None
    diverged: bool = False


@dataclass(frozen=True, slots=True)
class Rung:
    """How far down the memory ladder: a smaller declared width, more micro-batches, a bigger slot."""

    divide: int = 1
    micro_batches: int = 1
    slot: int = 0


@dataclass(slots=True)
class Call:
    """Work for one worker: waves are run one after the other, each wave's stages in batches of equal group."""

    number: int
    waves: tuple[tuple[Spec, ...], ...]
    inputs: dict[str, Input]
    rung: Rung = field(default_factory=Rung)
    time_limit: float | None = None
    skip_untrained: bool = True


@dataclass(slots=True)
class Try:
    """A try of a stage that ended in memory trouble and was followed by another on the next rung."""

    status: Literal["oom"]
    reason: str
    error: str
    seconds: float


@dataclass(slots=True)
class Result:
    """What became of one wanted stage."""

    key: str
    status: ResultStatus
    attempt: str
    reason: str = ""
    error: str = ""
    cause: str = ""
    kind: str = ""
    flags: tuple[str, ...] = ()
    artifact: ArtifactRef | None = None
    value: Mapping[str, Any] | None = None
    rows: tuple[Measurement, ...] | None = None
    curves: tuple[tuple[str, int, float], ...] = ()
    tries: tuple[Try, ...] = ()
    seconds: float = 0.0
    memory_bytes: int = 0
    width: int = 1
    data_wait: float | None = None
    inputs: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Reply:
    """The results of a call. Wanted stages without a result were not begun (the worker was told to stop).

    ``held`` and ``dropped`` are artifact keys now in, or no longer in, the worker's memory. ``retire`` says why the
    worker should be replaced, if it should; ``suspects`` were running when its device failed, and have no result.
    """

    call: int
    results: list[Result]
    held: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    device: str = "cpu"
    threads: int = 1
    seconds: float = 0.0
    retire: str = ""
    suspects: tuple[str, ...] = ()


@dataclass(slots=True)
class Replied:
    """A worker finished a call."""

    worker: str
    reply: Reply


@dataclass(slots=True)
class Lost:
    """A worker is gone: ``calls`` were in its hands, and it was running ``running`` (keys) of call ``active``."""

    worker: str
    calls: tuple[int, ...]
    active: int | None
    running: tuple[str, ...]
    cause: LostCause
    reason: str


@dataclass(slots=True)
class Refused:
    """A call that could not be run at all, for example because its arguments cannot be pickled."""

    worker: str
    call: int
    error: str
    log: str = ""


Event = Replied | Lost | Refused
