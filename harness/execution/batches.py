"""Ready units, handed out longest critical path first, in batches that fill the declared width."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field

from harness.execution.messages import Rung
from harness.execution.units import Unit
from harness.graph import Resources

TARGET_SECONDS = 0.7
"""Calls of tiny stages are made to last about this long: long enough to hide latency, short enough to commit often."""
MAX_UNITS = 4096
AFFINITY_WINDOW = 256

Bucket = tuple[Resources, Rung, Hashable]
Entry = tuple[float, int, Unit]


@dataclass
class Pace:
    """Seconds per unit by signature, learned from replies (exponentially weighted)."""

    seconds: dict[Hashable, float] = field(default_factory=dict)

    def learn(self, signature: Hashable, seconds: float) -> None:
        """Take in how long one unit took."""
        known = self.seconds.get(signature)
        self.seconds[signature] = seconds if known is None else 0.7 * known + 0.3 * seconds

    def expected(self, signature: Hashable) -> float | None:
        """Return the seconds that a unit will take, or None when none was seen yet."""
        return self.seconds.get(signature)


class Queue:
    """Units that can start. A call takes units of one resource class and rung, first of one signature.

    ``salt`` is mixed into the order of equals, so that two drivers on one store begin at different places.
    """

    def __init__(self, pace: Pace, salt: int = 0, max_units: int = MAX_UNITS) -> None:
        self._pace = pace
        self._salt = salt
        self._max_units = max_units
        self._heads: dict[Resources, list[tuple[float, int, Bucket]]] = {}
        self._buckets: dict[Bucket, list[Entry]] = {}
        self._sizes: dict[Resources, int] = {}

    def push(self, unit: Unit) -> None:
        """Add a unit unless it is there already."""
        if unit.queued:
            return
        unit.queued = True
        bucket = (unit.resources, unit.rung, (unit.signature, unit.suspect))
        entries = self._buckets.setdefault(bucket, [])
        entry = (-unit.priority, unit.number ^ self._salt, unit)
        first = not entries or entry[:2] < entries[0][:2]
        heapq.heappush(entries, entry)
        if first:
            heapq.heappush(self._heads.setdefault(unit.resources, []), (entry[0], entry[1], bucket))
        self._sizes[unit.resources] = self._sizes.get(unit.resources, 0) + 1

    def demand(self) -> dict[Resources, int]:
        """Return how many calls the ready units would fill at least, by resource class."""
        found = {resources: 0 for resources, size in self._sizes.items() if size}
        for (resources, _, _), entries in self._buckets.items():
            if resources in found:
                found[resources] += -(-len(entries) // entries[0][2].width)
        return found

    def next_seconds(self, resources: Resources) -> float | None:
        """Return how long the next call of a resource class will take at least; None when that is not known."""
        bucket = self._next_bucket(resources, None)
        if bucket is None:
            return None
        unit = self._buckets[bucket][0][2]
        expected = self._pace.expected(unit.signature)
        return None if expected is None else expected * unit.width

    def __len__(self) -> int:
        return sum(self._sizes.values())

    def expected_seconds(self, waves: Sequence[Sequence[Unit]]) -> float:
        """Return how long a call of these waves will take; infinity when that is not known."""
        total = 0.0
        for units in waves:
            expected = self._pace.expected(units[0].signature)
            if expected is None:
                return float("inf")
            total += expected * len(units)
        return total

    def take(self, resources: Resources, workers: int, holds: Callable[[Unit], bool]) -> list[list[Unit]]:
        """Return the units for one call, as waves of one signature each: the most urgent unit, what fills its
        declared width, and more for as long as the call stays short. ``holds`` says whether the asking worker already
        has a unit's inputs. Units whose every wanted stage has been done meanwhile are dropped.
        """
        waves: list[list[Unit]] = []
        budget, taken = TARGET_SECONDS, 0
        fair = -(-self._sizes.get(resources, 0) // max(1, 2 * workers))
        rung: Rung | None = None
        while budget > 0 and taken < min(self._max_units, max(fair, 1)):
            bucket = self._next_bucket(resources, rung)
            if bucket is None:
                break
            head = self._buckets[bucket][0][2]
            if waves and not self._affords(head, budget):
                break
            limit = self._how_many(head, budget, min(self._max_units, fair) - taken)
            units = self._take_from(bucket, limit, holds)
            if not units:
                continue
            expected = self._pace.expected(units[0].signature)
            waves.append(units)
            taken += len(units)
            rung = units[0].rung
            if expected is None or units[0].suspect:
                break
            budget -= expected * len(units)
        return waves

    def _next_bucket(self, resources: Resources, rung: Rung | None) -> Bucket | None:
        """Return the bucket with the most urgent unit (of a rung, when one is given)."""
        heads = self._heads.get(resources, [])
        while heads:
            priority, order, bucket = heads[0]
            entries = self._buckets.get(bucket)
            if entries and entries[0][:2] == (priority, order):
                joins = rung is None or (rung == bucket[1] and not entries[0][2].suspect)
                return bucket if joins else None
            heapq.heappop(heads)
        return None

    def _affords(self, unit: Unit, budget: float) -> bool:
        """Say whether a width of this unit's signature is known to fit what is left of a call."""
        expected = self._pace.expected(unit.signature)
        return expected is not None and expected * unit.width <= budget

    def _how_many(self, unit: Unit, budget: float, fair: int) -> int:
        """Return how many units of this one's signature go into a call: whole widths, at least one."""
        width = unit.width
        if unit.suspect:
            return unit.suspect
        expected = self._pace.expected(unit.signature)
        if expected is None:
            return width
        affordable = int(budget / expected) if expected > 0 else MAX_UNITS
        return max(1, min(affordable, fair) // width) * width

    def _take_from(self, bucket: Bucket, limit: int, holds: Callable[[Unit], bool]) -> list[Unit]:
        entries = self._buckets[bucket]
        found: list[Entry] = []
        window = limit + AFFINITY_WINDOW if entries[0][2].reads else limit
        while entries and len(found) < window:
            entry = heapq.heappop(entries)
            if entry[2].wanted:
                found.append(entry)
            else:
                self._leave(entry[2])
        if len(found) > limit:
            urgent = found[0][0]
            found.sort(key=lambda entry: (not (entry[0] == urgent and holds(entry[2])), entry[0], entry[1]))
            for entry in found[limit:]:
                heapq.heappush(entries, entry)
        chosen = [entry[2] for entry in found[:limit]]
        for unit in chosen:
            self._leave(unit)
        self._tidy(bucket, entries)
        return chosen

    def _leave(self, unit: Unit) -> None:
        unit.queued = False
        self._sizes[unit.resources] -= 1

    def _tidy(self, bucket: Bucket, entries: Sequence[Entry]) -> None:
        if entries:
            heapq.heappush(self._heads[bucket[0]], (entries[0][0], entries[0][1], bucket))
        else:
            del self._buckets[bucket]
