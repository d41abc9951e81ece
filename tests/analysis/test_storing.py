"""Imported outcomes in the store: every status, replacement, reports, and studies beside each other."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis import import_outcomes, load_outcomes, load_trials, report, store_outcomes, transfer_matrix
from harness.errors import HarnessError
from harness.store import Store

STUDY = {"study": "foreign", "analyses": [{"kind": "matrix", "name": "All"}]}


def grid(scale=1.0, **more):
    rows = [(s, t, seed, scale * (0.5 + 0.1 * i + 0.01 * seed)) for i, (s, t) in enumerate(
        (s, t) for s in "ab" for t in "xy") for seed in (0, 1)]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["source", "target", "seed", "value"]).assign(method="probe", **more)
    return import_outcomes(frame, "foreign")


def test_a_stored_import_gives_the_same_matrix(tmp_path):
    frame = grid(shots=5, backbone="mlp")
    assert store_outcomes(frame, tmp_path, STUDY) == 8
    back = load_outcomes(tmp_path, "foreign")
    ours, theirs = transfer_matrix(frame), transfer_matrix(back)
    assert np.array_equal(ours.values, theirs.values) and np.array_equal(ours.spread, theirs.spread)
    assert set(back.trial_id) == set(frame.trial_id) and set(back.shots) == {5} and set(back.backbone) == {"mlp"}
    assert load_trials(tmp_path, "foreign").state.tolist() == ["done"] * 8


@pytest.mark.parametrize(
    ("status", "state", "kept"),
    [("failed", "failed", "failed"), ("oom", "failed", "oom"), ("timeout", "failed", "timeout"),
     ("skipped", "skipped", "skipped"), ("diverged", "diverged", "diverged"), ("strange", "failed", "failed")],
)  # fmt: skip
def test_what_has_no_value_keeps_its_status(tmp_path, status, state, kept):
    frame = grid()
    frame.loc[0, ["value", "status", "reason"]] = [np.nan, status, "as they say"]
    store_outcomes(frame, tmp_path, STUDY)
    back = load_outcomes(tmp_path, "foreign").set_index("trial_id")
    lost = back.loc[frame.trial_id[0]]
    assert np.isnan(float(lost.value)) and lost.status == kept
    assert load_trials(tmp_path, "foreign").set_index("trial_id").loc[frame.trial_id[0], "state"] == state
    matrix = transfer_matrix(load_outcomes(tmp_path, "foreign"))
    assert matrix.cell("a", "x").count == 1 and any("lack trials" in w for w in matrix.warnings)


def test_flags_and_examples_survive(tmp_path):
    frame = grid(n_eval=250)
    frame.loc[0, "flags"] = "not_trained, odd"
    store_outcomes(frame, tmp_path, STUDY)
    matrix = transfer_matrix(load_outcomes(tmp_path, "foreign"))
    assert matrix.cell("a", "x").flags == "not_trained, odd" and (matrix.n_eval == 250).all()


def test_a_second_import_replaces_the_first(tmp_path):
    store_outcomes(grid(), tmp_path, STUDY)
    store_outcomes(grid(0.5), tmp_path, STUDY)
    back = load_outcomes(tmp_path, "foreign")
    assert len(back) == 8 and back.value.max() < 0.5
    records = len(Store.open(tmp_path).records())
    store_outcomes(grid(0.5), tmp_path, STUDY)  # the same once more: nothing new
    assert len(Store.open(tmp_path).records()) == records and len(load_outcomes(tmp_path, "foreign")) == 8


def test_studies_do_not_mix(tmp_path):
    store_outcomes(grid(), tmp_path, STUDY)
    other = grid(0.1).assign(study="other")
    store_outcomes(other, tmp_path, {"study": "other"})
    assert load_outcomes(tmp_path, "foreign").value.min() > 0.4
    assert load_outcomes(tmp_path, "other").value.max() < 0.1
    assert Store.open(tmp_path).studies() == ["foreign", "other"]


def test_several_metrics_and_roles_of_one_import(tmp_path):
    frame = grid()
    loss = frame.assign(metric="loss", value=1 - frame.value)
    scores = import_outcomes(
        pd.DataFrame({"source": ["a", "b"], "target": "x", "value": [0.1, 0.2]}), "foreign",
        fixed={"role": "estimator", "method": "leep", "metric": "score"},
    )  # fmt: skip
    store_outcomes(pd.concat([frame, loss, scores], ignore_index=True), tmp_path, STUDY)
    back = load_outcomes(tmp_path, "foreign")
    assert back.groupby("metric").size().to_dict() == {"accuracy": 8, "loss": 8, "score": 2}
    assert set(back[back.role == "estimator"].method) == {"leep"}
    assert load_trials(tmp_path, "foreign").role.value_counts().to_dict() == {"outcome": 8, "estimator": 2}


def test_an_import_can_be_reported(tmp_path):
    store_outcomes(grid(), tmp_path, STUDY)
    made = report(STUDY, tmp_path)
    assert made.problems == () and "All" in made.html.read_text(encoding="utf-8")
    assert {p.stem for p in made.tables} == {"all", "all-best"}


def test_nothing_is_not_imported(tmp_path):
    with pytest.raises(HarnessError, match="no outcome to import"):
        store_outcomes(grid().iloc[:0], tmp_path, STUDY)
    assert not Store.exists(tmp_path)
