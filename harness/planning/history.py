"""What a store knows, as a plan asks for it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

from harness.planning.cost import PastRuns
from harness.planning.demand import Records, Sized


class RecordColumns(Protocol):
    """Records that are read column by column: none is built as an object, so that a large store costs little."""

    def status(self, key: str) -> str | None:
        """``ok`` or ``diverged``; None when the key has no record."""

    def flags(self, key: str) -> tuple[str, ...]:
        """Flags such as ``not_trained``."""

    def value(self, key: str) -> str | None:
        """The JSON text of a small value."""

    def artifact(self, key: str) -> Sized | None:
        """Where the artifact is, if it was kept."""

    def code(self, key: str) -> str | None:
        """The digest of the code that made it."""

    def field(self, key: str, name: str) -> Any:
        """One column of the record that counts for a key, or None."""

    def column(self, name: str) -> list[Any]:
        """One column of all records that count."""


class RecordStore(Protocol):
    """The part of a store that planning reads."""

    def records(self) -> RecordColumns:
        """The record that counts, by key."""

    def code_files(self, digest: str) -> Mapping[str, str] | None:
        """The files behind a recorded code digest, if they are known."""


class StoreRecords:
    """A store's records as a plan asks for them."""

    def __init__(self, records: RecordColumns) -> None:
        self._records = records
        self.status = records.status
        self.flags = records.flags
        self.value = records.value
        self.artifact = records.artifact
        self.code = records.code

    def kind(self, key: str, /) -> str | None:
        """The name of the stage kind."""
        found: str | None = self._records.field(key, "kind")
        return found


class StoreHistory:
    """The history of a results directory."""

    def __init__(self, store: RecordStore) -> None:
        self._store = store

    def records(self) -> Records:
        """The record that counts, by key."""
        return StoreRecords(self._store.records())

    def code_files(self, digest: str, /) -> Mapping[str, str] | None:
        """The files behind a recorded code digest, if they are known."""
        return self._store.code_files(digest)

    def past_runs(self, device: str = "") -> Mapping[str, PastRuns]:
        """What past runs of each stage kind cost, over every study of this store.

        device: only those on a device whose name begins so.
        """
        records = self._store.records()
        seconds: dict[str, list[float]] = {}
        nbytes: dict[str, list[int]] = {}
        columns = (records.column(name) for name in ("kind", "seconds", "nbytes", "device"))
        for kind, duration, size, where in zip(*columns, strict=True):
            if duration is None or not str(where or "").startswith(device):
                continue  # put there by hand, not run; or run elsewhere
            seconds.setdefault(kind, []).append(duration)
            if size is not None:
                nbytes.setdefault(kind, []).append(size)
        return {kind: _summary(times, nbytes.get(kind, [])) for kind, times in seconds.items()}


def _summary(seconds: list[float], nbytes: list[int]) -> PastRuns:
    n = len(seconds)
    mean = math.fsum(seconds) / n
    variance = math.fsum((value - mean) ** 2 for value in seconds) / (n - 1) if n > 1 else 0.0
    return PastRuns(n, mean, variance, sum(nbytes) / n if nbytes else None)
