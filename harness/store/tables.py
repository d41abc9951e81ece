"""One Delta table: creation, reading, appending and rewriting, safe against other processes doing the same.

Parts are written with pyarrow under a fresh name and become visible by one commit of the transaction log, so a process
killed anywhere leaves either all rows of an append or none (and perhaps an unreferenced file). Two kinds of commit:

- *appends* never conflict with each other; an append that meets a rewrite is repeated on the newer version;
- *rewrites* (compaction, replacing a partition) exclude each other by compare-and-swap on the number that the log keeps
  for the application ``layout``: a rewrite of files that another has replaced fails instead of doubling their rows.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.transaction import AddAction, RemoveAction

from harness.store.errors import NewerStoreError, StoreError, StoreWriteError
from harness.store.objects import ObjectPath, refuse_without_conditions, storage_options
from harness.store.parts import PartWriter, reason
from harness.store.places import Place, names_after
from harness.store.reading import Where, read_parts
from harness.store.rows import new_id
from harness.store.schemas import LAYOUT, SCHEMA_VERSION, TABLES, VERSION_PROPERTY, TableSpec

TRIES = 40
CHECKPOINT_TRIES = 8
LONGEST_PAUSE = 4.0
"""Seconds."""
_ODD = re.compile(r"[%\\\x00-\x1f\x7f\ud800-\udfff]")
_CHECKPOINT = re.compile(r"(\d{20})\.checkpoint\.parquet")

# Checkpoints and log cleaning belong to compaction: as hooks of a commit they could fail after it has succeeded.
_NO_HOOKS = PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)
_PROPERTIES: dict[str, str | None] = {
    VERSION_PROPERTY: str(SCHEMA_VERSION),
    "delta.dataSkippingNumIndexedCols": "0",
    "delta.deletedFileRetentionDuration": "interval 1 hours",
    "delta.enableExpiredLogCleanup": "false",
}


class Conflict(Exception):
    """Another process changed what this commit relied on; refresh and decide again."""


def prepare_root(root: Place) -> None:
    """Create the store's directory and all its tables where they are missing.

    Raises:
        StoreWriteError: the directory or a table cannot be created.
    """
    _ignore_file_size_signal()
    _refuse_odd_path(root)
    try:
        root.mkdir(parents=True, exist_ok=True)
        if isinstance(root, ObjectPath) and not (root / "records" / "_delta_log").is_dir():
            refuse_without_conditions(root)
    except OSError as error:
        raise StoreWriteError(f"cannot create the store '{root}': {reason(error)}") from error
    for name in TABLES:
        if not (root / name / "_delta_log").is_dir():
            Table.open(root, name)


class Table:
    """A Delta table at a version that this process has seen.

    Attributes:
        name: table name. path: its directory. spec: its columns.
    """

    def __init__(self, path: Place, spec: TableSpec) -> None:
        """Look at the table at ``path``; use :meth:`open`."""
        self.name = spec.name
        self.path = path
        self.spec = spec
        self._parts: dict[str, tuple[int, int]] = {}
        self._numbers: dict[str, int] = {}
        self._seen = -1
        self._delta: DeltaTable
        self.reopen()

    @classmethod
    def open(cls, root: Place, name: str) -> Table:
        """Open table ``name`` of the store at ``root``, creating it if it is missing.

        Raises:
            NewerStoreError: a later version of this program wrote it.
            StoreError: it is no readable Delta table.
            StoreWriteError: it is missing and cannot be created.
        """
        spec, path = TABLES[name], root / name
        _refuse_odd_path(root)
        if not (path / "_delta_log").is_dir():
            _create(path, spec)
        table = cls(path, spec)
        found = int(table._delta.metadata().configuration.get(VERSION_PROPERTY, "1"))
        if found > SCHEMA_VERSION:
            raise NewerStoreError(
                f"table '{path}' has schema version {found}, but this program reads up to {SCHEMA_VERSION}: upgrade it"
            )
        return table

    # --- looking --------------------------------------------------------------------------------------------------

    @property
    def version(self) -> int:
        """The version of the table last seen."""
        return self._delta.version()

    def refresh(self) -> None:
        """Look for newer versions.

        Raises:
            StoreError: the log cannot be read.
        """
        try:
            self._delta.update_incremental()
            if self.version != self._seen:
                self._look()
        except (DeltaError, OSError):
            # The log between the version seen and the newest was cleaned: start from the checkpoint.
            self.reopen()

    def reopen(self) -> None:
        """Forget the version seen and read the newest, again when the cleaning of the log by others got in the way."""
        last: Exception | None = None
        for _ in range(TRIES):
            try:
                self._delta = DeltaTable(str(self.path), storage_options=_options(self.path))
                self._look()
                return
            except (DeltaError, OSError) as error:
                last = error
                _pause()
        assert last is not None
        raise StoreError(f"table '{self.path}' cannot be read: {reason(last)}") from last

    def _look(self) -> None:
        """Take down all that is needed of this version: the library reads part of it from the log only when asked."""
        # Not by `pa.table`, which imports pandas to see whether it was given a frame of it.
        actions = pa.RecordBatchReader.from_stream(self._delta.get_add_actions(flatten=True)).read_all()
        columns = actions.select(["modification_time", "path", "size_bytes", "num_records"])
        parts = sorted(zip(*(column.to_pylist() for column in columns.columns), strict=True))
        numbers = {name: self._delta.transaction_version(name) or 0 for name in self.spec.numbers}
        self._parts = {path: (size, rows) for _, path, size, rows in parts}
        self._numbers = numbers
        self._seen = self.version

    def number(self, application: str) -> int:
        """Return the number that the log keeps for an application; commits may be conditional on it."""
        return self._numbers[application]

    def files(self) -> list[str]:
        """Return the live parts of the version last seen, oldest first, relative to the table."""
        return list(self._parts)

    def count(self, file: str) -> int:
        """Return the number of rows that the log states for a live part."""
        return int(self._parts[file][1])

    def size(self, file: str) -> int:
        """Return the bytes that the log states for a live part.

        Raises:
            FileNotFoundError: it is not live any more; another process has replaced it since it was listed.
        """
        if file not in self._parts:
            raise FileNotFoundError(file)
        return int(self._parts[file][0])

    def superseded(self) -> list[str]:
        """Return the parts that the log says were replaced and that may still lie on disk.

        Raises:
            StoreError: the log was cleaned by others again and again.
        """
        for _ in range(10):
            try:
                return self._delta.vacuum(retention_hours=0, dry_run=True, enforce_retention_duration=False)
            except (DeltaError, OSError):
                self.reopen()
        raise StoreError(f"table '{self.path}' is being compacted all the time: try again")

    def log_length(self) -> int:
        """Return how many versions the newest one is ahead of the newest checkpoint."""
        return self.version - newest_checkpoint(self.path)

    # --- reading --------------------------------------------------------------------------------------------------

    def read(self, columns: Sequence[str] | None = None, where: Where | None = None, fresh: bool = True) -> pa.Table:
        """Read the newest version (or with ``fresh=False`` the one last seen).

        A part that disappears because another process compacts meanwhile is no error: the newer version is read.
        """
        if fresh:
            self.refresh()
        for _ in range(TRIES):
            try:
                return self.read_files(self.files(), columns, where)
            except FileNotFoundError:
                self.refresh()
        raise StoreError(f"table '{self.path}' names parts that do not exist: its directory was changed by hand")

    def read_files(
        self, files: Sequence[str], columns: Sequence[str] | None = None, where: Where | None = None
    ) -> pa.Table:
        """Read given parts, in order.

        Raises:
            FileNotFoundError: a part is gone (compaction in another process).
            StoreError: a part is not a readable Parquet file.
        """
        names = list(columns) if columns is not None else self.spec.schema.names
        try:
            return read_parts(self.path, files, self.spec, names, where)
        except FileNotFoundError:
            raise
        except (pa.ArrowInvalid, OSError) as error:
            raise StoreError(f"table '{self.path}' cannot be read: {reason(error)}") from error

    # --- writing --------------------------------------------------------------------------------------------------

    def append(self, rows: pa.Table, writer: str, expect: Mapping[str, int] | None = None) -> bool:
        """Append rows as one part in one commit.

        Args:
            rows: the rows, with the columns of ``spec``.
            writer: recorded in the log.
            expect: numbers of applications as last seen; the commit raises each by one, or fails.

        Returns:
            True when the commit is known to stand. False when another process cleaned the log at the very moment of
            the commit, so that it may have been lost: the caller must look and perhaps append again.

        Raises:
            Conflict: one of the numbers in ``expect`` has moved.
            StoreWriteError: nothing was committed, because the disk does not take it.
        """
        add = self.write_part(rows)
        try:
            settled = self.transact([add], writer, expect)
        except (Conflict, StoreWriteError):  # after any other exception, an interrupt say, the commit may stand
            self.discard([add.path])
            raise
        if not (self.path / add.path).exists():  # cleaned as a leftover because this process slept for long
            self.write_part(rows, add.path)
        return settled

    def replace(self, remove: Sequence[str], add: Sequence[AddAction], writer: str, layout: int) -> bool:
        """Replace parts by others in one commit, unless the layout has changed since it was ``layout``.

        Raises:
            Conflict: another rewrite came first.
            StoreWriteError: nothing was committed.
        """
        now = int(time.time() * 1000)
        gone = [
            RemoveAction(file, True, now, self._parts[file][0] if file in self._parts else None, self._values(file))
            for file in remove
        ]
        return self.transact([*add, *gone], writer, {LAYOUT: layout})

    def transact(
        self, actions: Sequence[AddAction | RemoveAction], writer: str, expect: Mapping[str, int] | None = None
    ) -> bool:
        """Commit actions; see :meth:`append` for the rest. An empty list only raises the numbers in ``expect``."""
        wanted = dict(expect or {})
        for attempt in range(TRIES):
            if any(self.number(application) != number for application, number in wanted.items()):
                raise Conflict
            base = self.version
            try:
                self._commit(actions, writer, wanted)
            except CommitFailedError:
                _pause(attempt)
                self.refresh()
                if self._live(actions):
                    return True  # it stood all the while: only the answer was lost, and asking again met itself
                continue
            except (DeltaError, OSError) as error:
                if self._stands(actions, base, error):
                    return True
                continue
            if newest_checkpoint(self.path, base) > base:  # the log was cleaned beyond the place of this commit
                self.reopen()
                return False
            self.refresh()
            return True
        raise StoreWriteError(f"table '{self.path}' could not be written: too many other processes write to it")

    def write_part(self, rows: pa.Table, name: str | None = None) -> AddAction:
        """Write rows to a new part (invisible until committed) and return the action that adds it.

        Raises:
            StoreWriteError: the file could not be written; nothing of it is left.
        """
        values, body = self._split(rows)
        name = name or "".join(f"{column}={value}/" for column, value in values.items()) + f"part-{new_id()}.parquet"
        with PartWriter(self.path, self.spec, name) as part:
            part.write(body)
        return part.action(values)

    def discard(self, files: Sequence[str]) -> None:
        """Delete parts that were never committed."""
        for file in files:
            with suppress(OSError):
                (self.path / file).unlink()

    def checkpoint(self) -> None:
        """Write the state of the log into one file, so that the log before it can be cleaned.

        Raises:
            StoreWriteError: it could not be written.
        """
        for attempt in range(CHECKPOINT_TRIES):
            try:
                self._delta.create_checkpoint()
                return
            except (DeltaError, OSError) as error:
                last, seen = error, self.version
            self.reopen()  # another process may have cleaned the log under our feet, perhaps not up to our version
            if newest_checkpoint(self.path) >= seen:
                return
            _pause(attempt)
        raise StoreWriteError(f"table '{self.path}' could not be written: {reason(last)}") from last

    def _commit(self, actions: Sequence[AddAction | RemoveAction], writer: str, expect: Mapping[str, int]) -> None:
        properties = CommitProperties(
            custom_metadata={"writer": writer},
            max_commit_retries=15,
            app_transactions=[Transaction(name, number + 1) for name, number in expect.items()] or None,
        )
        self._delta.create_write_transaction(
            list(actions),
            "append",
            self.spec.schema,
            partition_by=self.spec.partition,
            commit_properties=properties,
            post_commithook_properties=_NO_HOOKS,
        )

    def _stands(self, actions: Sequence[AddAction | RemoveAction], base: int, error: Exception) -> bool:
        """After a failed commit: whether it stands all the same; False means try again on a newer version."""
        self.refresh()
        if self._live(actions):
            return True
        if self.version == base and _cleaned_away(error):
            self.reopen()  # what this version was read from is gone; the newest checkpoint says the same
            return False
        if self.version == base:
            raise StoreWriteError(
                f"table '{self.path}' could not be written ({reason(error)}); what was committed before is intact"
            ) from error
        return False

    def _live(self, actions: Sequence[AddAction | RemoveAction]) -> bool:
        """Whether actions add parts, and these are live in the version last seen."""
        added = [action.path for action in actions if isinstance(action, AddAction)]
        return bool(added) and set(added) <= self._parts.keys()

    def _split(self, rows: pa.Table) -> tuple[dict[str, str | None], pa.Table]:
        """Take the partition column, constant over ``rows``, out of them."""
        column = self.spec.partition
        if column is None:
            return {}, rows.select(self.spec.schema.names)
        (value,) = rows.column(column).unique().to_pylist()
        return {column: value}, rows.select([name for name in self.spec.schema.names if name != column])

    def _values(self, file: str) -> dict[str, str | None]:
        if self.spec.partition is None:
            return {}
        return {self.spec.partition: file.split("/")[0].split("=", 1)[1]}


def _cleaned_away(error: Exception) -> bool:
    """Whether a file of the log was missing, which the cleaning of the log by others explains."""
    return isinstance(error, FileNotFoundError) or ("_delta_log" in str(error) and "not found" in str(error))


def _refuse_odd_path(root: Place) -> None:
    """Refuse a directory whose name Delta Lake would read as another one: it takes paths for URLs.

    Raises:
        StoreError: the path holds '%', a backslash, a control character or bytes that are no text.
    """
    odd = _ODD.search(root.as_posix())
    if odd is not None:
        raise StoreError(
            f"the results directory {str(root.parent)!r} must not have {odd[0]!r} in its path: Delta Lake misreads it"
        )


def _create(path: Place, spec: TableSpec) -> None:
    """Create an empty table beside its place and rename it there: of two processes, one wins and both find it.

    In object storage its first log entry is created where none is, which only one process can do.
    """
    if isinstance(path, ObjectPath):
        try:
            _create_table(path, spec)
        except (DeltaError, OSError) as error:
            if not (path / "_delta_log").is_dir():
                raise StoreWriteError(f"table '{path}' could not be created: {reason(error)}") from error
        return
    draft = path.with_name(f".{path.name}-{new_id()}")
    try:
        draft.mkdir(parents=True)
        _create_table(draft, spec)
        os.rename(draft, path)
    except (DeltaError, OSError) as error:
        shutil.rmtree(draft, ignore_errors=True)
        if not (path / "_delta_log").is_dir():
            raise StoreWriteError(f"table '{path}' could not be created: {reason(error)}") from error


def _create_table(path: Place, spec: TableSpec) -> None:
    DeltaTable.create(
        str(path),
        spec.schema,
        partition_by=spec.partition,
        configuration=_PROPERTIES,
        raise_if_key_not_exists=False,
        storage_options=_options(path),
    )


def _options(path: Place) -> dict[str, str] | None:
    return storage_options() if isinstance(path, ObjectPath) else None


def _pause(attempt: int = 0) -> None:
    """Wait at random, so that processes that collided do not collide again: milliseconds at first, then seconds.

    All tries together last over a minute. A client of a shared file system may for so long answer from the listing of
    the log that it read earlier, and not see the very commit that was in the way of this one.
    """
    time.sleep(random.uniform(0.5, 1.0) * min(LONGEST_PAUSE, 0.02 * 1.3**attempt))


def newest_checkpoint(path: Place, after: int = 0) -> int:
    """Return the version of the newest checkpoint in the log of the table at ``path``, or -1.

    In object storage only those from version ``after`` on are looked for.

    The pointer ``_last_checkpoint`` is no help here: a slow process may set it back to an older checkpoint.
    """
    found = (_CHECKPOINT.fullmatch(name) for name in names_after(path / "_delta_log", f"{after:020d}"))
    return max((int(match[1]) for match in found if match), default=-1)


def _ignore_file_size_signal() -> None:
    """Let a write beyond the file size limit fail with EFBIG instead of ending the process."""
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGXFSZ) == signal.SIG_DFL:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
