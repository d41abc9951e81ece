"""The loop that hands out work: ready units to workers with room, results into the ledger, rows to the committer."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from harness.errors import HarnessError
from harness.execution.batches import Queue
from harness.execution.calls import CallBuilder
from harness.execution.committer import Committer
from harness.execution.ledger import Ledger
from harness.execution.messages import Event, Lost, Refused, Replied
from harness.execution.outcomes import Errand, Outcomes
from harness.execution.pools import Executor, Seat
from harness.execution.progress import Display

SHORT_CALL = 2.0
"""A worker gets a second call in advance only when calls are known to be shorter than this many seconds."""
WAIT = 0.2


@dataclass
class Driver:
    """Runs what a ledger holds. ``refresh`` takes in what other drivers did, every ``refresh_interval`` seconds;
    ``received`` returns the number of the signal that asks to stop, if one did."""

    ledger: Ledger
    queue: Queue
    builder: CallBuilder
    outcomes: Outcomes
    executor: Executor
    committer: Committer
    display: Display
    refresh: Callable[[], None]
    received: Callable[[], int | None]
    refresh_interval: float = 3.0
    grace: float = 20.0
    stopped: str | None = None
    errands: dict[int, Errand] = field(default_factory=dict)
    _next_refresh: float = 0.0

    def run(self) -> None:
        """Run until nothing is left, or until told to stop and the workers have come to rest."""
        self._next_refresh = time.monotonic() + self.refresh_interval
        deadline: float | None = None
        while True:
            self._notice_trouble()
            if self.stopped is not None:
                deadline = deadline or self._begin_to_stop()
                if not self.errands or time.monotonic() >= deadline:
                    break
            else:
                self._look_around()
                self._dispatch()
                if not self.errands and not self._go_on():
                    break
            for event in self.executor.wait(WAIT):
                self._take(event)
            self.show()
        self.executor.kill()
        self.errands.clear()

    def _look_around(self) -> None:
        """Take in what other drivers did, now and then: at most a twentieth of the time goes into it."""
        begun = time.monotonic()
        if begun >= self._next_refresh:
            self.refresh()
            ended = time.monotonic()
            self._next_refresh = ended + max(self.refresh_interval, 20 * (ended - begun))

    def halt(self, reason: str) -> None:
        """Begin no more work; the first reason counts."""
        if self.stopped is None:
            self.stopped = reason

    def show(self) -> None:
        """Count what has been committed and update the display."""
        for batch in self.committer.taken():
            self.outcomes.committed(batch)
        self.display.update()

    def _notice_trouble(self) -> None:
        number = self.received()
        if number is not None:
            self.halt("interrupted")
        if self.committer.error is not None:
            self.halt(str(self.committer.error))

    def _begin_to_stop(self) -> float:
        self.outcomes.stopping = True
        self.executor.stop()
        waiting = f": workers have {self.grace:g} s to save their state" if self.errands else ""
        self.display.say(f"stopping ({self.stopped}){waiting}")
        return time.monotonic() + self.grace

    def _go_on(self) -> bool:
        """With nothing in any worker's hands: say whether something can still be started."""
        if len(self.queue):
            return True
        for unit in self.ledger.split():
            self.queue.push(unit)
        if len(self.queue):
            return True
        waiting = self.ledger.pending_units()
        if waiting:
            keys = sorted(stage.key[:8] for unit in waiting for stage in unit.stages)[:5]
            raise HarnessError(f"{len(waiting)} stages wait for inputs that nothing will make: {', '.join(keys)}")
        return False

    # --- handing out ----------------------------------------------------------------------------------------------

    def _dispatch(self) -> None:
        if not len(self.queue):
            return
        self.executor.scale(self.queue.demand())
        seats = sorted(self.executor.seats(), key=lambda seat: len(seat.calls))
        for depth in range(1, self.executor.depth + 1):
            for seat in seats:
                if len(seat.calls) < depth and self._has_room(seat):
                    self._hand_out(seat, len(seats))

    def _has_room(self, seat: Seat) -> bool:
        if not seat.calls:
            return True
        expected = self.queue.next_seconds(seat.resources)
        if expected is None or expected > SHORT_CALL:
            return False
        return all(self.errands[number].expected <= SHORT_CALL for number in seat.calls)

    def _hand_out(self, seat: Seat, workers: int) -> None:
        held = seat.holds
        waves = self.queue.take(seat.resources, workers, lambda unit: any(key in held for key in unit.reads))
        if not waves:
            return
        expected = self.queue.expected_seconds(waves)
        call = self.builder.build(waves)
        errand = Errand(call, [unit for units in waves for unit in units], seat, expected=expected)
        for unit in errand.units:
            for stage in unit.stages:
                if stage.key in unit.wanted:
                    errand.kinds[stage.kind.name] = errand.kinds.get(stage.kind.name, 0) + 1
        self._count_running(errand, 1)
        self.errands[call.number] = errand
        self.executor.submit(seat, call)

    def _count_running(self, errand: Errand, sign: int) -> None:
        for kind, count in errand.kinds.items():
            self.display.tally.of(kind).running += sign * count

    # --- taking in ------------------------------------------------------------------------------------------------

    def _take(self, event: Event) -> None:
        if isinstance(event, Lost):
            errands = [self._end(number) for number in event.calls]
            if errands:
                self.outcomes.lost(errands, event)
        elif isinstance(event, Replied):
            self.outcomes.replied(self._end(event.reply.call), event.reply)
        elif isinstance(event, Refused):
            self.outcomes.refused(self._end(event.call), event)

    def _end(self, number: int) -> Errand:
        errand = self.errands.pop(number)
        self._count_running(errand, -1)
        return errand

    def running_keys(self) -> set[str]:
        """Return the keys of stages in workers' hands."""
        return {key for errand in self.errands.values() for unit in errand.units for key in unit.wanted}
