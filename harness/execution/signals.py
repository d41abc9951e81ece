"""Ctrl-C, SIGTERM and SIGUSR1, by which batch systems announce the end: the first asks politely, the second ends."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


class Signals:
    """While entered, notes the first of these signals, calling ``on_first``; a second one calls ``on_second``.

    A SIGUSR1 beside one of the others is no second: a batch system may send both for one and the same end. Does nothing
    outside the main thread, where Python allows no handlers.
    """

    def __init__(self, on_first: Callable[[], None], on_second: Callable[[], None]) -> None:
        self.received: int | None = None
        self._heard: set[int] = set()
        self._on_first = on_first
        self._on_second = on_second
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        """Take over the signals."""
        if threading.current_thread() is threading.main_thread():
            for number in HANDLED:
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the signals back."""
        for number, before in self._before.items():
            signal.signal(number, before)
        self._before.clear()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        again = number in self._heard or (number != signal.SIGUSR1 and bool(self._heard - {signal.SIGUSR1}))
        self._heard.add(number)
        if self.received is None:
            self.received = number
            self._on_first()
        elif again:
            self._on_second()


def leave_at_once(number: int) -> None:
    """End this process now, with the exit status of a signal."""
    os._exit(128 + number)
