"""One Delta table: creation, versions, conflicts, failing disks."""

from __future__ import annotations

import multiprocessing
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from harness.store import NewerStoreError, NoStoreError, Store, StoreError, StoreWriteError, compaction, tables
from harness.store.parts import reason
from harness.store.schemas import CURVES, LAYOUT, SCHEMA_VERSION, TABLES, VERSION_PROPERTY
from harness.store.tables import Conflict, Table
from tests.store.samples import key_of, one


def points(*steps: int) -> pa.Table:
    rows = [{"key": "k", "attempt": "a", "name": "loss", "step": s, "value": s / 2, "commit_id": "c"} for s in steps]
    return pa.Table.from_pylist(rows, schema=CURVES.schema)


def steps(table: Table) -> list[int]:
    return table.read(["step"]).column("step").to_pylist()


def open_many(results: str, answers) -> None:
    store = Store.open(results, create=True)
    store.commit(one(time.monotonic_ns(), 1.0))
    answers.put(len(store.refresh()))


def test_processes_that_create_the_store_at_once(results: Path) -> None:
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    started = [context.Process(target=open_many, args=(str(results), answers)) for _ in range(4)]
    for process in started:
        process.start()
    assert max(answers.get(timeout=60) for _ in started) == 4
    for process in started:
        process.join()
    assert len(Store.open(results).records()) == 4
    for name in TABLES:
        creations = [entry for entry in DeltaTable(str(results / "store" / name)).history() if "CREATE" in str(entry)]
        assert len(creations) == 1
    assert not list((results / "store").glob(".*"))


def test_opening_what_is_not_there(results: Path) -> None:
    assert not Store.exists(results)
    with pytest.raises(NoStoreError, match="no results under"):
        Store.open(results)
    assert not results.exists()


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file")
    with pytest.raises(StoreWriteError, match="cannot create the store"):
        Store.open(tmp_path / "results", create=True)


def test_a_newer_schema_is_refused(store: Store, results: Path) -> None:
    path = results / "store" / "curves"
    table = DeltaTable(str(path))
    table.alter.set_table_properties({VERSION_PROPERTY: str(SCHEMA_VERSION + 1)}, raise_if_not_exists=False)
    with pytest.raises(NewerStoreError, match=f"has schema version {SCHEMA_VERSION + 1}.*upgrade"):
        Store.open(results).table("curves")


def test_a_part_from_before_a_column_existed(store: Store) -> None:
    table = store.table("curves")
    add = table.write_part(points(1))
    pq.write_table(points(1).drop_columns(["value"]), table.path / add.path)
    table.transact([add], "w")
    table.append(points(2), "w")
    assert table.read(["step", "value"]).to_pylist() == [{"step": 1, "value": None}, {"step": 2, "value": 1.0}]


def test_names_with_spaces_and_letters_of_all_kinds(tmp_path: Path) -> None:
    results = tmp_path / "mes résultats #1 + ü"
    store = Store.open(results, create=True)
    store.commit(one("a"))
    store.write_trials("s", {"trial_id": ["t"], "key": [key_of("a")]})
    store.commit(one("b"))
    store.compact()
    assert len(Store.open(results).records()) == 2
    assert Store.open(results).trials("s").num_rows == 1
    assert all(path.exists() for paths in store.parts().values() for path in paths)


def test_a_percent_sign_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="must not have '%'"):
        Store.open(tmp_path / "100%20", create=True)


