"""Accuracy, drop and boost: the published figures to the last digit, planted effects, and pooled against paired."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.layer_effects import boost, control, curve, drop_parts, standard_ranges, unbalanced
from analysis.layer_runs import layer_runs
from tests.analysis.layers import EFFECTS, RANDOM, half, outcomes, published, published_frame

# Means and parts of the drop, computed from the training logs apart from this code.
FIGURE_2 = pd.read_csv(
    io.StringIO("""\
n,BnB,AnB,BnB+,AnB+,drop,co-adaptation,specificity,dissimilar,random
1,0.62669,0.62818,0.61772,0.63728,-0.0031,-0.0016,-0.0015,+0.0029,-0.0846
2,0.62354,0.62385,0.62146,0.63579,0.0012,0.0016,-0.0003,-0.0093,-0.1737
3,0.62109,0.61892,0.63127,0.64257,0.0062,0.0040,0.0022,-0.0324,-0.5752
4,0.60476,0.59978,0.62872,0.63985,0.0253,0.0203,0.0050,-0.0733,-0.5573
5,0.59349,0.57800,0.63009,0.64463,0.0471,0.0316,0.0155,-0.1295,-0.5264
6,0.61876,0.58065,0.62763,0.64604,0.0445,0.0063,0.0381,-0.1657,-0.5618
7,0.62325,0.54249,0.62662,0.64645,0.0826,0.0019,0.0808,-0.2501,-0.5617
""")
)


@pytest.mark.parametrize("treatment", ["BnB", "AnB", "BnB+", "AnB+"])
def test_means_of_the_published_runs(treatment):
    found = curve(published(), treatment, RANDOM)
    assert [p.layers for p in found] == list(range(1, 8))
    assert [p.value.value for p in found] == pytest.approx(FIGURE_2[treatment].tolist(), abs=1.1e-5)


@pytest.mark.parametrize("part", ["drop", "co-adaptation", "specificity"])
def test_the_parts_of_the_published_drop(part):
    found = [drop_parts(published(), RANDOM, n, paired=False)[part].value for n in range(1, 8)]
    assert found == pytest.approx(FIGURE_2[part].tolist(), abs=0.6e-4)


@pytest.mark.parametrize(
    ("treatment", "level", "column"), [("AnB", "dissimilar", "dissimilar"), ("random", "whole", "random")]
)
def test_other_splits_and_random_layers_against_their_own_base(treatment, level, column):
    found = curve(published(), treatment, level)
    for paired in (False, True):
        assert [p.gain(paired).value for p in found] == pytest.approx(FIGURE_2[column].tolist(), abs=0.6e-4)
    assert {p.pooled.reason for p in found} == {"one group"}


@pytest.mark.parametrize(
    ("bounds", "over_base", "over_self", "runs", "self_runs"),
    [((1, 7), 1.598, 1.383, 10, 10), ((3, 7), 1.804, 1.397, 7, 8), ((5, 7), 2.061, 1.729, 3, 5)],
)
def test_table_1(bounds, over_base, over_self, runs, self_runs):
    found = boost(published(), RANDOM, bounds, paired=False)
    assert 100 * found.over_base.value == pytest.approx(over_base, abs=0.0005)
    assert 100 * found.over_self.value == pytest.approx(over_self, abs=0.0005)
    assert (found.runs, found.self_runs) == (runs, self_runs)


@pytest.mark.parametrize(
    ("bounds", "transfer", "own"), [((1, 7), 0.97, 0.97), ((3, 7), 1.17, 1.10), ((5, 7), 1.16, 1.01)]
)
def test_table_1_against_the_own_targets_base(bounds, transfer, own):
    found = boost(published(), RANDOM, bounds, paired=True)
    assert 100 * found.over_base.value == pytest.approx(transfer, abs=0.005)
    assert 100 * found.over_self.value == pytest.approx(transfer - own, abs=0.01)
    assert boost(published(), RANDOM, bounds, paired=False).over_self.value > 0.013 > 0.002 > found.over_self.value


def test_the_published_grid_is_unbalanced_and_says_so():
    first, second = unbalanced(published(), RANDOM)
    assert first == (
        "Unbalanced: runs behind one number of layers: BnB 4 (4 targets), AnB 8 (8 targets), BnB+ 1 to 2 (2 targets), "
        "AnB+ 1 to 2 (2 targets)."
    )
    assert "BnB+ and AnB+ share none" in second and "pooled differences mix in how hard the targets are" in second


def test_a_balanced_study_needs_no_caution():
    assert unbalanced(layer_runs(outcomes()), "") == []
    frame = outcomes()
    assert unbalanced(layer_runs(frame[~((frame.source == "untrained") & (frame.layers > 2))]), "") == []


def test_planted_effects_are_found_in_both_readings():
    data = layer_runs(outcomes(range(6), seeds=range(4), noise=0.002))
    for treatment, effect in EFFECTS.items():
        for point in curve(data, treatment, ""):
            for paired in (False, True):
                assert point.gain(paired).value == pytest.approx(effect * point.layers, abs=0.002)
    parts = drop_parts(data, "", 3.0, paired=True)
    assert parts["co-adaptation"].value == pytest.approx(0.03, abs=0.002)
    assert parts["specificity"].value == pytest.approx(0.06, abs=0.002)
    assert parts["drop"].value == pytest.approx(parts["co-adaptation"].value + parts["specificity"].value)
    assert parts["specificity"].low > 0.05


def test_paired_readings_by_brute_force():
    frame = outcomes(draw=3)
    data = layer_runs(frame)
    base = frame[frame.role == "baseline"].groupby(["target", "seed"]).value.first()
    rows = frame[(frame.role == "outcome") & (frame.layers == 2)]
    gains = rows.assign(
        gain=[v - base[k] for v, k in zip(rows.value, zip(rows.target, rows.seed, strict=True), strict=True)]
    )
    mine = gains[(gains.source == gains.target) & gains.frozen]
    per_split = mine.groupby(mine.target.str.extract(r"half\((\d)", expand=False)).gain.mean()
    assert len(per_split) == 3
    found = drop_parts(data, "", 2.0, paired=True)["co-adaptation"]
    low, high = stats.t.interval(0.95, 2, -per_split.mean(), stats.sem(per_split))
    assert (found.value, found.low, found.high) == pytest.approx((-per_split.mean(), low, high))
    assert (found.groups, found.runs) == (3, 12)


def test_pairing_takes_out_how_hard_the_targets_are():
    """Fine-tuning gains one point whatever the source; the targets of AnB+ are ten points easier than those of BnB+."""
    frame = outcomes(range(8), seeds=(0,), effects={"BnB+": 0.01, "AnB+": 0.01}, noise=0.0, layers=(1,))
    easy = frame.target.isin([half(s, "b") for s in range(8)])
    frame["value"] += 0.1 * easy
    own = (frame.role == "outcome") & (frame.source == frame.target)
    kept = frame[(frame.role == "baseline") | (own & ~easy) | (~own & easy)]
    data = layer_runs(kept)
    pooled, paired = (boost(data, "", (1, 1), p) for p in (False, True))
    assert pooled.over_self.value == pytest.approx(0.1, abs=0.03)
    assert paired.over_self.value == pytest.approx(0.0, abs=1e-12)
    assert paired.over_base.value == pytest.approx(0.01)
    assert any("BnB+ and AnB+ share none" in w for w in unbalanced(data, ""))


def test_flagged_runs_are_counted_at_their_point():
    frame = outcomes()
    frame.loc[(frame.source == "untrained") & (frame.layers == 2) & (frame.seed == 0), "flags"] = "not_trained"
    assert [p.flagged for p in curve(layer_runs(frame), "random", "")] == [0, 6, 0]


def test_a_control_is_read_like_a_treatment():
    frame = outcomes()
    longer = frame[frame.role == "baseline"].drop_duplicates(["target", "seed"])
    longer = longer.assign(baseline="longer", trial_id="l" + longer.trial_id, value=longer.value + 0.04)
    data = layer_runs(pd.concat([frame, longer], ignore_index=True), relative_to="base")
    found = control(data, "longer", "")
    assert found.paired.value == pytest.approx(0.04) == found.pooled.value
    assert found.value.value == pytest.approx(longer.value.mean())
    assert control(data, "longer", "elsewhere") is None


def test_what_was_not_run_has_no_value():
    frame = outcomes(effects={"AnB": -0.03})
    parts = drop_parts(layer_runs(frame), "", 1.0, paired=False)
    assert np.isfinite(parts["drop"].value) and np.isnan(parts["specificity"].value)
    found = boost(layer_runs(frame), "", (1, 3), paired=True)
    assert (found.runs, found.over_base.reason) == (0, "no value")


@pytest.mark.parametrize(
    ("layers", "ranges"),
    [(range(1, 8), [(1, 7), (3, 7), (5, 7)]), ([1, 2, 3, 4], [(1, 4), (3, 4)]), ([2.0], [(1, 2)])],
)
def test_ranges_of_table_1_as_far_as_a_study_has_them(layers, ranges):
    assert standard_ranges(list(layers)) == ranges


def test_the_published_frame_holds_what_was_parsed():
    frame = published_frame()
    assert len(frame) == 148 and frame.value.between(0, 1).all()
