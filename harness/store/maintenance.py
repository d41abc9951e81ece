"""What is in a store, and whether it is whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from harness.store import tensorfile
from harness.store.errors import StoreError
from harness.store.places import name_in
from harness.store.rows import Finding

if TYPE_CHECKING:
    from harness.store.places import Place
    from harness.store.records import Records
    from harness.store.store import Store
    from harness.store.tables import Table

_MEASURED = ("key", "attempt", "task", "split", "metric", "step")


def parts(store: Store) -> dict[str, list[Place]]:
    """Return the live Parquet files of every table; see :meth:`harness.store.Store.parts`."""
    from harness.store.schemas import TABLES

    found = {}
    for name in TABLES:
        table = store.table(name)
        table.refresh()
        found[name] = [table.path / file for file in table.files()]
    return found


def verify(store: Store, repair: bool = False) -> list[Finding]:
    """Check everything; see :meth:`harness.store.Store.verify`."""
    from harness.store.schemas import TABLES

    findings: list[Finding] = []
    for name in TABLES:
        findings += _check_table(store, name)
    if any(finding.severity == "error" for finding in findings):
        return findings  # nothing else can be judged over unreadable tables
    records = store.refresh()
    findings += _check_winners(store)
    findings += _check_measurements(store, records)
    damaged = list(_check_artifacts(store, records))
    findings += damaged
    findings += _check_orphans(store, records)
    if repair:
        store.withdraw([finding.key for finding in damaged if finding.key is not None], "damaged")
    return findings


def _check_table(store: Store, name: str) -> Iterator[Finding]:
    """Open a table and read every column of every live part."""
    try:
        table = store.table(name)
        table.refresh()
    except StoreError as error:
        yield Finding("error", name, str(error))
        return
    for file in table.files():
        where = f"{name}/{file}"
        try:
            rows = table.read_files([file]).num_rows
        except FileNotFoundError:
            if _still_live(table, file):
                yield Finding("error", where, "the part is missing")
        except StoreError as error:
            yield Finding("error", where, str(error))
        else:
            stated = table.count(file)
            if rows != stated:
                yield Finding("error", where, f"the part holds {rows} rows where the log says {stated}")
    live = set(table.files())
    found = sorted(name_in(table.path, path) for path in table.path.rglob("part-*.parquet"))
    for file in found:
        if file not in live:
            where = f"{name}/{file.rpartition('/')[2]}"
            yield Finding("note", where, "superseded or never committed; compaction deletes it in time")


def _still_live(table: Table, file: str) -> bool:
    table.refresh()
    return file in table.files()


def _check_winners(store: Store) -> Iterator[Finding]:
    """No key may have two records that stand."""
    import pyarrow.compute as pc

    rows = store.table("records").read(["key", "attempt", "status"])
    withdrawn = pc.equal(rows.column("status"), "withdrawn")
    gone = rows.filter(withdrawn).column("attempt").combine_chunks()
    live = rows.filter(pc.invert(pc.or_(withdrawn, pc.is_in(rows.column("attempt"), value_set=gone))))
    for entry in pc.value_counts(live.column("key")).to_pylist():
        if entry["counts"] > 1:
            yield Finding("error", "records", f"the key has {entry['counts']} standing records", entry["values"])


def _check_measurements(store: Store, records: Records) -> Iterator[Finding]:
    """No visible measurement may occur twice."""
    rows = store.table("measurements").read([*_MEASURED, "commit_id"])
    for entry in rows.group_by([*_MEASURED, "commit_id"]).aggregate([([], "count_all")]).to_pylist():
        if entry["count_all"] > 1 and records.field(entry["key"], "commit_id") == entry["commit_id"]:
            what = f"{entry['metric']} on {entry['task']}/{entry['split']} is measured {entry['count_all']} times"
            yield Finding("error", "measurements", what, entry["key"])


def _check_artifacts(store: Store, records: Records) -> Iterator[Finding]:
    """Every artifact that a record names must be there with the recorded bytes."""
    for key in records:
        ref = records.artifact(key)
        if ref is None:
            continue
        try:
            found = store.artifacts.digest_of(ref)
        except tensorfile.Damaged as error:
            yield Finding("error", ref.location, f"the artifact is damaged: {error}", key)
        else:
            if found != ref.sha256:
                yield Finding("error", ref.location, "the artifact is not the one that was recorded", key)


def _check_orphans(store: Store, records: Records) -> Iterator[Finding]:
    named = set(records.column("location"))
    for name in sorted(name_in(store.root, path) for path in store.artifacts.files()):
        if name not in named:
            yield Finding("note", name, "no record names this file; prune deletes it in time")
    for name in sorted(name_in(store.root, path) for path in store.artifacts.drafts()):
        yield Finding("note", name, "unpublished; compaction deletes it in time")