def test_a_relative_directory_survives_a_change_of_directory(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = Store.open("results", create=True)
    monkeypatch.chdir("/")
    store.commit(one("a"))
    assert len(Store.open(tmp_path / "results").records()) == 1


def test_appends_from_stale_versions_all_stand(store: Store, results: Path) -> None:
    one_table, other = store.table("curves"), Store.open(results).table("curves")
    for step in range(3):
        assert one_table.append(points(step), "w")
        assert other.append(points(step + 10), "w")
    assert sorted(steps(one_table)) == [0, 1, 2, 10, 11, 12] == sorted(steps(other))


def test_rewrites_from_a_stale_version_fail_instead_of_doubling(store: Store, results: Path) -> None:
    one_table, other = store.table("curves"), Store.open(results).table("curves")
    one_table.append(points(1), "w")
    one_table.append(points(2), "w")
    other.refresh()
    old, layout = other.files(), other.number(LAYOUT)
    one_table.replace(one_table.files(), [one_table.write_part(points(1, 2))], "w", one_table.number(LAYOUT))
    with pytest.raises(Conflict):
        other.replace(old, [other.write_part(points(1, 2))], "w", layout)
    assert steps(other) == [1, 2]


def test_a_rewrite_keeps_what_was_appended_meanwhile(store: Store, results: Path) -> None:
    one_table, other = store.table("curves"), Store.open(results).table("curves")
    one_table.append(points(1), "w")
    one_table.append(points(2), "w")
    old, layout = one_table.files(), one_table.number(LAYOUT)
    other.append(points(3), "w")
    one_table.replace(old, [one_table.write_part(points(1, 2))], "w", layout)
    assert sorted(steps(other)) == [1, 2, 3]
    stale = Table.open(results / "store", "curves")
    one_table.append(points(4), "w")
    stale.append(points(5), "w")
    assert sorted(steps(stale)) == [1, 2, 3, 4, 5]


def test_a_part_that_another_process_has_merged_is_left_to_it(store: Store, results: Path) -> None:
    """Listed before, gone when it is looked at: nothing is merged, nothing is lost, nothing is there twice."""
    ours, theirs = (Table.open(results / "store", "curves") for _ in range(2))
    for step in range(3):
        ours.append(points(step), "w")
    listed, layout = ours.files(), ours.number(LAYOUT)
    theirs.refresh()
    theirs.replace(theirs.files(), [theirs.write_part(points(0, 1, 2))], "other", layout)
    ours.refresh()
    with pytest.raises(FileNotFoundError):
        ours.size(listed[0])
    assert compaction._rewrite(store, ours, listed, layout, None) == 0
    assert sorted(steps(ours)) == [0, 1, 2]


def test_a_checkpoint_is_written_again_after_the_log_was_cleaned_meanwhile(store: Store, monkeypatch) -> None:
    """What the library reads for it may have been replaced by a newer one that is older than the version seen."""
    table, real, failed = store.table("curves"), DeltaTable.create_checkpoint, []

    def first_fails(self: DeltaTable) -> None:
        if not failed:
            failed.append(True)
            raise DeltaError("_delta_log/00000000000000000053.checkpoint.parquet not found: No such file")
        real(self)

    table.append(points(1), "w")
    monkeypatch.setattr(DeltaTable, "create_checkpoint", first_fails)
    table.checkpoint()
    assert failed and tables.newest_checkpoint(table.path) == table.version


def test_a_checkpoint_that_cannot_be_written_is_one_sentence(store: Store, monkeypatch) -> None:
    def fails(self: DeltaTable) -> None:
        raise OSError(28, "No space left on device")

    table = store.table("curves")
    table.append(points(1), "w")
    monkeypatch.setattr(DeltaTable, "create_checkpoint", fails)
    monkeypatch.setattr(tables, "_pause", lambda attempt: None)
    with pytest.raises(StoreWriteError, match="No space left"):
        table.checkpoint()


def test_numbers_are_compared_and_raised(store: Store, results: Path) -> None:
    one_table, other = store.table("curves"), Store.open(results).table("curves")
    one_table.append(points(1), "w", {LAYOUT: 0})
    assert one_table.number(LAYOUT) == 1
    with pytest.raises(Conflict):
        other.append(points(2), "w", {LAYOUT: 0})
    assert steps(other) == [1]
    assert len(list(other.path.glob("part-*"))) == 1
    other.append(points(2), "w", {LAYOUT: 1})
    assert other.number(LAYOUT) == 2


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), OSError("Generic error\n  ↳ disk on fire\n")]
)
def test_an_error_before_the_commit_leaves_nothing(store: Store, monkeypatch, error: OSError) -> None:
    table = store.table("curves")
    table.append(points(1), "w")

    def fail(*arguments):
        raise error

    monkeypatch.setattr(table, "_commit", fail)
    with pytest.raises(StoreWriteError, match=r"(No space left on device|disk on fire).*intact"):
        table.append(points(2), "w")
    monkeypatch.undo()
    assert steps(table) == [1]
    assert len(list(table.path.glob("part-*"))) == 1


