"""Plans: one per study, the newest; drivers that plan at once do not disturb each other."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from harness.store import Store, StoreError
from harness.store.trials import stage_keys
from tests.store.samples import key_of


def columns(*names: str) -> dict[str, list]:
    return {"trial_id": list(names), "key": [key_of(name) for name in names], "params": ['{"größe": 1}'] * len(names)}


def ids(store: Store, study: str | None = None) -> list[str]:
    return sorted(store.trials(study, ["trial_id"]).column("trial_id").to_pylist())


def test_columns_left_out_are_null(store: Store) -> None:
    store.write_trials("s", columns("a"))
    (row,) = store.trials("s").to_pylist()
    given = {"study": "s", "trial_id": "a", "key": key_of("a"), "params": '{"größe": 1}'}
    assert {name: value for name, value in row.items() if value is not None} == given


def test_tables_and_mappings_alike(store: Store) -> None:
    table = pa.table({"trial_id": pa.array(["a"]), "seed": pa.array([3]), "study": pa.array(["other"])})
    store.write_trials("s", table)
    assert store.trials("s", ["study", "seed"]).to_pylist() == [{"study": "s", "seed": "3"}]


def test_drivers_that_plan_different_studies_at_once(store: Store, results: Path) -> None:
    other = Store.open(results)
    for turn in range(4):
        store.write_trials("one", columns(f"a{turn}"))
        other.write_trials("two", columns(f"b{turn}", f"c{turn}"))
    for reader in (store, other, Store.open(results)):
        assert ids(reader) == ["a3", "b3", "c3"] and reader.studies() == ["one", "two"]


def test_the_later_of_two_plans_of_one_study_stands(store: Store, results: Path, monkeypatch) -> None:
    other, table = Store.open(results), store.table("trials")
    store.write_trials("s", columns("old"))
    write, pending = table.write_part, [1]

    def contested(rows, *more):
        if pending:
            pending.pop()
            other.write_trials("s", columns("meanwhile"))
        return write(rows, *more)

    monkeypatch.setattr(table, "write_part", contested)
    store.write_trials("s", columns("new"))
    assert ids(Store.open(results)) == ["new"]
    assert len(list((results / "store" / "trials").glob("study=s/*.parquet"))) == 3  # the loser's draft is gone


def test_keys_of_all_stages(store: Store) -> None:
    store.write_trials("s", columns("a", "b"), stages=[key_of("a"), key_of("train")])
    store.write_trials("t", columns("a"), stages=[key_of("a")])
    store.write_trials("u", columns("a"))
    assert stage_keys(store) == {"s": {key_of("train")}, "t": set()}
    store.write_trials("s", columns("a"), stages=[])
    store.compact()
    assert stage_keys(store) == {"s": set(), "t": set()}


@pytest.mark.parametrize("name", ["", "a b", "a/b", "ü", ".."])
def test_names_that_are_no_folder(store: Store, name: str) -> None:
    with pytest.raises(StoreError, match="study name"):
        store.write_trials(name, columns("a"))


def test_reading_before_any_plan(store: Store) -> None:
    assert store.trials().num_rows == 0 and store.studies() == [] and stage_keys(store) == {}
    with pytest.raises(StoreError, match="no results of study 's'"):
        store.trials("s")
