"""The long table: exactly the trials of the newest plan, with what is stored under their keys."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.csv
import pyarrow.parquet
import pytest

from harness.store import AttemptRow, Group, NoStoreError, Store, StoreError, export, outcomes, trial_states
from harness.store.long_table import OUTCOME_COLUMNS, STATE_COLUMNS
from tests.store.samples import key_of, measured, one, record


def plan(store: Store, study: str, trials: dict[str, object], **columns: list) -> None:
    """Plan trials: id -> name of the terminal stage, or None with a reason when excluded."""
    n = len(trials)
    store.write_trials(
        study,
        {
            "trial_id": list(trials),
            "role": ["outcome"] * n,
            "source": [f"source-{name}" for name in trials],
            "target": ["digits"] * n,
            "backbone": ["mlp"] * n,
            "method": ["linear_probe"] * n,
            "seed": ["0"] * n,
            "key": [None if name is None else key_of(name) for name in trials.values()],
            "reason": ["same task" if name is None else None for name in trials.values()],
            **columns,
        },
    )


def failed(name: object, status: str = "failed", reason: str = "it broke", **fields: object) -> AttemptRow:
    return AttemptRow(key_of(name), "evaluate", "f" * 32, status, reason, **fields)  # type: ignore[arg-type]


def seen(results: Path, *columns: str) -> list[tuple]:
    rows = outcomes(results).to_pylist()
    return sorted(tuple(row[name] for name in columns) for row in rows)


def states(results: Path) -> dict[str, tuple[str, str | None]]:
    return {row["trial_id"]: (row["state"], row["reason"]) for row in trial_states(results).to_pylist()}


def test_every_state_a_trial_can_have(store: Store, results: Path) -> None:
    names = ("done", "failed", "skipped", "diverged", "pending", "recovered", "silent", "oom")
    plan(store, "s", {name: name for name in names} | {"excluded": None})
    store.commit(one("done", 0.5))
    store.commit(Group(attempts=[failed("failed"), failed("skipped", "skipped", "its source failed")]))
    nan = record("diverged", status="diverged", seconds=2.0)
    store.commit(Group(records=[nan], attempts=[failed("diverged", "diverged", "loss is NaN at step 3")]))
    store.commit(Group(attempts=[failed("recovered", "oom"), failed("oom", "oom", "no memory", seconds=9.0)]))
    store.commit(one("recovered", 0.25))
    store.commit(Group(records=[record("silent")]))
    assert states(results) == {
        "done": ("done", None),
        "failed": ("failed", "it broke"),
        "skipped": ("skipped", "its source failed"),
        "diverged": ("diverged", "loss is NaN at step 3"),
        "pending": ("pending", None),
        "recovered": ("done", None),
        "silent": ("done", None),
        "oom": ("failed", "no memory"),
        "excluded": ("excluded", "same task"),
    }
    assert seen(results, "trial_id", "status", "reason") == [
        ("diverged", "diverged", "loss is NaN at step 3"),
        ("done", "ok", None),
        ("failed", "failed", "it broke"),
        ("oom", "oom", "no memory"),
        ("recovered", "ok", None),
        ("silent", "ok", None),
        ("skipped", "skipped", "its source failed"),
    ]
    values = {row["trial_id"]: (row["value"], row["seconds"]) for row in outcomes(results).to_pylist()}
    assert values["done"] == (0.5, None) and values["recovered"] == (0.25, None)
    assert values["oom"] == (None, 9.0) and values["diverged"] == (None, 2.0) and values["silent"] == (None, None)


def test_a_divergence_without_a_note_is_explained(store: Store, results: Path) -> None:
    plan(store, "s", {"a": "a"})
    store.commit(Group(records=[record("a", status="diverged")], attempts=[failed("a", "oom", "earlier")]))
    assert states(results) == {"a": ("diverged", "the loss became NaN or infinite")}


def test_all_measurements_of_a_trial_and_of_trials_that_share_a_stage(store: Store, results: Path) -> None:
    plan(store, "s", {"one": "shared", "two": "shared", "three": "own"})
    row = record("shared", flags=("not_trained", "early"), device="cpu", threads=1, width=8, precision="float32")
    numbers = [
        measured(row, math.nan, n_eval=100),
        measured(row, math.inf, metric="loss", step=3, flags=("early", "short")),
    ]
    store.commit(Group([row], numbers))
    store.commit(one("own", 1.0))
    found = seen(results, "trial_id", "metric", "n_eval", "step", "flags", "device", "width")
    assert found == [
        ("one", "accuracy", 100, None, "not_trained,early", "cpu", 8),
        ("one", "loss", None, 3, "not_trained,early,short", "cpu", 8),
        ("three", "accuracy", None, None, "", None, None),
        ("two", "accuracy", 100, None, "not_trained,early", "cpu", 8),
        ("two", "loss", None, 3, "not_trained,early,short", "cpu", 8),
    ]
    assert [repr(row["value"]) for row in outcomes(results).to_pylist()] == ["nan", "inf", "nan", "inf", "1.0"]


def test_measurements_find_their_record_in_any_order(store: Store, results: Path) -> None:
    rows = {name: record(name) for name in "abcd"}
    plan(store, "s", {name: name for name in "cadb"})
    numbers = [measured(rows[name], value, metric) for metric, name, value in (
        ("m", "d", 4.0), ("m", "a", 1.0), ("n", "d", 40.0), ("m", "c", 3.0), ("n", "a", 10.0),
    )]  # fmt: skip
    store.commit(Group(list(rows.values()), numbers))
    assert [(row["trial_id"], row["metric"], row["value"]) for row in outcomes(results).to_pylist()] == [
        ("c", "m", 3.0), ("a", "m", 1.0), ("a", "n", 10.0), ("d", "m", 4.0), ("d", "n", 40.0), ("b", None, None),
    ]  # fmt: skip


def test_the_newest_plan_decides_which_trials_exist(store: Store, results: Path) -> None:
    for name in ("a", "b", "c"):
        store.commit(one(name))
    plan(store, "s", {"a": "a", "b": "b"}, plan=["1", "1"])
    plan(store, "other", {"x": "a"})
    assert seen(results, "study", "trial_id") == [("other", "x"), ("s", "a"), ("s", "b")]
    plan(store, "s", {"c": "c"}, plan=["2"])
    assert seen(results, "study", "trial_id") == [("other", "x"), ("s", "c")]
    assert outcomes(results, "s").column("trial_id").to_pylist() == ["c"]
    assert store.studies() == ["other", "s"]
    store.compact(force=True)
    assert seen(results, "study", "trial_id") == [("other", "x"), ("s", "c")]


def test_the_same_plan_is_not_written_again(store: Store) -> None:
    columns = {"trial_id": ["t"], "key": [key_of("a")], "plan": ["p"]}
    assert store.write_trials("s", columns, stages=["k1", key_of("a")])
    version = store.table("trials").version
    assert not store.write_trials("s", columns, stages=[key_of("a"), "k1"])
    assert store.table("trials").version == version
    assert store.write_trials("s", columns, stages=["k2"])
    assert store.write_trials("s", columns | {"plan": ["q"]})


def test_a_study_whose_plan_is_empty(store: Store, results: Path) -> None:
    plan(store, "s", {"a": "a"})
    assert store.write_trials("s", {"trial_id": []})
    assert store.trials().num_rows == 0
    assert outcomes(results).num_rows == 0 and outcomes(results).column_names == list(OUTCOME_COLUMNS)


def test_columns_and_their_types(store: Store, results: Path) -> None:
    params = [json.dumps({"shots": 5, "value": "x", "lr": 0.1}), json.dumps({"shots": "all"})]
    plan(store, "s", {"a": "a", "b": "b"}, params=params, source_seed=["0+1", "1"])
    store.commit(one("a"))
    store.commit(one("b"))
    table = outcomes(results)
    at = OUTCOME_COLUMNS.index("task")
    expected = [*OUTCOME_COLUMNS[:at], "shots", "axis_value", "lr", *OUTCOME_COLUMNS[at:]]
    assert table.column_names == expected
    assert table.column("shots").to_pylist() == ["5", "all"] and table.column("axis_value").to_pylist() == ["x", None]
    assert table.column("seed").to_pylist() == [0, 0] and table.column("source_seed").to_pylist() == ["0+1", "1"]
    assert set(STATE_COLUMNS) < set(trial_states(results).column_names)


def test_a_failure_from_before_a_record_that_was_taken_back_is_forgotten(store: Store, results: Path) -> None:
    plan(store, "s", {"a": "a"})
    early = datetime.now(UTC) - timedelta(hours=1)
    store.commit(Group(attempts=[failed("a", finished_at=early)]))
    store.commit(one("a"))
    store.withdraw([key_of("a")], "stale")
    assert states(results) == {"a": ("pending", None)}
    store.commit(Group(attempts=[failed("a", "timeout", "too slow")]))
    assert states(results) == {"a": ("failed", "too slow")}


def test_the_newest_failure_counts(store: Store, results: Path) -> None:
    plan(store, "s", {"a": "a"})
    now = datetime.now(UTC)
    rows = [failed("a", "crashed", str(i), finished_at=now - timedelta(seconds=i)) for i in (2, 0, 1)]
    store.commit(
        Group(attempts=[*rows, failed("a", "duplicate", "no failure", finished_at=now + timedelta(seconds=9))])
    )
    assert states(results) == {"a": ("failed", "0")}


def test_unknown_studies_and_stores(store: Store, results: Path, tmp_path: Path) -> None:
    plan(store, "quickstart", {"a": "a"})
    with pytest.raises(StoreError, match=r"study 'quikstart'.*did you mean 'quickstart'"):
        outcomes(results, "quikstart")
    with pytest.raises(NoStoreError):
        trial_states(tmp_path / "nowhere")
    with pytest.raises(StoreError, match=r"no column 'sauce'.*'source'"):
        store.write_trials("s", {"trial_id": ["t"], "sauce": ["x"]})
    with pytest.raises(StoreError, match="letters, digits"):
        store.write_trials("../x", {"trial_id": ["t"]})


def test_export_writes_all_or_nothing(store: Store, results: Path, tmp_path: Path, monkeypatch) -> None:
    plan(store, "s", {"a": "a", 'ü, "b"': "b"})
    store.commit(one("a", 0.1 + 0.2))
    store.commit(one("b", math.nan))
    assert export(results, "s", tmp_path / "new" / "o.parquet") == 2
    assert pyarrow.parquet.read_table(tmp_path / "new" / "o.parquet").equals(outcomes(results, "s")) is False  # NaN
    assert pyarrow.parquet.read_table(tmp_path / "new" / "o.parquet").schema == outcomes(results, "s").schema
    assert export(store, None, str(tmp_path / "o.csv")) == 2
    back = pyarrow.csv.read_csv(tmp_path / "o.csv")
    assert back.column("trial_id").to_pylist() == ["a", 'ü, "b"'] and back.column("value")[0].as_py() == 0.1 + 0.2
    with pytest.raises(StoreError, match=r"\.parquet or \.csv"):
        export(results, "s", tmp_path / "o.xlsx")
    before = (tmp_path / "o.csv").read_bytes()

    def fail(table, path: Path) -> None:
        path.write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pyarrow.csv, "write_csv", fail)
    with pytest.raises(StoreError, match="No space left"):
        export(results, "s", tmp_path / "o.csv")
    assert (tmp_path / "o.csv").read_bytes() == before and len(list(tmp_path.glob("*o.csv*"))) == 1


@pytest.mark.parametrize("name", ["out.csv", "out.parquet"])
def test_a_file_where_a_folder_should_be_is_told_by_the_name_that_was_given(
    store: Store, results: Path, tmp_path: Path, name: str
) -> None:
    plan(store, "s", {"a": "a"})
    (tmp_path / "taken").touch()
    with pytest.raises(StoreError) as caught:
        export(results, "s", tmp_path / "taken" / name)
    assert str(caught.value).startswith(f"'{tmp_path / 'taken' / name}' could not be written: ")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(StoreError, match=r"folder\.csv' could not be written: Is a directory"):
        export(results, "s", tmp_path / "folder.csv")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.csv", "results", "taken"]


def test_two_studies_that_share_a_trial_each_have_its_rows(store: Store, results: Path) -> None:
    for study in ("one", "two"):
        plan(store, study, {"t": "shared"}, params=[json.dumps({study: 1})])
    store.commit(one("shared", 0.75))
    rows = outcomes(results).to_pylist()
    assert [(row["study"], row["value"], row["one"], row["two"]) for row in rows] == [
        ("one", 0.75, 1, None),
        ("two", 0.75, None, 1),
    ]
    assert "two" not in outcomes(results, "one").column_names, "an axis of another study is no column"
