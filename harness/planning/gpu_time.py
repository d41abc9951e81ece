"""GPU-hours of what a plan needs: from this store's own runs on GPUs where there are any, else by counted operations.

Always an estimate, and it says of what: operations over a stated share of a stated GPU's peak are no measurement.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from harness.graph import Stage
from harness.planning.cost import PastRuns

GPU: Final = "A100"
PEAKS: Final[Mapping[str, float]] = {"bfloat16": 312e12, "tf32": 156e12, "float32": 19.5e12, "float64": 19.5e12}
"""Operations a second in matrix products at most, dense, by its maker's data sheet (float64: on tensor cores)."""
SHARE: Final = 0.3
"""Share of the peak that such work is taken to reach."""
WORTH_TELLING: Final = 1e15
"""Operations from which a plan speaks of GPU-hours: some ten seconds of one."""


@dataclass(frozen=True)
class Counted:
    """Calls of one kind whose operations were counted, and the seconds that they take at the stated share."""

    calls: int = 0
    operations: float = 0.0
    seconds: float = 0.0


@dataclass(frozen=True)
class GpuTime:
    """counted: by kind, from operations.  past: by kind, calls and mean seconds of past runs on a GPU, which stand for
    them instead.  unknown: kinds of which neither is known; they are in no number."""

    counted: Mapping[str, Counted] = field(default_factory=dict)
    past: Mapping[str, tuple[int, PastRuns]] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()

    @property
    def operations(self) -> float:
        """All operations counted."""
        return sum(one.operations for one in self.counted.values())

    @property
    def hours(self) -> float:
        """Hours of one GPU, of the kinds that are known."""
        seconds = sum(one.seconds for one in self.counted.values())
        return (seconds + sum(calls * runs.mean_seconds for calls, runs in self.past.values())) / 3600

    @property
    def worth_telling(self) -> bool:
        """Whether the work is any for a GPU at all."""
        return self.operations >= WORTH_TELLING or bool(self.past)

    def to_json(self) -> dict[str, Any]:
        """What ``plan --json`` says of it."""
        return {
            "hours": self.hours,
            "estimate": True,
            "gpu": GPU,
            "share_of_peak": SHARE,
            "operations": self.operations,
            "counted": {
                kind: {"calls": one.calls, "operations": one.operations, "hours": one.seconds / 3600}
                for kind, one in self.counted.items()
            },
            "past_runs": {
                kind: {"calls": calls, "mean_seconds": runs.mean_seconds, "runs": runs.n}
                for kind, (calls, runs) in self.past.items()
            },
            "unknown": list(self.unknown),
        }


def gpu_time(needed: Iterable[Stage], past: Mapping[str, PastRuns]) -> GpuTime:
    """Estimate the hours of one GPU that stages take.

    past: runs of each kind on a GPU. Kinds that have some are taken to go on like them; of the others the operations
    are counted where their stage says how.
    """
    counted: dict[str, Counted] = {}
    calls: dict[str, int] = {}
    unknown: set[str] = set()
    for stage in needed:
        name = stage.kind.name
        if name in past:
            calls[name] = calls.get(name, 0) + 1
            continue
        operations = stage.kind.operations(stage.arguments)
        if operations is None:
            unknown.add(name)
            continue
        own = counted.get(name, Counted())
        seconds = operations / (SHARE * PEAKS[precision_of(stage)])
        counted[name] = Counted(own.calls + 1, own.operations + operations, own.seconds + seconds)
    return GpuTime(counted, {name: (count, past[name]) for name, count in calls.items()}, tuple(sorted(unknown)))


def precision_of(stage: Stage) -> str:
    """In what a stage multiplies: its ``numerics``, float32 where it has none."""
    numerics = stage.arguments.get("numerics")
    precision = str(getattr(numerics, "precision", "float32"))
    return "tf32" if precision == "float32" and getattr(numerics, "tf32", False) else precision


def gpu_lines(found: GpuTime) -> list[str]:
    """Say it for people; nothing where the work is none for a GPU."""
    if not found.worth_telling:
        return []
    lines = [f"on a GPU: about {_figure(found.hours)} GPU-hours, an estimate:"]
    for kind, one in sorted(found.counted.items(), key=lambda item: -item[1].seconds):
        lines.append(f"  {_figure(one.seconds / 3600):>9} h  {kind}: {one.calls:,} calls, "
                     f"{_figure(one.operations / 1e15)} PFLOP counted from sizes")  # fmt: skip
    for kind, (calls, runs) in found.past.items():
        lines.append(f"  {_figure(calls * runs.mean_seconds / 3600):>9} h  {kind}: {calls:,} calls, if they take the "
                     f"{_figure(runs.mean_seconds)} s of the {runs.n:,} past ones on a GPU in this store")  # fmt: skip
    if found.counted:
        peaks = f"{PEAKS['bfloat16'] / 1e12:.0f} TFLOP/s in bfloat16, {PEAKS['float32'] / 1e12:g} in float32"
        lines.append(f"  counted ones at {SHARE:.0%} of the peak of an {GPU} ({peaks}): assumed, nothing measured")
    if found.unknown:
        lines.append(f"  in no number: {', '.join(found.unknown)}")
    return lines


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 99.5 else f"{value:.2g}"
