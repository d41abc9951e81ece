"""Compaction leaves the same rows in few files, whoever reads or writes meanwhile."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from deltalake import DeltaTable

import harness.store.compaction as compaction
from harness.store import Group, Store, outcomes
from harness.store.convert import measurements_table
from harness.store.drivers import QUIET_SECONDS, beat, leave, others_at_work
from tests.store.samples import key_of, measured, one, record


def on_disk(results: Path) -> list[Path]:
    return [path for path in (results / "store").rglob("*") if path.is_file()]


def parquet(results: Path, table: str) -> list[Path]:
    return list((results / "store" / table).glob("**/part-*.parquet"))


def content(results: Path, table: str) -> list[str]:
    return sorted(map(str, DeltaTable(str(results / "store" / table)).to_pyarrow_table().to_pylist()))


def test_a_finished_run_leaves_one_part_a_table(store: Store, results: Path) -> None:
    for name in range(30):
        store.commit(one(name))
    store.write_trials("s", {"trial_id": [str(i) for i in range(30)], "key": [key_of(i) for i in range(30)]})
    before = {name: content(results, name) for name in ("records", "measurements", "trials")}
    done = store.compact()
    assert {name: content(results, name) for name in before} == before
    assert (done.parts_before, done.parts_after, done.rows_dropped, done.files_kept) == (61, 3, 0, 0)
    assert [len(parquet(results, name)) for name in before] == [1, 1, 1]
    assert len(on_disk(results)) <= 3 * 4 + 4  # part, checkpoint, newest log entry, pointer; untouched tables one each
    again = store.compact()
    assert (again.parts_before, again.parts_after, again.rows_dropped) == (3, 3, 0)


def test_rows_that_no_record_names_are_dropped(store: Store, results: Path) -> None:
    store.commit(one("a"))
    lost = one("lost")
    store.table("measurements").append(measurements_table(lost.measurements, "c" * 32), "dead")
    ghost = [measured(record("a"), 0.9)]  # another attempt of a key that is won
    store.table("measurements").append(measurements_table(ghost, "d" * 32), "dead")
    assert [m.value for m in Store.open(results).measurements(key_of("a"))] == [0.5]
    assert store.compact().rows_dropped == 2
    assert len(content(results, "measurements")) == 1
    assert [m.value for m in Store.open(results).measurements(key_of("a"))] == [0.5]


def test_withdrawn_rows_are_dropped_and_stay_withdrawn(store: Store, results: Path) -> None:
    reader = Store.open(results)
    for name in "abc":
        store.commit(one(name))
    reader.records()
    store.withdraw([key_of("b")], "stale")
    assert store.compact().rows_dropped == 2  # the record and its measurement; its withdrawal is remembered
    assert store.compact().rows_dropped == 0
    assert set(reader.refresh()) == set(Store.open(results).records()) == {key_of("a"), key_of("c")}
    store.withdraw([key_of("a"), key_of("c")], "stale")
    store.compact(force=True)
    assert len(Store.open(results).records()) == 0 and len(parquet(results, "measurements")) == 0
    store.commit(one("a"))
    assert set(Store.open(results).records()) == {key_of("a")}


def test_while_another_driver_works_superseded_files_stay_for_a_while(store: Store, results: Path, monkeypatch) -> None:
    other = Store.open(results)
    for name in range(5):
        other.commit(one(name))
    old = set(parquet(results, "records"))
    assert store.compact().files_kept > 0
    assert old < set(parquet(results, "records")) and len(store.parts()["records"]) == 1
    later = time.time() + QUIET_SECONDS + 1
    monkeypatch.setattr(time, "time", lambda: later)
    store.compact()
    assert len(parquet(results, "records")) == 1
    assert len(Store.open(results).records()) == 5


def test_force_deletes_at_once(store: Store, results: Path) -> None:
    other = Store.open(results)
    for name in range(5):
        other.commit(one(name))
    store.compact(force=True)
    assert len(parquet(results, "records")) == 1


def test_parts_not_committed_yet_are_left_alone(store: Store, results: Path) -> None:
    table = Store.open(results).table("measurements")
    flying = table.write_part(measurements_table(one("a").measurements, "c"))
    store.commit(one("b"))
    store.compact(force=True)
    assert (table.path / flying.path).exists()
    os.utime(table.path / flying.path, (1, 1))
    store.compact()
    assert not (table.path / flying.path).exists()


def test_two_compactions_at_once_double_nothing(store: Store, results: Path, monkeypatch) -> None:
    for name in range(6):
        store.commit(one(name))
    other, merged = Store.open(results), compaction._merged
    pending = ["records", "measurements"]

    def contested(table, files, keep):
        if table.name in pending:
            pending.remove(table.name)
            other.compact(force=True)
        return merged(table, files, keep)

    monkeypatch.setattr(compaction, "_merged", contested)
    store.compact(force=True)
    assert not pending
    assert len(content(results, "records")) == 6 == len(content(results, "measurements"))
    assert [f for f in store.verify() if f.severity == "error"] == []


def test_a_long_run_is_merged_in_between(store: Store, results: Path, monkeypatch) -> None:
    monkeypatch.setattr(compaction, "LONG_LOG", 10)
    for name in range(35):
        store.commit(one(name))
        assert len(store.table("records").files()) <= 12
    assert len(Store.open(results).records()) == 35
    store.compact()
    assert len(parquet(results, "records")) == 1 == len(parquet(results, "measurements"))


def test_large_parts_are_not_rewritten(store: Store, monkeypatch) -> None:
    store.commit(Group([record(name, preimage=os.urandom(3000).hex()) for name in range(50)]))
    big = store.table("records").files()
    rewrite = compaction._rewrite
    monkeypatch.setattr(compaction, "_rewrite", lambda *arguments: rewrite(*arguments, 50_000))
    for name in "abc":
        store.commit(one(name))
    store.compact()
    assert set(big) < set(store.table("records").files()) and len(store.table("records").files()) == 2


def test_old_drafts_of_artifacts_go(store: Store, results: Path) -> None:
    folder = results / "store" / "artifacts" / "drafts"
    folder.mkdir(parents=True)
    (folder / "new").write_text("x")
    (folder / "old").write_text("x")
    os.utime(folder / "old", (1, 1))
    store.compact()
    assert [path.name for path in folder.iterdir()] == ["new"]


def test_the_newest_checkpoint_is_never_deleted(store: Store, results: Path, monkeypatch) -> None:
    """A process whose checkpoint failed, or that has seen a newer version since, must not delete that of another."""
    table = store.table("records")
    store.commit(one("a"))
    store.compact()
    store.commit(one("b"))
    table.refresh()
    monkeypatch.setattr(table, "checkpoint", lambda: None)
    compaction.clean(table, 0.0)
    assert set(Store.open(results).records()) == {key_of("a"), key_of("b")}


def test_a_pointer_set_back_to_a_deleted_checkpoint(store: Store, results: Path) -> None:
    pointer = results / "store" / "records" / "_delta_log" / "_last_checkpoint"
    store.commit(one("a"))
    store.compact()
    old = pointer.read_text()
    store.commit(one("b"))
    store.compact()
    pointer.write_text(old)
    assert set(Store.open(results).records()) == {key_of("a"), key_of("b")}
    Store.open(results).commit(one("c"))
    store.compact()
    assert set(Store.open(results).records()) == {key_of("a"), key_of("b"), key_of("c")}


def test_which_drivers_are_at_work(tmp_path: Path) -> None:
    assert not others_at_work(tmp_path, "me")
    beat(tmp_path, "me")
    beat(tmp_path, "me")
    assert not others_at_work(tmp_path, "me") and others_at_work(tmp_path, "you")
    leave(tmp_path, "me")
    leave(tmp_path, "me")
    assert not others_at_work(tmp_path, "you")
    for text, working in (("elsewhere 1", True), ("nonsense", True)):
        (tmp_path / "drivers" / "x").write_text(text)
        assert others_at_work(tmp_path, "me") is working
    os.utime(tmp_path / "drivers" / "x", (1, 1))
    assert not others_at_work(tmp_path, "me")


def test_a_driver_that_was_killed_is_recognised(store: Store, results: Path, other_driver) -> None:
    process = other_driver("endless", results, "x")
    process.stdout.readline()
    assert others_at_work(results / "store", store.writer)
    process.kill()
    process.wait()
    assert not others_at_work(results / "store", store.writer)
    assert list((results / "store" / "drivers").iterdir()) == []


@pytest.mark.slow
def test_readers_are_never_broken_by_compaction(store: Store, results: Path, other_driver) -> None:
    """Others commit and compact, deleting superseded files at once, while we read without pause."""
    store.write_trials(
        "s", {"trial_id": [str(i) for i in range(100)], "key": [key_of(f"fixed-{i}") for i in range(100)]}
    )
    group = Group()
    for i in range(100):
        fixed = one(f"fixed-{i}", i / 4)
        group.records += fixed.records
        group.measurements += fixed.measurements
    store.commit(group)
    drivers = [other_driver("upkeep", results, 6) for _ in range(2)]
    reads, seen = 0, 0
    while any(process.poll() is None for process in drivers):
        table = outcomes(results)
        assert table.column("value").to_pylist() == [i / 4 for i in range(100)]
        now = len(store.refresh())
        assert now >= seen
        reads, seen = reads + 1, now
    outputs = [process.communicate() for process in drivers]
    assert all(process.returncode == 0 for process in drivers), outputs
    assert reads > 5 and seen > 100
    assert len(Store.open(results).records()) == 100 + len({f"upkeep-{i}" for i in range(_most(outputs))})


def _most(outputs: list[tuple[str, str]]) -> int:
    return max(int(out.split()[-1]) for out, _ in outputs)
