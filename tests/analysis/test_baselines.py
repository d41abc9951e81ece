"""Relative values: which baseline belongs to which outcome, checked by hand and by loops."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from analysis import transfer_matrix
from analysis.baselines import reading
from harness.errors import HarnessError


def _loop(rows, source, target, method, formula):
    """Relative values of one cell, a seed at a time."""
    values = []
    for seed in sorted(set(rows.seed)):
        here = rows[(rows.target == target) & (rows.method == method) & (rows.seed == seed)]
        own = here[here.baseline == "own"].value.iloc[0]
        values.append(formula(here[here.source == source].value.iloc[0], own))
    return values


@pytest.mark.parametrize(
    ("how", "formula"),
    [
        ("difference", lambda v, b: v - b),
        ("relative_gain", lambda v, b: (v - b) / b),
        ("relative_error_reduction", lambda v, b: ((1 - b) - (1 - v)) / (1 - b)),
    ],
)
def test_paired_readings_against_a_loop(grid_frame, how, formula):
    rows = grid_frame()
    matrix = transfer_matrix(rows, filter={"method": "tune"}, relative_to="own", how=how)
    for source, target in itertools.product("abcde", repeat=2):
        expected = _loop(rows, source, target, "tune", formula)
        assert matrix.cell(source, target).value == pytest.approx(np.mean(expected))
        assert matrix.cell(source, target).spread == pytest.approx(np.std(expected, ddof=1))
    assert matrix.signed and matrix.pairing is not None


def test_pairing_removes_what_a_seed_shares_with_its_baseline(frame):
    noise = {0: 0.0, 1: 0.2, 2: -0.1}
    rows = frame(
        [{"source": "s", "seed": k, "value": 0.5 + e} for k, e in noise.items()]
        + [{"role": "baseline", "baseline": "own", "seed": k, "value": 0.4 + e} for k, e in noise.items()]
    )
    paired = transfer_matrix(rows, relative_to="own")
    pooled = transfer_matrix(rows, relative_to="own", paired="target")
    assert paired.values[0, 0] == pytest.approx(0.1) == pooled.values[0, 0]
    assert paired.spread[0, 0] == pytest.approx(0.0, abs=1e-12)
    assert pooled.spread[0, 0] == pytest.approx(np.std(list(noise.values()), ddof=1))
    assert "pair" in paired.pairing and "mean over its seeds" in pooled.pairing


def test_a_pooled_baseline_is_one_mean_over_targets_and_seeds(frame):
    rows = frame(
        [{"source": "s", "target": t, "value": v} for t, v in (("easy", 0.9), ("hard", 0.3))]
        + [{"role": "baseline", "baseline": "own", "target": t, "value": v} for t, v in (("easy", 0.8), ("hard", 0.2))]
    )
    own = transfer_matrix(rows, relative_to="own")
    pooled = transfer_matrix(rows, relative_to="own", paired=False)
    assert own.values[0] == pytest.approx([0.1, 0.1])
    assert pooled.values[0] == pytest.approx([0.4, -0.2])
    assert pooled.pairing.startswith("pooled")


def test_the_trials_of_the_baseline_are_kept(grid_frame):
    rows = grid_frame(methods=["m"])
    cell = transfer_matrix(rows, relative_to="own").cell("a", "b")
    expected = rows[(rows.baseline == "own") & (rows.target == "b")].trial_id
    assert cell.baseline_ids == tuple(expected)
    pooled = transfer_matrix(rows, relative_to="own", paired=False).cell("a", "b")
    assert set(pooled.baseline_ids) == set(rows[rows.baseline == "own"].trial_id)


def test_a_baseline_of_another_method_serves_all_methods(grid_frame):
    rows = grid_frame()
    rows = rows[(rows.role == "outcome") | (rows.method == "probe")].copy()
    rows.loc[rows.role == "baseline", ["method", "baseline"]] = ["from_scratch", "scratch"]
    for method in ("probe", "tune"):
        matrix = transfer_matrix(rows, filter={"method": method}, relative_to="scratch")
        assert np.isfinite(matrix.values).all()
    by_method = transfer_matrix(rows, "method", "target", over=["source"], relative_to="scratch")
    assert np.isfinite(by_method.values).all()


def test_a_baseline_that_has_not_run_is_missed_not_replaced(grid_frame):
    rows = grid_frame()
    rows = rows[~((rows.role == "baseline") & (rows.method == "tune"))]
    matrix = transfer_matrix(rows, filter={"method": "tune"}, relative_to="own")
    assert (matrix.reasons == "no baseline").all()
    assert np.isnan(matrix.values).all()
    probe = transfer_matrix(rows, filter={"method": "probe"}, relative_to="own")
    assert np.isfinite(probe.values).all()


def test_what_the_declaration_fixes_is_taken_from_it(grid_frame):
    """A method that is both an outcome's and the baseline's own cannot be inferred to be fixed; it can be declared."""
    rows = grid_frame()
    rows = rows[(rows.role == "outcome") | (rows.method == "probe")]
    inferred = transfer_matrix(rows, filter={"method": "tune"}, relative_to="own")
    declared = transfer_matrix(rows, filter={"method": "tune"}, relative_to="own", replaces=["source", "method"])
    assert (inferred.reasons == "no baseline").all()
    assert np.isfinite(declared.values).all()


def test_another_backbone_is_never_the_baseline(grid_frame):
    small = grid_frame(methods=["m"], backbone="small")
    large = grid_frame(methods=["m"], backbone="large")
    both = pd.concat([small, large[large.role == "outcome"]])
    both["trial_id"] = [f"u{k}" for k in range(len(both))]
    matrix = transfer_matrix(both, filter={"backbone": "large"}, relative_to="own")
    assert (matrix.reasons == "no baseline").all()


def test_one_missing_seed_of_a_baseline_drops_that_seed_only(grid_frame):
    rows = grid_frame(methods=["m"])
    rows = rows[~((rows.baseline == "own") & (rows.target == "b") & (rows.seed == 1))]
    matrix = transfer_matrix(rows, relative_to="own")
    assert (matrix.count[:, 1] == 2).all() and (np.delete(matrix.count, 1, axis=1) == 3).all()
    assert any("5 no baseline" in w for w in matrix.warnings)


def test_two_baseline_values_for_one_outcome_are_refused(grid_frame):
    rows = grid_frame(methods=["m"])
    twice = rows[rows.role == "baseline"].assign(source="x", trial_id=lambda f: "z" + f.trial_id)
    rows.loc[rows.role == "baseline", "source"] = "y"
    with pytest.raises(HarnessError, match=r"'source' varies in it \(x, y\)"):
        transfer_matrix(pd.concat([rows, twice]), relative_to="own", replaces=["source"])


def test_undefined_readings_are_missing_not_infinite(frame):
    rows = frame(
        [{"source": "s", "target": t, "value": 0.5} for t in ("zero", "one", "fine")]
        + [
            {"role": "baseline", "baseline": "own", "target": t, "value": v}
            for t, v in (("zero", 0.0), ("one", 1.0), ("fine", 0.5))
        ]
    )
    gain = transfer_matrix(rows, relative_to="own", how="relative_gain")
    error = transfer_matrix(rows, relative_to="own", how="relative_error_reduction")
    assert gain.cell("s", "zero").reason == "undefined" and gain.cell("s", "fine").value == 0.0
    assert error.cell("s", "one").reason == "undefined"


def test_error_reduction_refuses_unbounded_metrics(frame):
    rows = frame(
        [
            {"source": "s", "value": 1.5, "metric": "loss"},
            {"role": "baseline", "baseline": "own", "value": 2.0, "metric": "loss"},
        ]
    )
    with pytest.raises(HarnessError, match="bounded by 1"):
        transfer_matrix(rows, value="loss", relative_to="own", how="relative_error_reduction")
    assert transfer_matrix(rows, value="loss", relative_to="own").values[0, 0] == -0.5


def test_a_filter_on_the_source_leaves_the_baseline_alone(grid_frame):
    matrix = transfer_matrix(grid_frame(methods=["m"]), filter={"source": ["a", "b"]}, relative_to="own")
    assert matrix.row_labels == ("a", "b") and np.isfinite(matrix.values).all()


def test_flagged_baselines_are_left_out_with_flagged_outcomes(grid_frame):
    rows = grid_frame(methods=["m"])
    rows.loc[(rows.baseline == "own") & (rows.target == "c"), "flags"] = "not_trained"
    dropped = transfer_matrix(rows, relative_to="own", flagged="drop")
    assert (dropped.reasons[:, 2] == "no baseline").all()
    assert np.isfinite(transfer_matrix(rows, relative_to="own").values).all()


def test_readings_elementwise():
    v, b = np.array([0.6, 0.3]), np.array([0.5, 0.6])
    assert reading(v, b, "difference") == pytest.approx([0.1, -0.3])
    assert reading(v, b, "relative_gain") == pytest.approx([0.2, -0.5])
    assert reading(v, b, "relative_error_reduction") == pytest.approx([0.2, -0.75])
