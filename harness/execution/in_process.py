"""Runs calls in the driver's own process, without Ray: for debuggers, profilers, and machines that have no Ray."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from harness.execution.messages import Call, Event, Refused, Replied
from harness.execution.pools import Seat
from harness.execution.worker import Worker, WorkerSetup, use_threads
from harness.graph import Resources


class InProcess:
    """One worker, here. Every resource class is served by it; a time limit is only ever cooperative.

    Torch uses as many threads as a worker of its own would, so that values are the same.
    """

    depth = 1

    def __init__(self, setup: Callable[[str, Resources], WorkerSetup]) -> None:
        self._setup = setup
        self._seats: dict[Resources, Seat] = {}
        self._workers: dict[Resources, Worker] = {}
        self._calls: deque[tuple[Seat, Call]] = deque()
        self._threads_before = 0
        self._stopping = False

    def scale(self, demand: Mapping[Resources, int]) -> None:
        """Make the worker of each resource class that is asked for."""
        for resources in demand:
            if resources not in self._seats:
                seat = Seat(f"here-{os.getpid()}", resources)
                setup = self._setup("", resources)
                before = use_threads(setup.threads)
                self._threads_before = self._threads_before or before
                self._workers[resources] = Worker(setup)
                self._seats[resources] = seat

    def seats(self) -> Sequence[Seat]:
        """Return the workers."""
        return list(self._seats.values())

    def submit(self, seat: Seat, call: Call) -> None:
        """Keep a call until `wait` runs it."""
        seat.calls[call.number] = 0.0
        self._calls.append((seat, call))

    def wait(self, timeout: float) -> list[Event]:
        """Run the next call."""
        if not self._calls:
            return []
        seat, call = self._calls.popleft()
        worker = self._workers[seat.resources]
        use_threads(worker.setup.threads)
        try:
            reply = worker.run(call)
        except Exception as error:
            from harness.execution.ladder import trace

            del seat.calls[call.number]
            return [Refused(seat.name, call.number, trace(error))]
        del seat.calls[call.number]
        reply.retire = ""
        worker.trouble = ""
        return [Replied(seat.name, reply)]

    def stop(self) -> None:
        """Ask the running stage to save its state and stop."""
        for worker in self._workers.values():
            worker.stop()

    def kill(self) -> None:
        """Drop the calls not begun."""
        self._calls.clear()
        for seat in self._seats.values():
            seat.calls.clear()

    def close(self) -> None:
        """Restore torch's threads."""
        for worker in self._workers.values():
            worker.close()
        if self._threads_before:
            use_threads(self._threads_before)
