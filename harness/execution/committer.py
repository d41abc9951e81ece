"""Commits rows in groups, at least every second while rows are waiting, in a thread beside the driver."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from harness.store import CommitResult, Group

INTERVAL = 1.0
MAX_ROWS = 20_000


class Commits(Protocol):
    """The part of a store that takes rows."""

    def commit(self, group: Group) -> CommitResult:
        """Commit a group; when this returns, its rows survive any kill."""


@dataclass(frozen=True)
class Committed:
    """Stages whose rows are now permanent: ``keys`` as offered, in order, with what the store made of them."""

    keys: tuple[str, ...]
    result: CommitResult


class Committer:
    """Takes groups of rows from the driver and commits them together.

    `offer` returns at once; `taken` hands back what was committed since the last call. After a write failed, `error`
    says why, nothing more is committed, and the rows that waited are lost to this run (their stages run again).
    """

    def __init__(self, store: Commits, interval: float = INTERVAL, on_commit: Callable[[], None] | None = None) -> None:
        self._store = store
        self._interval = interval
        self._on_commit = on_commit
        self._condition = threading.Condition()
        self._waiting = Group()
        self._keys: list[str] = []
        self._since = 0.0
        self._hurry = False
        self._busy = False
        self._closed = False
        self._done: list[Committed] = []
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._work, name="committer", daemon=True)
        self._thread.start()

    def offer(self, group: Group, keys: Sequence[str] = ()) -> None:
        """Take rows; ``keys`` are the stages that are done, failed or skipped by them."""
        with self._condition:
            if not (self._waiting or self._keys):
                self._since = time.monotonic()
            self._waiting.records += group.records
            self._waiting.measurements += group.measurements
            self._waiting.curves += group.curves
            self._waiting.attempts += group.attempts
            self._keys += keys
            self._condition.notify()

    def taken(self) -> list[Committed]:
        """Return what was committed since the last call."""
        with self._condition:
            done, self._done = self._done, []
            return done

    def flush(self, timeout: float | None = None) -> bool:
        """Commit what waits and return when it is permanent; False when that failed or took too long."""
        until = None if timeout is None else time.monotonic() + timeout
        with self._condition:
            self._hurry = True
            self._condition.notify()
            while (self._waiting or self._busy) and self.error is None:
                left = None if until is None else until - time.monotonic()
                if left is not None and left <= 0:
                    break
                self._condition.wait(0.5 if left is None else min(0.5, left))
            self._hurry = False
            return not self._waiting and not self._busy and self.error is None

    def close(self) -> None:
        """Commit what waits and end the thread."""
        self.flush()
        with self._condition:
            self._closed = True
            self._condition.notify()
        self._thread.join()

    def _work(self) -> None:
        while True:
            with self._condition:
                while not self._due():
                    if self._closed:
                        return
                    self._condition.wait(0.1 if self._waiting else 1.0)
                group, self._waiting = self._waiting, Group()
                keys, self._keys = self._keys, []
                self._busy = True
            self._commit(group, tuple(keys))

    def _due(self) -> bool:
        if not self._waiting or self.error is not None:
            return False
        waited = time.monotonic() - self._since >= self._interval
        return waited or self._hurry or self._closed or len(self._waiting.records) >= MAX_ROWS

    def _commit(self, group: Group, keys: tuple[str, ...]) -> None:
        error: Exception | None = None
        result = CommitResult()
        try:
            result = self._store.commit(group)
        except Exception as failure:
            error = failure
        with self._condition:
            self._busy = False
            if error is None:
                self._done.append(Committed(keys, result))
            else:
                self.error = error
            if self._waiting:
                self._since = min(self._since, time.monotonic())
            self._condition.notify_all()
        if self._on_commit is not None:
            self._on_commit()
