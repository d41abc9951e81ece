"""The index of winning records: always equal to the definition, and read piecemeal."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from harness.store import ArtifactRef, Group, Records, StageRecord, Store, StoreError, new_id
from harness.store.records import winning
from tests.store.samples import key_of, one, record


def by_definition(store: Store) -> dict[str, str]:
    """Return key -> winning attempt, from all rows, in the plainest way."""
    rows = store.table("records").read(["key", "attempt", "status", "seq"]).to_pylist()
    gone = {row["attempt"] for row in rows if row["status"] == "withdrawn"}
    best: dict[str, dict] = {}
    for row in rows:
        if row["status"] != "withdrawn" and row["attempt"] not in gone:
            best[row["key"]] = max(row, best.get(row["key"], row), key=lambda one: one["seq"])
    return {key: row["attempt"] for key, row in best.items()}


def test_an_empty_index() -> None:
    records = Records()
    assert len(records) == 0 and list(records) == [] and records.column("kind") == [] and records.column("inputs") == []
    assert records.get("x") is None and records.status("x") is None and records.attempt("x") is None
    assert records.field("x", "kind") is None and records.artifact("x") is None and records.flags("x") == ()
    with pytest.raises(KeyError):
        records["x"]


def test_all_columns_by_all_ways(store: Store) -> None:
    ref = ArtifactRef("artifacts/aa/b.safetensors", key_of("a"), "s" * 64, 12)
    row = record(
        "a", version=3, status="diverged", flags=("x", "y"), value="[1]", artifact=ref, keep="cache", code="c0de",
        preimage='{"é": 1}', inputs='{"k": "s"}', seconds=1.5, memory_bytes=2**40, device="cuda:0", threads=2, width=8,
        precision="bfloat16", provenance="p", writer="me",
    )  # fmt: skip
    store.commit(Group([row, record("b")]))
    for records in (store.records(), Store.open(store.results).records()):
        assert records[row.key] == row
        assert (records.status(row.key), records.code(row.key), records.value(row.key)) == ("diverged", "c0de", "[1]")
        assert records.artifact(row.key) == ref and records.flags(row.key) == ("x", "y")
        assert records.field(row.key, "preimage") == '{"é": 1}'
        assert records.artifact(key_of("b")) is None
        assert dict(zip(records, records.column("inputs"), strict=True)) == {row.key: '{"k": "s"}', key_of("b"): "{}"}
        assert sorted(records.values(), key=lambda r: r.key) == sorted((row, records[key_of("b")]), key=lambda r: r.key)


def test_only_new_parts_are_read(store: Store, results: Path, monkeypatch) -> None:
    for name in range(5):
        store.commit(one(name))
    reader = Store.open(results)
    reader.records()
    store.commit(one("new"))
    table, seen = reader.table("records"), []
    read = table.read_files
    monkeypatch.setattr(table, "read_files", lambda files, *more: seen.append(files) or read(files, *more))
    reader.refresh()
    reader.refresh()
    assert [len(files) for files in seen] == [1]
    assert key_of("new") in reader.records()


def test_random_histories_agree_with_the_definition(store: Store, results: Path) -> None:
    rng = random.Random(1)
    readers = [store, Store.open(results), Store.open(results)]
    for _ in range(40):
        actor = rng.choice(readers)
        move = rng.random()
        names = rng.sample(range(12), 3)
        if move < 0.55:
            actor.commit(Group([record(name) for name in names]))
        elif move < 0.85:
            actor.withdraw([key_of(name) for name in names], "stale")
        else:
            actor.compact(force=rng.random() < 0.5)
        if rng.random() < 0.3:
            actor.refresh()
    expected = by_definition(store)
    for reader in (*readers, Store.open(results)):
        assert {key: row.attempt for key, row in reader.refresh().items()} == expected
    rows = winning(store.table("records").read())
    assert dict(zip(rows.column("key").to_pylist(), rows.column("attempt").to_pylist(), strict=True)) == expected


def test_a_withdrawal_counts_wherever_it_is_read(store: Store) -> None:
    from harness.store.convert import records_table

    row, kept = record("a"), record("b")
    gone = StageRecord(row.key, row.kind, attempt=row.attempt, status="withdrawn")
    store.table("records").append(records_table([gone, kept, row], "w", 1, "c"), "w")
    assert set(store.records()) == {kept.key}
    assert winning(store.table("records").read()).column("key").to_pylist() == [kept.key]


def test_of_two_standing_records_the_newer_commit_counts(store: Store) -> None:
    """Cannot arise by our own protocol, but must not make rows appear twice."""
    from harness.store.convert import records_table

    rows = [StageRecord(key_of("a"), "k", attempt=new_id()) for _ in range(3)]
    for row, seq in zip(rows, (2, 3, 1), strict=True):
        store.table("records").append(records_table([row], "w", seq, "c"), "w")
    assert store.records().attempt(key_of("a")) == rows[1].attempt
    assert winning(store.table("records").read()).column("attempt").to_pylist() == [rows[1].attempt]


def test_long_texts_after_a_compaction_by_another(store: Store, results: Path) -> None:
    for name in range(4):
        store.commit(one(name, preimage=f'"{name}"'))
    reader = Store.open(results)
    reader.records()
    store.compact(force=True)
    assert [reader.records()[key_of(name)].preimage for name in range(4)] == ['"0"', '"1"', '"2"', '"3"']


def test_a_part_that_was_deleted_by_hand(store: Store, results: Path) -> None:
    store.commit(one("a"))
    store.parts()["records"][0].unlink()
    with pytest.raises(StoreError, match="changed by hand"):
        Store.open(results).records()


def test_importing_the_store_is_cheap() -> None:
    import subprocess
    import sys

    code = "import sys, harness.store; print([m for m in ('pyarrow','deltalake','torch','pandas') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_a_view_of_one_record_does_not_cost_a_scan(store: Store) -> None:
    store.commit(Group([record(name, preimage="x" * 500) for name in range(5000)]))
    records = store.records()
    records[key_of(0)]
    start = time.process_time()
    for name in range(200):
        assert records[key_of(name)].key == key_of(name)
    assert time.process_time() - start < 1.0
