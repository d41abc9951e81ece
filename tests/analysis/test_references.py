"""Relative to the own task, the best row, or as standard scores; and failed trials counted as worst or as chance."""

from __future__ import annotations

import numpy as np
import pytest

from analysis import transfer_matrix
from harness.errors import HarnessError

VALUES = {("a", "a"): 0.9, ("a", "b"): 0.5, ("b", "a"): 0.6, ("b", "b"): 0.8, ("c", "a"): 0.3, ("c", "b"): 0.7}


@pytest.fixture
def rows(frame):
    """Three sources on two targets; seed 1 is 0.1 below seed 0 for every cell."""
    return frame([
        {"source": s, "target": t, "seed": seed, "source_seed": seed, "value": v - 0.1 * seed}
        for (s, t), v in VALUES.items() for seed in (0, 1)
    ])  # fmt: skip


def test_relative_to_the_own_task_is_paired_by_seed(rows):
    found = transfer_matrix(rows, relative_to="own")
    assert np.allclose(found.values, [[0.0, -0.3], [-0.3, 0.0], [-0.6, -0.1]])
    assert np.allclose(found.spread, 0.0)  # the seed's effect cancels
    assert "own task" in found.pairing and found.signed and "'own'" in found.quantity
    pooled = transfer_matrix(rows, relative_to="own", paired="target")
    assert np.allclose(pooled.values, found.values) and np.allclose(pooled.spread, 0.1 / np.sqrt(2))
    share = transfer_matrix(rows, relative_to="own", how="relative_gain")
    assert share.values[2, 0] == pytest.approx(np.mean([0.3 / 0.9, 0.2 / 0.8]) - 1)


def test_the_own_cell_may_be_filtered_away(rows):
    found = transfer_matrix(rows, relative_to="own", filter={"source": ["b", "c"]})
    assert np.allclose(found.values, [[-0.3, 0.0], [-0.6, -0.1]])


def test_relative_to_the_best_of_each_target(rows):
    found = transfer_matrix(rows, relative_to="target_best", filter={"source": ["b", "c"]})
    assert np.allclose(found.values, [[0.0, 0.0], [-0.3, -0.1]])
    worst_first = rows.assign(metric="error")
    errors = transfer_matrix(worst_first, value="error", relative_to="target_best")
    assert np.allclose(errors.values, [[0.6, 0.0], [0.3, 0.3], [0.0, 0.2]])


def test_standard_scores_within_each_target(rows):
    found = transfer_matrix(rows, relative_to="z")
    cells = np.array([[0.9, 0.5], [0.6, 0.8], [0.3, 0.7]]) - 0.05
    expected = (cells - cells.mean(axis=0)) / cells.std(axis=0)
    assert np.allclose(found.values, expected)
    assert np.allclose(found.spread, 0.1 / np.sqrt(2) / cells.std(axis=0))
    assert found.unit.name == "standard deviations" and "standard score within each target" in found.quantity


def test_a_target_without_spread_has_no_standard_score(rows):
    rows.loc[rows.target == "b", "value"] = 0.5
    found = transfer_matrix(rows, relative_to="z")
    assert set(found.reasons[:, 1]) == {"undefined"} and np.isfinite(found.values[:, 0]).all()


def test_a_declared_baseline_of_that_name_comes_first(grid_frame):
    rows = grid_frame(tasks="abc", methods=("probe",))
    named, only = (transfer_matrix(rows, relative_to=name) for name in ("own", "baseline"))
    assert np.array_equal(named.values, only.values) and only.relative_to == "own"
    assert not np.allclose(np.diag(named.values), 0.0)  # the untrained baseline, not the own cell
    bare = rows[rows.role == "outcome"]
    assert np.allclose(np.diag(transfer_matrix(bare, relative_to="own").values), 0.0)


def test_names_that_mean_nothing(rows, grid_frame):
    with pytest.raises(HarnessError, match=r"'target_bset'.*'target_best'"):
        transfer_matrix(rows, relative_to="target_bset")
    with pytest.raises(HarnessError, match="there are none"):
        transfer_matrix(rows, relative_to="baseline")
    with pytest.raises(HarnessError, match="source = target"):
        transfer_matrix(rows[rows.source != rows.target], relative_to="own")


@pytest.fixture
def broken(rows):
    """(c, a) diverged with seed 1 and failed with seed 0; (c, b) is flagged."""
    bad = (rows.source == "c") & (rows.target == "a")
    rows.loc[bad, ["value", "task", "split", "metric"]] = None
    rows.loc[bad, "status"] = np.where(rows.seed[bad] == 1, "diverged", "oom")
    rows.loc[(rows.source == "c") & (rows.target == "b"), "flags"] = "not_trained"
    return rows


def test_failed_trials_are_left_out_unless_told_otherwise(broken):
    assert transfer_matrix(broken).cell("c", "a").reason == "failed"
    worst = transfer_matrix(broken, failed="worst")
    assert worst.cell("c", "a").value == pytest.approx(0.5) and worst.cell("c", "a").flags == "failed_as_worst"
    assert worst.cell("c", "b").value == pytest.approx(0.65)  # flagged values still count
    assert any("failed_as_worst" in w for w in worst.warnings)
    both = transfer_matrix(broken, failed="worst", flagged="drop")
    assert both.cell("c", "b").value == pytest.approx(0.4)


def test_failed_trials_as_chance(broken):
    for chance in (0.25, {"a": 0.25, "b": 0.1}):
        found = transfer_matrix(broken, failed="chance", chance=chance)
        assert found.cell("c", "a").value == 0.25 and found.cell("c", "a").seeds == 2
    with pytest.raises(HarnessError, match="needs the chance level"):
        transfer_matrix(broken, failed="chance")
    with pytest.raises(HarnessError, match="target 'a'"):
        transfer_matrix(broken, failed="chance", chance={"b": 0.1})
    with pytest.raises(HarnessError, match=r"'worse'.*'worst'"):
        transfer_matrix(broken, failed="worse")


def test_the_worst_follows_the_metric_and_needs_a_value(broken):
    errors = broken.assign(metric=broken.metric.map({"accuracy": "error"}))
    found = transfer_matrix(errors, value="error", failed="worst")
    assert found.cell("c", "a").value == pytest.approx(0.9)
    broken.loc[broken.target == "a", ["value", "task", "split", "metric"]] = None
    broken.loc[broken.target == "a", "status"] = "failed"
    assert set(transfer_matrix(broken, failed="worst").reasons[:, 0]) == {"failed"}


def test_skipped_trials_are_never_given_a_value(broken):
    broken.loc[broken.status == "oom", "status"] = "skipped"
    found = transfer_matrix(broken, failed="worst")
    assert found.cell("c", "a").count == 1


def test_the_fewest_examples_behind_a_cell(rows):
    rows.loc[rows.index[0], "n_eval"] = 40
    rows["n_eval"] = rows["n_eval"].astype(float)
    rows.loc[rows.source == "b", "n_eval"] = np.nan
    found = transfer_matrix(rows).n_eval
    assert found[0, 0] == 40 and found[2, 1] == 100 and np.isnan(found[1]).all()
