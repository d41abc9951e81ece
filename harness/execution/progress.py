"""What is shown while a study runs: a live table on a terminal, plain lines elsewhere. Failures appear at once."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from typing import IO, Any, Literal

PLAIN_INTERVAL = 10.0
MAX_FAILURES_SHOWN = 200


@dataclass
class KindCount:
    """Stages of one kind: how many there are, and how many are committed, failed, skipped or in a worker's hands."""

    total: int = 0
    done: int = 0
    failed: int = 0
    skipped: int = 0
    running: int = 0

    @property
    def left(self) -> int:
        """How many are still to come to an end."""
        return max(0, self.total - self.done - self.failed - self.skipped)


@dataclass
class Tally:
    """Counts by stage kind, and the rate at which stages come to an end."""

    kinds: dict[str, KindCount] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)
    _recent: list[tuple[float, int]] = field(default_factory=list)

    def of(self, kind: str) -> KindCount:
        """Return the counts of a kind."""
        found = self.kinds.get(kind)
        if found is None:
            found = self.kinds[kind] = KindCount()
        return found

    def total(self) -> KindCount:
        """Return the counts of all kinds together."""
        every = self.kinds.values()
        return KindCount(
            sum(one.total for one in every),
            sum(one.done for one in every),
            sum(one.failed for one in every),
            sum(one.skipped for one in every),
            sum(one.running for one in every),
        )

    def rate(self) -> float:
        """Return stages per second over the last half minute or so."""
        now, ended = time.monotonic(), self.total().done
        if not self._recent or now - self._recent[-1][0] > 0.5:
            self._recent.append((now, ended))
        while len(self._recent) > 2 and now - self._recent[0][0] > 30.0:
            self._recent.pop(0)
        then, before = self._recent[0]
        return (ended - before) / (now - then) if now - then > 0.2 else 0.0

    def eta(self) -> float | None:
        """Return the seconds still to go at the current rate, or None while there is none."""
        left = self.total().left
        if not left:
            return 0.0
        rate = self.rate()
        return left / rate if rate > 0 else None


class Display:
    """Shows nothing; the two below show something."""

    def __init__(self, tally: Tally) -> None:
        self.tally = tally

    def __enter__(self) -> Display:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """End."""

    def update(self) -> None:
        """Show the counts as they are now, if it is time to."""

    def say(self, text: str) -> None:
        """Show a message at once."""


class PlainDisplay(Display):
    """A line now and then, and one for each message."""

    def __init__(self, tally: Tally, stream: IO[str] | None = None, interval: float = PLAIN_INTERVAL) -> None:
        super().__init__(tally)
        self._stream = stream or sys.stderr
        self._interval = interval
        self._shown_at = time.monotonic()
        self._said = 0

    def update(self) -> None:
        """Write a line when the last one is old enough."""
        if time.monotonic() - self._shown_at >= self._interval:
            self._write(summary_line(self.tally))

    def say(self, text: str) -> None:
        """Write a message."""
        self._said += 1
        if self._said < MAX_FAILURES_SHOWN:
            self._write(text)
        elif self._said == MAX_FAILURES_SHOWN:
            self._write("more messages are not shown; every failure has its row")

    def __exit__(self, *_: object) -> None:
        """Write the last counts."""
        if self.tally.total().total:
            self._write(summary_line(self.tally))

    def _write(self, text: str) -> None:
        self._shown_at = time.monotonic()
        self._stream.write(text + "\n")
        self._stream.flush()


class RichDisplay(Display):
    """A live table by stage kind."""

    def __init__(self, tally: Tally) -> None:
        super().__init__(tally)
        from rich.console import Console
        from rich.live import Live

        self._console = Console(stderr=True)
        self._live: Any = Live(self._table(), console=self._console, refresh_per_second=4, transient=False)

    def __enter__(self) -> RichDisplay:
        """Begin."""
        self._live.__enter__()
        return self

    def __exit__(self, *problem: object) -> None:
        """Show the last counts and end."""
        self._live.update(self._table())
        self._live.__exit__(None, None, None)

    def update(self) -> None:
        """Show the counts as they are now."""
        self._live.update(self._table())

    def say(self, text: str) -> None:
        """Print a message above the table."""
        self._console.print(text, markup=False, highlight=False)

    def _table(self) -> Any:
        from rich.table import Table

        table = Table(box=None, pad_edge=False, caption=summary_line(self.tally), caption_justify="left")
        table.add_column("stage")
        for name in ("done", "running", "failed", "skipped", "of"):
            table.add_column(name, justify="right")
        for kind, count in self.tally.kinds.items():
            numbers = (count.done, count.running, count.failed, count.skipped, count.total)
            table.add_row(kind, *(str(number) for number in numbers))
        return table


def make_display(tally: Tally, how: Literal["auto", "rich", "plain", "none"]) -> Display:
    """Return the display that is asked for; ``auto`` is rich on a terminal and plain elsewhere."""
    if how == "none":
        return Display(tally)
    if how == "rich" or (how == "auto" and sys.stderr.isatty()):
        return RichDisplay(tally)
    return PlainDisplay(tally)


def summary_line(tally: Tally) -> str:
    """Return the counts of a run in one line."""
    count = tally.total()
    parts = [f"{count.done}/{count.total} stages done"]
    for name, number in (("running", count.running), ("failed", count.failed), ("skipped", count.skipped)):
        parts += [f"{number} {name}"] if number else []
    rate, eta = tally.rate(), tally.eta()
    parts += [f"{rate:.1f}/s"] if rate >= 0.05 else []
    parts += [f"{clock(eta)} left"] if eta else []
    parts.append(f"{clock(time.monotonic() - tally.started)} so far")
    return ", ".join(parts)


def clock(seconds: float) -> str:
    """Return a duration as people read it: ``42 s``, ``3:05``, ``2:00:10``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02d}:{left:02d}" if hours else f"{minutes}:{left:02d}"