def test_an_error_after_the_commit_is_recognised(store: Store, monkeypatch) -> None:
    table = store.table("curves")
    commit = table._commit

    def fail_late(*arguments):
        commit(*arguments)
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(table, "_commit", fail_late)
    assert table.append(points(1), "w")
    assert steps(table) == [1]


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_after_the_commit_deletes_nothing(store: Store, results: Path, monkeypatch, interrupt) -> None:
    commit = Table._commit

    def interrupted(table, *arguments):
        commit(table, *arguments)
        raise interrupt

    monkeypatch.setattr(Table, "_commit", interrupted)
    with pytest.raises(interrupt):
        store.table("curves").append(points(1), "w")
    with pytest.raises(interrupt):
        store.write_trials("s", {"trial_id": ["t"], "key": [key_of("a")]})
    monkeypatch.undo()
    fresh = Store.open(results)
    assert steps(fresh.table("curves")) == [1] and fresh.trials("s").num_rows == 1
    assert [finding for finding in fresh.verify() if finding.severity == "error"] == []


def test_a_part_cleaned_away_while_its_writer_slept(store: Store, monkeypatch) -> None:
    table = store.table("curves")
    commit = table._commit

    def slow(actions, *more):
        commit(actions, *more)
        (table.path / actions[0].path).unlink()

    monkeypatch.setattr(table, "_commit", slow)
    table.append(points(1, 2), "w")
    monkeypatch.undo()
    assert steps(table) == [1, 2]


def test_a_broken_part_is_named(store: Store) -> None:
    table = store.table("curves")
    table.append(points(1), "w")
    (table.path / table.files()[0]).write_bytes(b"PAR1 nonsense")
    with pytest.raises(StoreError, match="curves' cannot be read"):
        table.read()


def test_a_missing_part_is_no_endless_loop(store: Store) -> None:
    table = store.table("curves")
    table.append(points(1), "w")
    (table.path / table.files()[0]).unlink()
    with pytest.raises(StoreError, match="parts that do not exist"):
        table.read()


def test_reason_is_one_plain_line() -> None:
    assert reason(OSError(28, "x")) == "No space left on device"
    assert reason(OSError("Generic\n \x1b[31m↳\x1b[0m Unable\n \x1b[31m↳\x1b[0m File too large\n")) == "File too large"
    assert reason(ValueError()) == "ValueError"


@pytest.mark.parametrize("odd", ["%41", "a\\b", "a\tb", "a\nb", "a\x7fb", "a\udcffb"])
def test_a_directory_whose_name_would_be_misread_is_refused_before_anything_is_made(tmp_path: Path, odd: str) -> None:
    with pytest.raises(StoreError, match=r"must not have .* in its path: Delta Lake misreads it") as caught:
        Store.open(tmp_path / odd / "results", create=True)
    assert "\n" not in str(caught.value) and list(tmp_path.iterdir()) == []


def test_a_results_directory_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for open_ in (Store.exists, Store.open):
        with pytest.raises(StoreError, match="file' is a file, not a results directory"):
            open_(tmp_path / "file")
    assert not Store.exists(tmp_path / "nowhere") and not Store.exists(tmp_path)
