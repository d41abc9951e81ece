"""Batches made ahead of the step that needs them, by threads: what a training that augments, or reads from disk, uses.

A batch is a function of its step, so it is the same whichever thread makes it and however many there are. Threads and
not processes: reading a memory-mapped file, and torch's operations, do not hold the interpreter's lock, a batch need
not be copied from one process to another, and nothing is left behind when the training ends, however it ends.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Final, Generic, TypeVar

T = TypeVar("T")

MOST_LOADERS: Final = 16
MOST_BYTES: Final = 2**28
"""Bytes of batches that wait to be used, unless one alone is larger."""


def loaders_for(loaders: int, threads: int) -> int:
    """Return how many threads make batches: the cores set apart for that, else as many as the slot computes with."""
    return min(MOST_LOADERS, loaders or threads)


class Batches(Generic[T]):
    """The batches of steps `first` .. `last` - 1, to be asked for in order inside a `with`.

    make: step -> batch; several threads may call it at a time, each for another step.  workers: threads; with 0 a batch
    is made when it is asked for.  nbytes: bytes of a batch; as many wait as fit `MOST_BYTES`, two for each thread at
    most, and always one.
    """

    def __init__(self, make: Callable[[int], T], first: int, last: int, workers: int, nbytes: int) -> None:
        self._make = make
        self._next = first
        self._last = last
        self._ahead = max(1, min(2 * workers, MOST_BYTES // max(1, nbytes)))
        self._workers = min(workers, self._ahead)
        self._pool: ThreadPoolExecutor | None = None
        self._waiting: deque[Future[T]] = deque()
        self._started = time.monotonic()
        self.waited = 0.0

    def __enter__(self) -> Batches[T]:
        """Start the threads, which begin at once."""
        self._started = time.monotonic()
        if self._workers and self._next < self._last:
            self._pool = ThreadPoolExecutor(self._workers, thread_name_prefix="loader")
            self._fill()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the threads: what they are at is finished, what waits is dropped."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None
        self._waiting.clear()

    def take(self) -> T:
        """Return the next step's batch. Raises what making it raised."""
        begun = time.monotonic()
        try:
            if self._pool is None:
                step, self._next = self._next, self._next + 1
                return self._make(step)
            batch = self._waiting.popleft().result()
            self._fill()
            return batch
        finally:
            self.waited += time.monotonic() - begun

    def share_waited(self) -> float:
        """Return the share of the time since the start that was spent in `take`, from 0 to 1."""
        whole = time.monotonic() - self._started
        return min(1.0, self.waited / whole) if whole > 0 else 0.0

    def _fill(self) -> None:
        assert self._pool is not None
        while self._next < self._last and len(self._waiting) < self._ahead:
            self._waiting.append(self._pool.submit(self._make, self._next))
            self._next += 1
