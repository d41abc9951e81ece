"""How much of a training's time passes until its data are there."""

from __future__ import annotations

import time
from types import TracebackType


class Waiting:
    """A clock that runs from when it is made; what happens inside a ``with`` of it counts as waiting for data."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._entered = self._begun
        self.seconds = 0.0

    def __enter__(self) -> Waiting:
        """Begin to wait."""
        self._entered = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The data are there, or failed to come."""
        self.seconds += time.monotonic() - self._entered

    def share(self) -> float:
        """Return the share of the time since the clock was made that was waited, from 0 to 1."""
        whole = time.monotonic() - self._begun
        return min(1.0, self.seconds / whole) if whole > 0 else 0.0
