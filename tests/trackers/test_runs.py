"""What is shown of a study: each trial and each curve once, as stored."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from harness.errors import HarnessError
from harness.store import Group, MeasurementRow, StageRecord, Store, StoreError
from harness.trackers import export, follow
from harness.trackers.runs import runs, stage_settings

from .conftest import CURVES, ENDED, STUDY, VALUES, Collector, key_of, planned, trained


def test_a_stage_with_a_curve_is_a_run(store: Store) -> None:
    (run,) = (run for run in runs(store, STUDY, ()) if run.group == "stages")
    assert [(point.name, point.step, point.value) for point in run.points] == [
        ("train/loss", step, value) for step, value in CURVES["a"]
    ]
    assert run.settings == {
        "kind": "train", "stage": key_of("train a")[:12], "task": "digits_a", "backbone": "mlp", "backbone.hidden": 8,
        "budget.steps": 4, "budget.lr": 0.1,
    }  # fmt: skip
    assert (run.status, run.ended - run.started, run.ended) == ("ok", 2.5, ENDED.timestamp())
    assert run.name == f"train digits_a mlp {key_of('train a')[:8]}"


def test_a_decided_trial_is_a_run(store: Store) -> None:
    found = {run.slot: run for run in runs(store, STUDY, ()) if run.group == "trials"}
    assert set(found) == {"trial-a", "trial-c"}, "b is still open"
    done, failed = found["trial-a"], found["trial-c"]
    (point,) = done.points
    assert (point.name, point.step, point.value) == ("half(of=digits, side=a)/test/accuracy", None, VALUES["a"])
    for name, value in {"source": "digits_a", "target": "digits_upright", "method": "fine_tune", "seed": 0,
                        "shots": 5, "lr": 0.1, "stage": key_of("a")[:12]}.items():  # fmt: skip
        assert done.settings[name] == value
    assert done.name == "digits_a > digits_upright fine_tune seed 0 trial-a"
    assert (failed.status, failed.points, failed.settings["reason"]) == ("oom", (), "too large")


def test_what_is_known_is_left_out_and_what_is_new_comes(store: Store, collector: Collector) -> None:
    assert export(store, STUDY, collector) == 3
    assert export(store, STUDY, collector) == 0
    store.commit(trained("b"))
    assert export(store, STUDY, collector) == 2
    assert sorted((run.group, run.settings.get("source", "")) for run in collector.runs[3:]) == [
        ("stages", ""), ("trials", "digits_b")
    ]  # fmt: skip
    assert len({run.id for run in collector.runs}) == 5


def test_a_failure_that_is_mended_is_another_run_of_the_same_slot(store: Store, collector: Collector) -> None:
    export(store, STUDY, collector)
    row = StageRecord(key_of("c"), "evaluate")
    store.commit(Group([row], [MeasurementRow(row.key, row.attempt, "digits", "test", "accuracy", 0.5)]))
    assert export(store, STUDY, collector) == 1
    old, new = (run for run in collector.runs if run.slot == "trial-c")
    assert (old.status, new.status) == ("oom", "ok") and old.id != new.id


def test_two_studies_share_a_stage_and_no_run(store: Store, collector: Collector) -> None:
    store.write_trials("other", planned(["a"]), [key_of("train a")])
    export(store, STUDY, collector)
    assert export(store, "other", collector) == 2


def test_an_unknown_study_gets_one_sentence(store: Store, collector: Collector) -> None:
    with pytest.raises(StoreError, match="did you mean 'flips'"):
        export(store, "flip", collector)


def test_a_crash_between_runs_loses_and_doubles_nothing(store: Store, collector: Collector) -> None:
    store.commit(trained("b"))

    def third(run: Any) -> None:
        if len(collector.runs) == 2:
            raise HarnessError("killed")

    collector.before = third
    with pytest.raises(HarnessError, match="killed"):
        export(store, STUDY, collector)
    assert collector.settled == 2
    collector.before = lambda run: None
    assert export(store, STUDY, collector) == 3
    assert len({run.id for run in collector.runs}) == len(collector.runs) == 5


def test_following_sees_what_others_commit_and_looks_once_more_at_the_end(store: Store, collector: Collector) -> None:
    other = Store.open(store.results)
    looks: list[int] = []

    def wait() -> bool:
        looks.append(len(collector.runs))
        if len(looks) == 2:
            other.commit(trained("b"))  # committed after the last look, before the end
        return len(looks) == 2

    said: list[int] = []
    assert follow(store, STUDY, collector, wait, said.append) == 5
    assert (looks, said) == ([3, 3], [3, 2])


def test_following_ends_when_told_from_another_thread(store: Store, collector: Collector) -> None:
    ended = threading.Event()
    threading.Timer(0.2, ended.set).start()
    assert follow(store, STUDY, collector, lambda: ended.wait(0.05)) == 3


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"a": 1, "b": 0.5, "c": True, "d": "x", "e": None}, {"a": 1, "b": 0.5, "c": True, "d": "x"}),
        ({"splits": ["train", "val"]}, {"splits": '["train", "val"]'}),
        ({"init": {"input": "0123456789abcdef"}}, {"init": "0123456789ab"}),
        ({"budget": {"steps": 3, "rule": {"on": "val"}}}, {"budget.steps": 3, "budget.rule.on": "val"}),
        ({}, {}),
    ],
)
def test_settings_of_a_stage_are_plain(arguments: dict[str, Any], expected: dict[str, Any]) -> None:
    assert stage_settings(json.dumps({"arguments": arguments})) == expected


@pytest.mark.parametrize("preimage", ["", "no json", "[]", '{"choice": "x"}'])
def test_a_preimage_of_another_shape_has_no_settings(preimage: str) -> None:
    assert stage_settings(preimage) == {}
