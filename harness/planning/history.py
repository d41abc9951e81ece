"""What a store knows, as a plan asks for it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Protocol

from harness.planning.cost import PastRuns
from harness.planning.demand import Record, Records


class TimedRecord(Record, Protocol):
    """A record with what it cost."""

    @property
    def kind(self) -> str:
        """Name of the stage kind."""

    @property
    def seconds(self) -> float | None:
        """Wall time, if it was measured."""


class RecordMapping(Records, Protocol):
    """Records that can be listed."""

    def values(self) -> Iterable[TimedRecord]:
        """All records that count."""


class RecordStore(Protocol):
    """The part of a store that planning reads."""

    def records(self) -> RecordMapping:
        """The record that counts, by key."""

    def code_files(self, digest: str) -> Mapping[str, str] | None:
        """The files behind a recorded code digest, if they are known."""


class StoreHistory:
    """The history of a results directory."""

    def __init__(self, store: RecordStore) -> None:
        self._store = store

    def records(self) -> Records:
        """The record that counts, by key."""
        return self._store.records()

    def code_files(self, digest: str, /) -> Mapping[str, str] | None:
        """The files behind a recorded code digest, if they are known."""
        return self._store.code_files(digest)

    def past_runs(self) -> Mapping[str, PastRuns]:
        """What past runs of each stage kind cost, over every study of this store."""
        seconds: dict[str, list[float]] = {}
        nbytes: dict[str, list[int]] = {}
        for record in self._store.records().values():
            if record.seconds is not None:
                seconds.setdefault(record.kind, []).append(record.seconds)
            if record.artifact is not None:
                nbytes.setdefault(record.kind, []).append(int(getattr(record.artifact, "nbytes", 0)))
        return {kind: _summary(times, nbytes.get(kind, [])) for kind, times in seconds.items()}


def _summary(seconds: list[float], nbytes: list[int]) -> PastRuns:
    n = len(seconds)
    mean = math.fsum(seconds) / n
    variance = math.fsum((value - mean) ** 2 for value in seconds) / (n - 1) if n > 1 else 0.0
    return PastRuns(n, mean, variance, sum(nbytes) / n if nbytes else None)
