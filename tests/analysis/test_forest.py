"""The figure of correlations with their intervals."""

from __future__ import annotations

import numpy as np

from analysis import correlate, transfer_matrix
from analysis.figures import style
from analysis.forest import draw_forest


def test_every_target_and_both_summaries_have_a_line(grid_frame):
    rows = grid_frame(tasks="abcdef")
    rows.loc[(rows.target == "c") & (rows.method == "probe") & (rows.role == "outcome"), "value"] = 0.5
    x, y = (transfer_matrix(rows, filter={"method": m}) for m in ("probe", "tune"))
    found = correlate(x, y, "kendall", n_resamples=100)
    with style():
        axes = draw_forest(found, "probe against tune").axes[0]
    assert [t.get_text() for t in axes.get_yticklabels()] == [*"abcdef", "pooled over cells", "mean over targets"]
    points = [line.get_xdata()[0] for line in axes.get_lines() if len(line.get_xdata()) == 1]
    expected = [r.estimate for r in (*found.per_target.values(), found.pooled, found.mean) if not np.isnan(r.estimate)]
    assert np.allclose(points, expected)
    shown = [t.get_text() for t in axes.texts]
    assert "not estimable" in shown and "undefined (x is constant)" in shown
    assert axes.get_xlabel() == "τ_b (kendall, tau-b)"
