"""Bringing a tracker up to date once, or again and again while others work on the study."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from harness.trackers.runs import runs

if TYPE_CHECKING:
    from harness.store import Store
    from harness.trackers.base import Tracker

EVERY = 10.0
"""Seconds between two looks at the store."""
_TABLES = ("records", "trials", "stages", "attempts")
"""A change that is worth a look shows in the log of one of these."""


def export(store: Store, study: str, tracker: Tracker, known: set[str] | None = None) -> int:
    """Write all runs that the tracker does not have; return their number.

    known: identifiers that are there already, asked of the tracker unless given; those written are added.

    Raises:
        HarnessError: there is no such study, or the tracker cannot be written to; what was written stays.
    """
    there = tracker.known() if known is None else known
    written = 0
    try:
        for run in runs(store, study, there):
            tracker.write(run)
            there.add(run.id)
            written += 1
    finally:
        tracker.settle()
    return written


def follow(
    store: Store, study: str, tracker: Tracker, wait: Callable[[], bool], say: Callable[[int], None] | None = None
) -> int:
    """Export whenever something was committed, until ``wait`` says to end, and once more then; return runs written.

    wait: called between two looks; passes the time, and returns whether to end. say: told the number of runs written.
    """
    known = tracker.known()
    total, seen = 0, None
    ending = False
    while True:
        now = _versions(store)
        if now != seen:
            written = export(store, study, tracker, known)
            total, seen = total + written, now
            if say is not None and written:
                say(written)
        if ending:
            return total
        ending = wait()


def _versions(store: Store) -> tuple[int, ...]:
    """Return a version of each table that is at most too old: what is committed after it will be seen next time."""
    found = []
    for name in _TABLES:
        table = store.table(name)
        table.refresh()
        found.append(table.version)
    return tuple(found)
