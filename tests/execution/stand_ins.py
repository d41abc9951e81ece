"""Executors that run calls in this process: one loses workers on command, one has several workers in turns."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

from harness.execution.in_process import InProcess
from harness.execution.messages import Call, Event, Lost, LostCause, Refused
from harness.execution.pools import Seat
from harness.execution.worker import Worker
from harness.graph import Resources

Fate = Callable[[Call, list[str]], tuple[LostCause, list[str]] | str | None]
"""Given a call and its wanted keys: None to run it, (cause, running keys) to lose the worker, a text to refuse it."""


class Unlucky(InProcess):
    """Asks ``fate`` about every call; everything travels as bytes, as it would to another process."""

    depth = 2

    def __init__(self, setup: Any, fate: Fate, workers: int = 1) -> None:
        super().__init__(setup)
        self.fate = fate
        self.history: list[list[str]] = []
        self.calls: list[Call] = []
        self.demands: list[dict[Resources, int]] = []

    def scale(self, demand: Any) -> None:
        self.demands.append(dict(demand))
        super().scale(demand)

    def submit(self, seat: Seat, call: Call) -> None:
        super().submit(seat, pickle.loads(pickle.dumps(call)))  # noqa: S301  (our own)

    def wait(self, timeout: float) -> list[Event]:
        if self._calls:
            seat, call = self._calls[0]
            keys = [spec.key for wave in call.waves for spec in wave if spec.wanted]
            self.history.append(keys)
            self.calls.append(call)
            fate = self.fate(call, keys)
            if isinstance(fate, str):
                self._calls.popleft()
                del seat.calls[call.number]
                return [Refused(seat.name, call.number, fate)]
            if fate is not None:
                numbers = tuple(seat.calls)
                self._calls.clear()
                seat.calls.clear()
                active = call.number if fate[1] else None
                return [Lost(seat.name, numbers, active, tuple(fate[1]), fate[0], f"its worker was lost ({fate[0]})")]
        return super().wait(timeout)


class InTurns(InProcess):
    """Workers of one resource class, each with a memory of its own. Their calls run in the order of handing out."""

    def __init__(self, setup: Any, workers: int = 2) -> None:
        super().__init__(setup)
        self.number = workers
        self.crew: dict[str, tuple[Seat, Worker]] = {}
        self.ran: list[tuple[str, str]] = []

    def scale(self, demand: Any) -> None:
        super().scale(demand)
        for resources in demand:
            for place in range(len(self.crew), self.number):
                seat = Seat(f"worker{place}", resources)
                self.crew[seat.name] = (seat, Worker(self._setup("", resources)))

    def seats(self) -> list[Seat]:
        return [seat for seat, _ in self.crew.values()]

    def wait(self, timeout: float) -> list[Event]:
        if self._calls:
            seat, call = self._calls[0]
            self._workers[seat.resources] = self.crew[seat.name][1]
            self.ran += [(seat.name, spec.key) for wave in call.waves for spec in wave if spec.wanted]
        return super().wait(timeout)
