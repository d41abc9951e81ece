"""What analyses take from a resolved study."""

from __future__ import annotations

import pytest

from analysis.declared import (
    analyses_of,
    baselines_of,
    fixed_by_baseline,
    label_order,
    main_metric,
    main_split,
)
from harness.errors import HarnessError

STUDY = {
    "study": "demo",
    "sources": ["c", {"tasks": ["b", "a"], "as": "each"}, "none"],
    "methods": ["tune", {"method": "probe", "lr": 0.1, "as": "probe_fast"}],
    "baselines": {"own": {"source": "none"}},
    "grids": [
        {"targets": ["d", "c"], "baselines": {"scratch": {"method": "scratch", "source": "none", "params": {"lr": 1}}}}
    ],
}


def test_labels_come_in_the_order_of_the_file():
    order = label_order(STUDY)
    assert order["method"] == ("tune", "probe_fast")
    assert order["source"] == ("c", "b", "a", "none", "d")
    assert order["target"] == ("d", "c", "b", "a", "none")
    assert label_order({"study": "x"}) == {"source": (), "target": (), "backbone": (), "method": ()}


def test_what_a_baseline_fixes():
    assert baselines_of(STUDY) == ("own", "scratch")
    assert fixed_by_baseline(STUDY, "own") == ("source", "source_seed")
    assert fixed_by_baseline(STUDY, "scratch") == ("method", "source", "params", "lr", "source_seed")
    assert fixed_by_baseline(STUDY, "other") is None and fixed_by_baseline(STUDY, None) is None


def test_declared_analyses_are_taken_as_they_are(grid_frame):
    declared = [{"kind": "matrix", "filter": {"method": "tune"}, "x": None}]
    assert analyses_of({"analyses": declared}, grid_frame()) == ([{"kind": "matrix", "filter": {"method": "tune"}}], [])


def test_without_any_there_is_a_matrix_for_every_method_and_baseline(grid_frame):
    found, notes = analyses_of({"methods": ["tune", "probe"], "baselines": {"own": {}, "unmeasured": {}}}, grid_frame())
    assert found == [
        {"kind": "matrix", "filter": {"method": m}} | extra
        for m in ("tune", "probe")
        for extra in ({}, {"relative_to": "own"})
    ]
    assert notes == []


def test_many_combinations_are_cut_and_said(grid_frame, frame):
    rows = frame([{"source": "a", "value": 0.5, "shots": k} for k in range(15)])
    found, notes = analyses_of({}, rows)
    assert len(found) == 12 and found[1]["filter"] == {"method": "probe", "shots": "1"}
    assert notes == ["3 more combinations of method, shots are not drawn."]


def test_nothing_to_draw(grid_frame):
    assert analyses_of({}, grid_frame().iloc[:0]) == ([], ["There is no outcome to draw yet."])


def test_the_main_metric_and_split(frame):
    assert main_metric(frame([{"value": 1, "metric": m} for m in ("loss", "accuracy")])) == "accuracy"
    assert main_metric(frame([{"value": 1, "metric": "loss"}])) == "loss"
    assert main_metric(frame([{"status": "failed"}])) == "accuracy"
    with pytest.raises(HarnessError, match="loss, mse"):
        main_metric(frame([{"value": 1, "metric": m} for m in ("loss", "mse")]))
    splits = frame([{"value": 1, "split": s} for s in ("val", "test")])
    assert main_split(splits, "accuracy") == "test"
    assert main_split(splits[splits.split == "val"], "accuracy") == "val"
    assert main_split(splits.assign(split=["x", "y"]), "accuracy") is None
