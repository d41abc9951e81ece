"""What the driver asks of whatever runs calls: workers in pools, one pool a resource class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from harness.execution.messages import Call, Event
from harness.graph import Resources


@dataclass(slots=True, eq=False)
class Seat:
    """A worker as the driver sees it: which calls (by number) are in its hands, and where its log is."""

    name: str
    resources: Resources
    calls: dict[int, float] = field(default_factory=dict)
    log: str = ""
    holds: set[str] = field(default_factory=set)
    leaving: bool = False


class Executor(Protocol):
    """Runs calls on workers."""

    depth: int
    """How many calls of short stages a worker should have in its hands, so that it never waits for the driver."""

    def scale(self, demand: Mapping[Resources, int]) -> None:
        """Bring the pools in line with the number of units that could start, by resource class."""

    def seats(self) -> Sequence[Seat]:
        """Return the workers that take calls."""

    def submit(self, seat: Seat, call: Call) -> None:
        """Hand a call to a worker."""

    def wait(self, timeout: float) -> list[Event]:
        """Return what happened, waiting up to ``timeout`` seconds for the first thing."""

    def stop(self) -> None:
        """Ask every worker to save its state and stop; calls then come back without the results not reached."""

    def kill(self) -> None:
        """End every worker now."""

    def close(self) -> None:
        """Give everything back: processes, temporary directory, environment."""
