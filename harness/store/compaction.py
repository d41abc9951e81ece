"""Merging small files, dropping rows that no record names, deleting what was superseded.

A finished run leaves one part a table (and study), the newest checkpoint of each log and nothing else. While another
driver is at work, files superseded less than ten minutes ago are kept, so that a reader outside this program that has
just listed the parts can still open them; readers of this package simply read the newer version.

Safety against others: a rewrite excludes other rewrites by compare-and-swap (see :mod:`harness.store.tables`) and never
touches parts added meanwhile; parts that are not committed yet are left alone until they are ten minutes old, and their
writer checks that they are there once it has committed; a driver whose place in the log was cleaned away notices.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.store.drivers import QUIET_SECONDS, leave, others_at_work
from harness.store.places import name_in
from harness.store.rows import Compaction

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake.transaction import AddAction

    from harness.store.places import Place
    from harness.store.store import Store
    from harness.store.tables import Table

LARGE_PART = 128 * 2**20
"""Parts of more bytes are not merged with others, only rewritten when rows must go."""

DRAFT_SECONDS = 86_400.0
"""Age at which an unpublished artifact file counts as left behind by a dead worker."""

LONG_LOG = 64
"""After this many commits the log is checkpointed in the middle of a run; reading it is what makes commits slow."""
SMALL_PART = 4 * 2**20
"""In the middle of a run only parts of fewer bytes than this are merged, lest a long run rewrite itself for ever."""

_SWEPT = ("measurements", "curves")


@dataclass
class _Tally:
    before: int = 0
    after: int = 0
    dropped: int = 0
    deleted: int = 0
    nbytes: int = 0
    kept: int = 0


def compact(store: Store, force: bool = False) -> Compaction:
    """Compact all tables; see :meth:`harness.store.Store.compact`."""
    from harness.store.schemas import TABLES

    leave(store.root, store.writer)
    retention = 0.0 if force or not others_at_work(store.root, store.writer) else QUIET_SECONDS
    tally = _Tally()
    for name in TABLES:
        table = store.table(name)
        table.refresh()
        tally.before += len(table.files())
        tally.dropped += _sweep(store, table) if name in _SWEPT else _merge(store, table)
        nfiles, nbytes, kept = clean(table, retention)
        tally.deleted, tally.nbytes, tally.kept = tally.deleted + nfiles, tally.nbytes + nbytes, tally.kept + kept
        tally.after += len(table.files())
    _drop_drafts(store)
    store.refresh()
    return Compaction(tally.before, tally.after, tally.dropped, tally.deleted, tally.nbytes, tally.kept)


def tidy(store: Store) -> None:
    """Merge small parts and checkpoint the log in the middle of a long run, so that commits stay fast."""
    for name in ("records", "measurements", "curves", "attempts"):
        table = store.table(name)
        if table.log_length() > LONG_LOG:
            _rewrite(store, table, *_layout(table), None, SMALL_PART)
            clean(table, QUIET_SECONDS)


def _layout(table: Table) -> tuple[list[str], int]:
    """Return the live parts, and the number that changes when any of them is replaced."""
    from harness.store.schemas import LAYOUT

    return table.files(), table.number(LAYOUT)


def _merge(store: Store, table: Table) -> int:
    """Merge the small parts of a table; drop records that were taken back. Returns the rows dropped.

    The rows that take them back stay: they say since when a key's failures count, and keep an attempt from being
    committed again.
    """
    import pyarrow.compute as pc

    files, layout = _layout(table)
    if table.name != "records":
        return _rewrite(store, table, files, layout, None)
    rows = table.read(["attempt", "status"], fresh=False)
    gone = rows.filter(pc.equal(rows.column("status"), "withdrawn")).column("attempt").combine_chunks()

    def standing(part: pa.Table) -> pa.Table:
        taken_back = pc.is_in(part.column("attempt"), value_set=gone)
        return part.filter(pc.or_(pc.equal(part.column("status"), "withdrawn"), pc.invert(taken_back)))

    keep = standing if standing(rows).num_rows < rows.num_rows else None
    return _rewrite(store, table, files, layout, keep)


def _sweep(store: Store, table: Table) -> int:
    """Merge the small parts of a table whose rows belong to records; drop rows that no record names.

    The parts are listed first, then the sweep is announced in the log of ``records``: every driver whose rows are in
    these parts has either committed its records before the announcement, or will find it and append its rows again.
    """
    from harness.store.schemas import RECORDS_COMMITTED, SWEEP
    from harness.store.tables import Conflict

    files, layout = _layout(table)
    rows = table.read(["key", "commit_id"], fresh=False)
    if _visible_rows(store)(rows).num_rows == rows.num_rows:
        return _rewrite(store, table, files, layout, None)
    records = store.table("records")
    while True:
        keep = _visible_rows(store)
        numbers = {name: records.number(name) for name in (RECORDS_COMMITTED, SWEEP)}
        try:
            if records.transact([], store.writer, numbers):
                return _rewrite(store, table, files, layout, keep)
        except Conflict:
            continue


def _visible_rows(store: Store) -> Callable[[pa.Table], pa.Table]:
    """Return a filter that keeps the rows belonging to the records of this moment."""
    import pyarrow as pa
    import pyarrow.compute as pc

    records = store.refresh()
    keys = pa.array(list(records), pa.string())
    commits = pa.array(records.column("commit_id"), pa.string())

    def visible(rows: pa.Table) -> pa.Table:
        owner = commits.take(pc.index_in(rows.column("key").combine_chunks(), value_set=keys))
        return rows.filter(pc.fill_null(pc.equal(owner, rows.column("commit_id").combine_chunks()), False))

    return visible


def _rewrite(
    store: Store,
    table: Table,
    files: Sequence[str],
    layout: int,
    keep: Callable[[pa.Table], pa.Table] | None,
    large: int = LARGE_PART,
) -> int:
    """Replace parts by one a partition; returns the rows dropped, 0 when another process was faster."""
    from harness.store.tables import Conflict

    old: list[str] = []
    new: list[AddAction] = []
    dropped = 0
    try:
        for group in _groups(table, files, None if keep else large):
            action, lost = _merged(table, group, keep)
            new += [action] if action is not None else []
            old += group
            dropped += lost
        if old:
            table.replace(old, new, store.writer, layout)
    except (Conflict, FileNotFoundError):
        dropped = 0
    finally:
        table.refresh()
        live = set(table.files())
        table.discard([action.path for action in new if action.path not in live])
    for file in old:
        with suppress(OSError):
            _touch(table.path / file)  # from now on its age says since when it is superseded
    return dropped


def _groups(table: Table, files: Sequence[str], large: int | None) -> list[list[str]]:
    """Return the parts to merge, by partition: those smaller than ``large`` where there are several, or all of them."""
    folders: dict[str, list[str]] = {}
    for file in files:
        if large is None or table.size(file) < large:
            folders.setdefault(str(Path(file).parent), []).append(file)
    return [group for group in folders.values() if large is None or len(group) > 1]


def _merged(
    table: Table, files: Sequence[str], keep: Callable[[pa.Table], pa.Table] | None
) -> tuple[AddAction | None, int]:
    """Write the rows of parts into one new part; returns its action (None when no row is left) and the rows dropped."""
    from harness.store.parts import PartWriter
    from harness.store.rows import new_id

    folder = Path(files[0]).parent
    dropped = 0
    with PartWriter(table.path, table.spec, str(folder / f"part-{new_id()}.parquet")) as part:
        for file in files:
            rows = table.read_files([file])
            kept = keep(rows) if keep is not None else rows
            dropped += rows.num_rows - kept.num_rows
            part.write(kept.select([name for name in kept.column_names if name != table.spec.partition]))
    if part.rows == 0:
        table.discard([part.name])
        return None, dropped
    values: dict[str, str | None] = {}
    if table.spec.partition is not None:
        values = {table.spec.partition: folder.name.split("=", 1)[1]}
    return part.action(values), dropped


def clean(table: Table, retention: float) -> tuple[int, int, int]:
    """Checkpoint the log and delete superseded parts and log files older than ``retention`` seconds.

    Returns:
        Files deleted, their bytes, and superseded files kept.
    """
    table.refresh()
    live = set(table.files())
    superseded = set(table.superseded())
    candidates = [
        (path, _patience(path, retention) if name_in(table.path, path) in superseded else max(retention, QUIET_SECONDS))
        for path in table.path.rglob("part-*.parquet")
        if name_in(table.path, path) not in live
    ]
    if table.version > 0:
        table.checkpoint()
    candidates += [(path, retention) for path in _old_log(table)]
    deleted = nbytes = 0
    for path, age in candidates:
        size = _delete(path, age)
        if size is not None:
            deleted, nbytes = deleted + 1, nbytes + size
    return deleted, nbytes, len(candidates) - deleted


def _touch(path: Place) -> None:
    """Set a file's time to now; objects have none but that of their writing."""
    if isinstance(path, Path):
        os.utime(path)


def _patience(path: Place, retention: float) -> float:
    """Return the age at which a superseded part goes. An object's age does not say since when it is superseded: while
    others are at work it stays."""
    return retention if isinstance(path, Path) or not retention else math.inf


def _old_log(table: Table) -> list[Place]:
    """Return the log files that the newest checkpoint makes superfluous, oldest first.

    A checkpoint is only ever deleted when a newer one lies beside it, so that there is always a complete one.
    """
    from harness.store.tables import newest_checkpoint

    newest, found = newest_checkpoint(table.path), []
    for path in (table.path / "_delta_log").iterdir():
        number = path.name.split(".", 1)[0]
        if number.isdigit() and int(number) < newest:
            found.append(path)
    return sorted(found)


def _delete(path: Place, age: float) -> int | None:
    """Delete a file at least ``age`` seconds old; return its size, or None when it stays."""
    try:
        state = path.stat()
        if time.time() - state.st_mtime < age:
            return None
        path.unlink()
    except OSError:
        return None
    return state.st_size


def _drop_drafts(store: Store) -> None:
    for path in store.artifacts.drafts():
        _delete(path, DRAFT_SECONDS)
