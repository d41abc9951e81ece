"""The store facade: one object for a results directory, cheap to open, used by drivers and readers alike."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.store.artifacts import ArtifactStore
from harness.store.errors import NoStoreError, StoreError
from harness.store.places import Place, local_folder, place_of
from harness.store.records import Records
from harness.store.rows import (
    AttemptRow,
    CommitResult,
    Compaction,
    CurveRow,
    Finding,
    Group,
    MeasurementRow,
    Pruning,
    new_id,
)

if TYPE_CHECKING:
    import pyarrow as pa

    from harness.store.tables import Table


class Store:
    """The outcomes, artifacts and provenance under ``<results>/store``, a folder or `s3://bucket/prefix`.

    Any number of processes may hold a store open, read it and commit to it at once, on one machine or on several that
    share the file system; no file locks are used. A process that has used a store must not ``fork`` (spawn instead).

    Attributes:
        results: the results directory.
        root: the store's own directory.
        local: the same on this machine: for logs, and for the states of long stages; ``root`` unless that is in
            object storage.
        writer: random identifier of this driver, recorded in what it commits.
        artifacts: the artifact files.
    """

    def __init__(self, results: Place) -> None:
        """Describe the store under ``results`` without touching the disk; use :meth:`open`."""
        self.results = place_of(results)
        self.root: Place = (self.results.absolute() if isinstance(self.results, Path) else self.results) / "store"
        self.local = local_folder(self.results).absolute() / "store"
        self.writer = new_id()
        self.artifacts = ArtifactStore(self.root)
        self.lock = threading.RLock()
        self._tables: dict[str, Table] = {}
        self._records = Records()
        self._loaded = False

    @classmethod
    def open(cls, results: Place | str, create: bool = False) -> Store:
        """Open the store under ``results``.

        Raises:
            NoStoreError: there is none and ``create`` is false.
            NewerStoreError: it was written by a later version of this program.
            StoreWriteError: it cannot be created.
        """
        store = cls(place_of(results))
        if create:
            from harness.store.tables import prepare_root

            prepare_root(store.root)
            store.table("records")
        elif not cls.exists(results):
            raise NoStoreError(store.results)
        return store

    @staticmethod
    def exists(results: Place | str) -> bool:
        """Whether there is a store under ``results``.

        Raises:
            StoreError: ``results`` is a file, or object storage that cannot be read.
        """
        place = place_of(results)
        if isinstance(place, Path) and place.is_file():
            raise StoreError(f"'{results}' is a file, not a results directory")
        try:
            return (place / "store" / "records" / "_delta_log").is_dir()
        except OSError as error:
            raise StoreError(f"the results cannot be read: {error}") from error

    def table(self, name: str) -> Table:
        """Return one of the Delta tables, creating it when it does not exist yet."""
        with self.lock:
            if name not in self._tables:
                from harness.store.tables import Table

                self._tables[name] = Table.open(self.root, name)
            return self._tables[name]

    # --- records --------------------------------------------------------------------------------------------------

    def records(self) -> Records:
        """Return the winning record of every key: a live mapping that :meth:`refresh` and :meth:`commit` update."""
        if not self._loaded:
            self.refresh()
        return self._records

    def refresh(self) -> Records:
        """Read what other processes have committed since the last look, and return the records."""
        with self.lock:
            self._records.refresh(self.table("records"))
            self._loaded = True
            return self._records

    def commit(self, group: Group) -> CommitResult:
        """Commit a group: when this returns, its rows survive any kill.

        The first committed success of a key counts; records that come second are written to ``attempts`` with whether
        they agreed. May be called again with the same group after an error; nothing is then written twice.

        Raises:
            StoreWriteError: the disk is full or the files cannot be written; what was committed before is intact.
        """
        from harness.store.commit import commit

        with self.lock:
            return commit(self, group)

    def withdraw(self, keys: Iterable[str], reason: str) -> tuple[str, ...]:
        """Take back the winning records of ``keys`` (``reason`` is a word such as ``stale``); return those it hit."""
        from harness.store.commit import withdrawals

        with self.lock:
            group = Group(records=withdrawals(self.refresh(), keys, reason))
            return self.commit(group).withdrawn if group else ()

    def measurements(self, key: str) -> list[MeasurementRow]:
        """Return the measurements of ``key``'s winning record."""
        from harness.store.lookup import measurements

        return measurements(self, key)

    def curves(self, key: str) -> list[CurveRow]:
        """Return the training curves of ``key``'s winning record."""
        from harness.store.lookup import curves

        return curves(self, key)

    def attempts(self, keys: Collection[str] | None = None) -> list[AttemptRow]:
        """Return the attempts that left no record (of ``keys``, or all), oldest first, each once."""
        from harness.store.lookup import attempts

        return attempts(self, keys)

    # --- trials ---------------------------------------------------------------------------------------------------

    def write_trials(
        self, study: str, table: pa.Table | Mapping[str, Sequence[Any]], stages: Iterable[str] | None = None
    ) -> bool:
        """Make ``table`` the newest plan of ``study``, in place of the one before.

        Args:
            study: name of the study.
            table: the columns of the trials table (``study`` may be left out; columns left out become null).
            stages: the keys of all the plan's stages; lets ``prune`` keep what unfinished trials still need.

        Returns:
            Whether anything was written; a plan equal to the stored one (same ``plan`` text) is not written again.
        """
        from harness.store.trials import write_trials

        with self.lock:
            return write_trials(self, study, table, stages)

    def trials(self, study: str | None = None, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the trials of the newest plan of ``study``, or of every study."""
        from harness.store.trials import read_trials

        return read_trials(self, study, columns)

    def studies(self) -> list[str]:
        """Return the names of the studies that have a plan here, sorted."""
        from harness.store.trials import studies

        return studies(self)

    # --- provenance -----------------------------------------------------------------------------------------------

    def provenance(
        self,
        study: Mapping[str, Any] | None = None,
        code: Mapping[str, Mapping[str, str]] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> str:
        """Record how this run is made (versions, git commit, hardware, resolved study, code) and return its id.

        Args:
            study: the resolved study, JSON-able.
            code: from each code digest to the digests of the files it covers.
            extra: anything else worth recording (numerics, data identities), JSON-able.
        """
        from harness.store.provenance import record_provenance

        with self.lock:
            return record_provenance(self, study, code, extra)

    def provenance_of(self, identifier: str) -> dict[str, Any] | None:
        """Return what :meth:`provenance` recorded under an id, or None."""
        from harness.store.provenance import read_provenance

        return read_provenance(self, identifier)

    def code_files(self, digest: str) -> dict[str, str] | None:
        """Return the files (name -> hash) behind a code digest that some run recorded, or None."""
        from harness.store.provenance import code_files

        return code_files(self, digest)

    def drop_hosts(self) -> int:
        """Erase host names, user names and process ids from the provenance; return how many rows held any."""
        from harness.store.provenance import drop_hosts

        with self.lock:
            return drop_hosts(self)

    # --- upkeep ---------------------------------------------------------------------------------------------------

    def parts(self) -> dict[str, list[Place]]:
        """Return the live Parquet files of every table: what any Parquet reader may be given."""
        from harness.store.maintenance import parts

        return parts(self)

    def compact(self, force: bool = False) -> Compaction:
        """Merge small files, drop rows that no record names, and delete superseded files.

        Superseded files are deleted at once when no other driver has committed in the last ten minutes (the store is
        at rest: the end of a run) or with ``force``; otherwise those superseded less than ten minutes ago stay until
        a later compaction, for readers outside this program. Readers of this package are safe either way.
        """
        from harness.store.compaction import compact

        with self.lock:
            return compact(self, force)

    def verify(self, repair: bool = False) -> list[Finding]:
        """Check tables, records and artifacts; ``repair`` withdraws records whose artifact is damaged."""
        from harness.store.maintenance import verify

        with self.lock:
            return verify(self, repair)

    def prune(self, keep: Collection[str] = (), dry_run: bool = False, force: bool = False) -> Pruning:
        """Drop what no study's newest plan reaches: withdraw its records and delete their artifacts.

        Args:
            keep: further keys to keep, with all their inputs.
            dry_run: only say what would go.
            force: prune although the stages of an unfinished study are not known.
        """
        from harness.store.prune import prune

        with self.lock:
            return prune(self, keep, dry_run, force)
