"""Paired differences between two conditions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis import compare
from harness.errors import HarnessError


def test_the_difference_is_the_mean_over_cells_of_paired_differences(grid_frame):
    rows = grid_frame()
    found = compare(rows, "tune", "probe")
    wide = rows[rows.role == "outcome"].pivot_table(
        index=["source", "target", "seed"], columns="method", values="value"
    )
    cells = (wide["tune"] - wide["probe"]).groupby(["source", "target"]).mean()
    assert found.estimate == pytest.approx(cells.mean())
    assert (found.n_cells, found.n_pairs, found.unmatched) == (25, 75, 0)
    assert (found.wins, found.ties, found.losses) == ((cells > 0).sum(), 0, (cells < 0).sum())
    assert found.low < found.estimate < found.high
    assert found.resampled == ("source", "target") and found.fixed == ()
    assert len(found.trial_ids) == 150


def test_the_interval_is_the_crossed_bootstrap(grid_frame):
    rows = grid_frame(tasks="abcdefgh")
    found = compare(rows, "tune", "probe", n_resamples=3000)
    wide = rows[rows.role == "outcome"].pivot_table(
        index=["source", "target", "seed"], columns="method", values="value"
    )
    cells = (wide["tune"] - wide["probe"]).groupby(["source", "target"]).mean().unstack().to_numpy()
    rng = np.random.default_rng(9)
    loop = [cells[np.ix_(rng.integers(0, 8, 8), rng.integers(0, 8, 8))].mean() for _ in range(3000)]
    spread = np.std(loop)
    assert [found.low, found.high] == pytest.approx(np.quantile(loop, [0.025, 0.975]), abs=0.25 * spread)


def test_swapping_the_conditions_turns_the_sign(grid_frame):
    rows = grid_frame()
    there, back = compare(rows, "tune", "probe"), compare(rows, "probe", "tune")
    assert there.estimate == pytest.approx(-back.estimate)
    assert (there.wins, there.losses) == (back.losses, back.wins)


def test_a_condition_can_be_a_baseline(grid_frame):
    rows = grid_frame()
    found = compare(rows, "tune", "own", filter={"method": "tune"})
    outcomes = rows[(rows.role == "outcome") & (rows.method == "tune")]
    own = rows[(rows.role == "baseline") & (rows.method == "tune")].set_index(["target", "seed"]).value
    differences = outcomes.value.to_numpy() - own.loc[list(zip(outcomes.target, outcomes.seed, strict=True))].to_numpy()
    assert found.estimate == pytest.approx(differences.mean())
    assert found.n_pairs == 75


def test_axes_other_than_the_condition_are_matched_and_never_averaged_silently(grid_frame):
    both = pd.concat([grid_frame(shots=s, draw=s) for s in (1, 20)])
    both["trial_id"] = [f"u{k}" for k in range(len(both))]
    with pytest.raises(HarnessError, match=r"silently over 'shots' \(1, 20\)"):
        compare(both, "tune", "probe")
    assert compare(both, "tune", "probe", over=["shots"]).n_pairs == 150
    assert compare(both, "shots=20", "shots=1", filter={"method": "tune"}).n_pairs == 75


def test_unmatched_trials_are_counted(grid_frame):
    rows = grid_frame()
    rows = rows[~((rows.method == "probe") & (rows.seed == 2) & (rows.source == "a"))]
    found = compare(rows, "tune", "probe")
    assert (found.unmatched, found.n_pairs) == (5, 70)


def test_no_partner_at_all_is_an_error(grid_frame):
    rows = grid_frame()
    rows.loc[rows.method == "probe", "seed"] += 100
    with pytest.raises(HarnessError, match="No trial of 'tune' has a partner in 'probe'"):
        compare(rows, "tune", "probe")


def test_few_levels_are_held_fixed_or_make_no_interval(grid_frame):
    rows = grid_frame()
    some = compare(rows, "tune", "probe", filter={"source": ["a", "b"]})
    assert (some.resampled, some.fixed) == (("target",), ("source",)) and np.isfinite(some.low)
    none = compare(rows, "tune", "probe", filter={"source": ["a", "b"], "target": ["c", "d", "e"]})
    assert np.isnan(none.low) and none.interval_reason == "fewer than 4 levels of source and of target"
    assert "interval not estimable" in str(none)


def test_less_is_better_for_a_loss(grid_frame):
    rows = grid_frame().assign(metric="loss")
    found, accuracy = compare(rows, "tune", "probe", "loss"), compare(grid_frame(), "tune", "probe")
    assert (found.wins, found.losses) == (accuracy.losses, accuracy.wins)
    assert found.unit.name == "" and accuracy.unit.name == "percentage points"
    assert str(accuracy).endswith("percentage points") and str(accuracy).startswith("+")


def test_mixed_devices_are_warned_of(grid_frame):
    rows = grid_frame()
    rows.loc[rows.method == "tune", "device"] = "cuda"
    assert "Mixed devices" in compare(rows, "tune", "probe").warnings[0]
