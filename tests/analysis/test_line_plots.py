"""Lines against an axis with intervals over seeds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis import line_plot, lines
from analysis.figures import style
from analysis.line_plots import draw_lines
from harness.errors import HarnessError


@pytest.fixture
def by_shots(grid_frame):
    def make(*shots, **more):
        rows = pd.concat([grid_frame(tasks="ab", draw=k, **more).assign(shots=s) for k, s in enumerate(shots)])
        return rows.assign(trial_id=[f"t{k}" for k in range(len(rows))])

    return make


def test_values_and_intervals(by_shots):
    rows = by_shots(1, 5, 20)
    found = lines(rows, "shots", by="method", over=["source", "target"])
    assert found.matrix.row_labels == ("probe", "tune") and list(found.positions) == [1, 5, 20]
    chosen = rows[(rows.role == "outcome") & (rows.method == "tune") & (rows.shots == 5)]
    per_seed = chosen.groupby("seed").value.mean()
    low, high = stats.t.interval(0.95, 2, per_seed.mean(), per_seed.std(ddof=1) / np.sqrt(3))
    assert (found.low[1, 1], found.high[1, 1]) == (pytest.approx(low), pytest.approx(high))
    assert found.note.startswith("Bands: 95%")


def test_words_among_numbers_stand_last_at_equal_distances(by_shots):
    found = lines(by_shots(20, "all", 1), "shots", by="method", over=["source", "target"])
    assert found.matrix.col_labels == ("1", "20", "all")
    assert not found.numeric and list(found.positions) == [0, 1, 2]


def test_one_line_without_by_and_relative_to_a_baseline(by_shots):
    found = lines(by_shots(1, 5), "shots", over=["source", "target"], filter={"method": "tune"}, relative_to="own")
    assert found.matrix.shape == (1, 2) and np.isfinite(found.matrix.values).all() and found.matrix.signed


def test_nothing_is_averaged_silently(by_shots):
    with pytest.raises(HarnessError, match="'source' varies"):
        lines(by_shots(1, 5), "shots", by="method", over=["target"])


def test_one_seed_has_no_band(by_shots, tmp_path):
    found = lines(by_shots(1, 5, seeds=[0]), "shots", by="method", over=["source", "target"])
    assert np.isnan(found.low).all() and found.note == "Intervals over seeds: not estimable (one seed)."
    path = line_plot(found, tmp_path / "a.svg", title="mine")
    assert path.stat().st_size > 1000


def test_wide_ranges_are_logarithmic_and_every_point_has_a_tick(by_shots):
    with style():
        wide = draw_lines(lines(by_shots(1, 10, 100), "shots", by="method", over=["source", "target"]))
        near = draw_lines(lines(by_shots(1, 2, 3), "shots", by="method", over=["source", "target"]))
    assert (wide.axes[0].get_xscale(), near.axes[0].get_xscale()) == ("log", "linear")
    assert [t.get_text() for t in wide.axes[0].get_xticklabels()] == ["1", "10", "100"]
    assert [t.get_text() for t in near.axes[0].get_legend().get_texts()] == ["probe", "tune"]
