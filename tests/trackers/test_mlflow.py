"""MLflow's database as SQL sees it, beside what the store holds."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from harness.store import Store
from harness.trackers import Tracker, export, open_tracker
from harness.trackers.to_mlflow import metric_names

from .conftest import CURVES, ENDED, STUDY, VALUES, trained

pytest.importorskip("mlflow")
pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")
pytestmark = pytest.mark.slow


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tracker:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return open_tracker("mlflow", STUDY, tmp_path)


def select(folder: Path, query: str) -> list[Any]:
    with sqlite3.connect(folder / "mlflow.db") as database:
        return database.execute(query).fetchall()


def active(folder: Path) -> list[tuple[str, str]]:
    """The identifiers and states of the runs that are not in the waste bin."""
    return sorted(
        select(folder, "select t.value, r.status from runs r join tags t on t.run_uuid = r.run_uuid "
                       "where t.key = 'harness.id' and r.lifecycle_stage = 'active'")
    )  # fmt: skip


def test_what_is_read_back_is_what_is_stored(store: Store, tmp_path: Path, opened: Tracker) -> None:
    store.commit(trained("b"))
    assert export(store, STUDY, opened) == 5
    assert select(tmp_path, "select name from experiments where name != 'Default'") == [(STUDY,)]
    curves = select(tmp_path, "select p.value, m.step, m.value, m.timestamp from metrics m join params p "
                              "on p.run_uuid = m.run_uuid and p.key = 'task' where m.key = 'train/loss'")  # fmt: skip
    stamp = int(ENDED.timestamp() * 1000)
    assert sorted(curves) == sorted(
        (f"digits_{name}", step, value, stamp) for name in "ab" for step, value in CURVES[name]
    )
    outcomes = select(tmp_path, "select p.value, m.key, m.value from metrics m join params p "
                                "on p.run_uuid = m.run_uuid and p.key = 'source'")  # fmt: skip
    assert sorted(outcomes) == [
        (f"digits_{name}", f"half_of_digits_ side_{name}_/test/accuracy", VALUES[name]) for name in "ab"
    ]
    assert sorted(status for _, status in active(tmp_path)) == ["FAILED", *["FINISHED"] * 4]


def test_again_doubles_nothing(store: Store, tmp_path: Path, opened: Tracker) -> None:
    export(store, STUDY, opened)
    once = active(tmp_path), select(tmp_path, "select count(*) from metrics")
    assert export(store, STUDY, open_tracker("mlflow", STUDY, tmp_path)) == 0
    assert (active(tmp_path), select(tmp_path, "select count(*) from metrics")) == once
    store.commit(trained("b"))
    assert export(store, STUDY, opened) == 2
    assert len({identifier for identifier, _ in active(tmp_path)}) == len(active(tmp_path)) == 5


@pytest.mark.parametrize("step", ["log_batch", "set_terminated"])
def test_a_run_that_a_crash_left_is_written_anew(
    store: Store, tmp_path: Path, opened: Any, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def dying(*arguments: object, **more: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(opened._client, step, dying)
        with pytest.raises(KeyboardInterrupt):
            export(store, STUDY, opened)
    assert [status for _, status in active(tmp_path)] == ["RUNNING"]
    assert export(store, STUDY, open_tracker("mlflow", STUDY, tmp_path)) == 3
    assert sorted(status for _, status in active(tmp_path)) == ["FAILED", "FINISHED", "FINISHED"]
    points = "select count(*) from metrics m join runs r on r.run_uuid = m.run_uuid where r.lifecycle_stage = 'active'"
    assert select(tmp_path, points) == [(4,)]


def test_names_that_mlflow_refuses_are_told_apart() -> None:
    assert metric_names(["a(b)", "a[b]", "a_b_", "train/loss", "a(b)"]) == {
        "a(b)": "a_b_", "a[b]": "a_b_ 2", "a_b_": "a_b_ 3", "train/loss": "train/loss"
    }  # fmt: skip
