"""Pictures of layer transfer: every treatment is there, at its values, with bands that can be trusted."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.attributes import attributes_of
from analysis.figures import style
from analysis.layer_effects import curve, drop_parts
from analysis.layer_figures import (
    draw_difference,
    draw_drop_parts,
    draw_similar,
    draw_transfer,
    interval_note,
    look_of,
)
from analysis.layer_runs import layer_runs
from tests.analysis.layers import RANDOM, attributes, outcomes, published


def drawn(make, *arguments):
    with style():
        figure = make(*arguments)
        figure.canvas.draw()
    return figure


def lines_of(axes):
    return {line.get_label(): line for line in axes.get_lines() if not line.get_label().startswith("_")}


def test_both_panels_have_a_line_for_each_treatment_at_its_values():
    figure = drawn(draw_transfer, published(), RANDOM, False, "Figure 2")
    value, gain = figure.axes
    for treatment in ("BnB", "AnB", "BnB+", "AnB+"):
        points = curve(published(), treatment, RANDOM)
        for axes, part in ((value, "value"), (gain, "pooled")):
            line = lines_of(axes)[treatment]
            assert line.get_xdata().tolist() == [p.layers for p in points]
            assert line.get_ydata() == pytest.approx([100 * getattr(p, part).value for p in points])
    assert lines_of(value)["base"].get_ydata()[0] == pytest.approx(62.510, abs=0.001)
    assert lines_of(gain)["base"].get_ydata()[0] == 0.0
    assert "mean base" in gain.get_ylabel() and "%" in value.get_ylabel()
    assert [t.get_text() for t in gain.get_legend().get_texts()] == ["BnB", "AnB", "BnB+", "AnB+", "base"]


def test_the_paired_picture_has_the_paired_values():
    (axes,) = drawn(draw_difference, published(), RANDOM, True, "t").axes
    points = curve(published(), "AnB+", RANDOM)
    assert lines_of(axes)["AnB+"].get_ydata() == pytest.approx([100 * p.paired.value for p in points])
    assert "own target's base" in axes.get_ylabel()


def test_bands_only_where_three_splits_or_more_stand_behind_them():
    figure = drawn(draw_transfer, published(), RANDOM, False, "t")
    bands = [c for c in figure.axes[1].collections if c.get_alpha() == 0.15]
    assert len(bands) == 2  # BnB and AnB; the treatments with a plus sign rest on one or two splits
    top = max(path.vertices[:, 1].max() for band in bands for path in band.get_paths())
    point = max(curve(published(), "BnB", RANDOM), key=lambda p: p.pooled.high)
    assert top == pytest.approx(100 * point.pooled.high)


def test_every_run_is_a_faint_point_within_the_frame():
    value, _ = drawn(draw_transfer, published(), RANDOM, False, "t").axes
    runs = [c for c in value.collections if c.get_alpha() == 0.45]
    assert sum(len(c.get_offsets()) for c in runs) == 28 + 56 + 10 + 10
    low, high = value.get_ylim()
    heights = np.concatenate([c.get_offsets()[:, 1] for c in runs])
    assert low < heights.min() and heights.max() < high


def test_the_drop_is_two_bars_and_a_line_in_two_readings():
    figure = drawn(draw_drop_parts, published(), RANDOM, "t")
    for axes, paired in zip(figure.axes, (False, True), strict=True):
        truth = [drop_parts(published(), RANDOM, n, paired) for n in range(1, 8)]
        heights = [bar.get_height() for bar in axes.patches]
        parts = [100 * p[name].value for name in ("co-adaptation", "specificity") for p in truth]
        assert heights == pytest.approx(parts)
        whole = next(li for li in axes.get_lines() if str(li.get_label()).startswith("whole"))
        assert whole.get_ydata() == pytest.approx([100 * p["drop"].value for p in truth])
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim()


def test_similar_and_dissimilar_stand_beside_random_layers():
    (axes,) = drawn(draw_similar, published(), True, "t").axes
    assert list(lines_of(axes)) == ["AnB, random halves", "AnB, dissimilar", "random layers, whole", "base"]
    far = lines_of(axes)["AnB, dissimilar"].get_ydata()
    near = lines_of(axes)["AnB, random halves"].get_ydata()
    assert (far[2:] < near[2:]).all() and far[-1] == pytest.approx(-25.01, abs=0.01)


def test_random_layers_do_not_flatten_the_others():
    frame = outcomes(effects={"BnB": -0.01, "AnB": -0.02, "random": -0.2})
    figure = drawn(draw_transfer, layer_runs(frame), "", True, "t")
    low, high = figure.axes[1].get_ylim()
    assert low > -15 and high < 15
    assert "Random layers may leave the frame." in figure.texts[-1].get_text()
    alone = drawn(draw_transfer, layer_runs(outcomes(effects={"random": -0.2})), "", True, "t")
    assert alone.axes[1].get_ylim()[0] < -60


def test_points_with_flagged_runs_are_ringed_once_in_the_legend():
    frame = outcomes()
    frame.loc[(frame.source == "untrained") & (frame.layers >= 2), "flags"] = "not_trained"
    frame.loc[(frame.source != frame.target) & (frame.layers == 3) & (frame.role == "outcome"), "flags"] = "diverging"
    figure = drawn(draw_transfer, layer_runs(frame), "", True, "t")
    rings = [c for c in figure.axes[1].collections if len(c.get_facecolors()) == 0 and len(c.get_offsets())]
    assert sum(len(c.get_offsets()) for c in rings) == 2 + 1 + 1
    texts = [t.get_text() for t in figure.axes[1].get_legend().get_texts()]
    assert texts.count("flagged runs") == 1


def test_controls_are_lines_across():
    frame = outcomes()
    longer = frame[frame.role == "baseline"].drop_duplicates(["target", "seed"])
    longer = longer.assign(baseline="longer", trial_id="l" + longer.trial_id, value=longer.value + 0.04)
    data = layer_runs(pd.concat([frame, longer], ignore_index=True), relative_to="base")
    figure = drawn(draw_transfer, data, "", True, "t")
    assert lines_of(figure.axes[1])["longer"].get_ydata()[0] == pytest.approx(4.0)
    assert lines_of(figure.axes[0])["longer"].get_ydata()[0] == pytest.approx(100 * longer.value.mean())


def test_the_note_says_what_intervals_are_over():
    assert interval_note(published(), [RANDOM]) == (
        "95% intervals: over 4 independent splits; halves of a split count as one (cluster-robust, Student's t); over "
        "fewer where fewer have such runs."
    )
    assert interval_note(published(), ["whole"], drawn=True) == "Intervals: not estimable (one split)."
    several = interval_note(published(), [RANDOM, "dissimilar", "whole", RANDOM], drawn=True)
    assert "random halves over 4 independent splits; dissimilar, whole not estimable (one split)" in several
    known = attributes_of({"task_attributes": attributes((0, 1, 2, "n"))})
    data = layer_runs(outcomes((0, 1, 2, "n"), seeds=range(5)), similar_by="parting", attributes=known)
    assert "over 5 seeds of one split" in interval_note(data, ["named"])


def test_looks_tell_frozen_from_trained_and_own_from_other():
    looks = {t: look_of(t, k) for k, t in enumerate(("BnB", "AnB", "BnB+", "AnB+", "random", "AnB, 2 more trained"))}
    assert len({(v.colour, v.dashes, v.marker) for v in looks.values()}) == len(looks)
    assert looks["BnB"].dashes == looks["AnB"].dashes == "-" and looks["AnB+"].dashes == "--"
    assert looks["AnB"].fill == looks["AnB"].colour and looks["AnB+"].fill == "white"
    assert look_of("mystery", 1) != look_of("mystery", 2)


@pytest.mark.parametrize("paired", [True, False])
def test_one_number_of_layers_and_one_treatment_can_be_drawn(paired):
    data = layer_runs(outcomes((0,), seeds=(0,), layers=(4,), effects={"AnB": -0.1}))
    for figure in (drawn(draw_transfer, data, "", paired, "t"), drawn(draw_similar, data, paired, "t")):
        assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == ["4"]
