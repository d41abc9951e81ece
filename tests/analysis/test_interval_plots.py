"""Lines with intervals: every line has its place, bands and summaries are drawn, nothing is cut off."""

from __future__ import annotations

import pytest

from analysis.figures import style
from analysis.interval_plots import Line, Part, draw_intervals

NAN = float("nan")
PARTS = (
    Part("sources, a long heading of a part", (Line("a", 1.0, 0.5, 1.5, "+1.0"), Line("b", -1.0, NAN, NAN, "-1.0"))),
    Part("nothing", ()),
    Part("", (Line("all", 0.0, -0.2, 0.2, "0.0", (-0.5, 0.5), True), Line("none", NAN, NAN, NAN, "undefined"))),
)  # fmt: skip


@pytest.fixture
def figure():
    with style():
        made = draw_intervals(PARTS, "A title", "percentage points", "a note")
        made.canvas.draw()
        yield made


def test_lines_keep_their_order_and_parts_stand_apart(figure):
    (axes,) = figure.axes
    assert [t.get_text() for t in axes.get_yticklabels()] == ["a", "b", "all", "none"]
    places = list(axes.get_yticks())
    assert places == sorted(places) and places[2] - places[1] > 1.0
    assert axes.yaxis_inverted()


def test_intervals_and_points_are_where_they_belong(figure):
    (axes,) = figure.axes
    drawn = [list(map(float, line.get_xdata())) for line in axes.lines]
    assert [0.5, 1.5] in drawn and [-0.2, 0.2] in drawn and [-1.0] in drawn
    assert sum(len(x) == 2 for x in drawn) == 3, "two intervals and the line at zero"
    assert len(axes.collections) == 1, "one band"


def test_texts_are_inside_the_figure(figure):
    renderer = figure.canvas.get_renderer()
    box = figure.bbox
    texts = [*figure.texts, *figure.axes[0].texts, *figure.axes[0].get_yticklabels(), figure.axes[0].xaxis.label]
    for text in texts:
        if text.get_text():
            extent = text.get_window_extent(renderer)
            assert extent.x0 >= box.x0 - 1 and extent.x1 <= box.x1 + 1, text.get_text()
            assert extent.y0 >= box.y0 - 1 and extent.y1 <= box.y1 + 1, text.get_text()


def test_minus_signs_are_typographic(figure):
    assert "\N{MINUS SIGN}1.0" in [t.get_text() for t in figure.axes[0].texts]
