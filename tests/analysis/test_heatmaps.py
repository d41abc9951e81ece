"""Heatmaps as files and as drawings: sizes, labels that do not overlap, marks, determinism."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from analysis import heatmap, transfer_matrix
from analysis.figures import shorten, style, text_size, widest
from analysis.heatmap_layout import HATCHES, annotation, legend_lines, plan_layout
from analysis.heatmaps import draw, grouped, runs
from analysis.matrix import REASONS
from harness.errors import HarnessError


@pytest.fixture
def matrix(grid_frame):
    rows = grid_frame(tasks=["digits_upright", "digits_rotated", "digits_flipped", "x"], methods=["m"])
    rows.loc[(rows.source == "x") & (rows.target == "digits_flipped"), "flags"] = "not_trained"
    return transfer_matrix(rows[~((rows.source == "x") & (rows.target == "digits_rotated"))], relative_to="own")


def texts(figure):
    """All visible texts of a figure with their boxes in pixels."""
    from matplotlib.text import Text

    figure.canvas.draw()  # axis labels find their place only when drawn
    renderer = figure.canvas.get_renderer()
    bar = figure.axes[1]
    low, high = bar.get_ylim()
    # Ticks beyond the ends of the colour bar exist as objects, but are not drawn.
    beyond = [t for t in bar.get_yticklabels() if not low <= t.get_position()[1] <= high]
    found = [t for t in figure.findobj(Text) if t.get_text().strip() and t.get_visible() and t not in beyond]
    return [(t, t.get_window_extent(renderer)) for t in found]


def polygon(text, box, renderer):
    """The four corners of a text's own rectangle, which is smaller than its box when it is tilted."""
    angle = np.deg2rad(text.get_rotation())
    rotation, text._rotation = text._rotation, 0.0
    flat = text.get_window_extent(renderer)
    text._rotation = rotation
    half = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * [flat.width / 2, flat.height / 2]
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return half @ turn + [(box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2]


def overlap(one, other):
    """Whether two convex polygons overlap by more than a pixel (separating axes)."""
    for shape in (one, other):
        edges = np.roll(shape, -1, axis=0) - shape
        for normal in np.stack([-edges[:, 1], edges[:, 0]], axis=1):
            normal = normal / np.linalg.norm(normal)
            a, b = one @ normal, other @ normal
            if a.max() < b.min() + 1 or b.max() < a.min() + 1:
                return False
    return True


def assert_clear(figure):
    """No text lies on another or sticks out of the figure."""
    found = [(t.get_text(), polygon(t, box, figure.canvas.get_renderer()), box) for t, box in texts(figure)]
    width, height = figure.get_size_inches() * figure.dpi
    for text, _, box in found:
        assert box.x0 > -1 and box.y0 > -1 and box.x1 < width + 1 and box.y1 < height + 1, text
    for (a, first, box_a), (b, second, box_b) in itertools.combinations(found, 2):
        if box_a.overlaps(box_b):
            assert not overlap(first, second), f"{a!r} overlaps {b!r}"


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_files_of_every_format_have_the_same_bytes_twice(matrix, tmp_path, ending):
    first = heatmap(matrix, tmp_path / f"one.{ending}")
    second = heatmap(matrix, tmp_path / "deeper" / f"two.{ending}")
    assert first.read_bytes() == second.read_bytes()
    assert 2_000 < first.stat().st_size < 400_000


def test_a_png_is_as_large_as_planned(matrix, tmp_path):
    from PIL import Image

    path = heatmap(matrix, tmp_path / "a.png")
    plan = plan_layout(matrix, False, True, None, matrix.title)
    with Image.open(path) as image:
        assert image.size == pytest.approx((plan.width * 160, plan.height * 160), abs=2)
        assert len(np.unique(np.asarray(image.convert("RGB")).reshape(-1, 3), axis=0)) > 20


def test_an_unknown_format_is_refused(matrix, tmp_path):
    with pytest.raises(HarnessError, match=r"'a.jpeg'"):
        heatmap(matrix, tmp_path / "a.jpeg")


@pytest.mark.parametrize("n", [1, 2, 8, 14])
def test_no_text_overlaps_another(grid_frame, n):
    rows = grid_frame(tasks=[f"some_long_task_{k}" for k in range(n)], methods=["m"], seeds=[0, 1])
    matrix = transfer_matrix(rows, relative_to="own")
    with style():
        assert_clear(draw(matrix))


def test_no_text_overlaps_with_brackets_and_a_long_title(grid_frame):
    names = [f"task{k}" for k in range(9)]
    groups = {name: f"quite a long family {k % 3}" for k, name in enumerate(names)}
    rows = grid_frame(tasks=names, methods=["m"], seeds=[0])
    with style():
        assert_clear(draw(transfer_matrix(rows), groups=groups, title="A title of some length, " * 3))


@pytest.mark.slow
def test_sixty_by_sixty_has_every_label_and_no_overlap(grid_frame):
    names = [f"task{k}" for k in range(60)]
    matrix = transfer_matrix(grid_frame(tasks=names, methods=["m"], seeds=[0, 1]), relative_to="own")
    with style():
        figure = draw(matrix)
        assert_clear(figure)
        shown = [t.get_text() for t, _ in texts(figure)]
    assert all(shown.count(name) == 2 for name in names)
    assert max(figure.get_size_inches()) < 13


def test_values_spreads_daggers_and_stars_are_written(matrix):
    with style():
        shown = [t.get_text() for t, _ in texts(draw(matrix))]
    value = matrix.unit.text(float(matrix.values[0, 0]), True).replace("-", "−")
    assert value in shown
    assert f"±{matrix.unit.text(float(matrix.spread[0, 0]))}" in shown
    assert any(t.endswith("†") and len(t) > 1 for t in shown)
    assert any(t.endswith("*") and len(t) > 1 for t in shown)
    assert {"not run (1)", "flagged: not_trained (1)", "mean of the measured cells only"} <= set(shown)


def test_without_annotations_nothing_is_written_into_cells(matrix):
    with style():
        shown = [t.get_text() for t, _ in texts(draw(matrix, annotate=False, marginals=False))]
    assert not any("±" in t and len(t) < 8 for t in shown)
    assert "mean" not in shown


def test_missing_cells_are_hatched_by_reason(matrix):
    from matplotlib.collections import PatchCollection

    with style():
        figure = draw(matrix)
    hatches = {c.get_hatch(): len(c.get_paths()) for c in figure.findobj(PatchCollection) if c.get_hatch()}
    assert hatches == {HATCHES["not run"]: 1}


def test_every_reason_has_its_own_hatch():
    assert set(HATCHES) == set(REASONS)
    assert len(set(HATCHES.values())) == len(REASONS)


def test_the_scale_is_centred_at_the_baseline(matrix, grid_frame):
    with style():
        bar = draw(matrix).axes[1]
    low, high = bar.get_ylim()
    assert low == pytest.approx(-high)
    assert high == pytest.approx(np.nanmax(np.abs(matrix.values)) * 100)
    assert "percentage points" in bar.get_ylabel().replace("\n", " ")
    with style():
        plain = draw(transfer_matrix(grid_frame(methods=["m"]))).axes[1]
    assert plain.get_ylim()[0] > 0 and plain.get_ylabel() == "test accuracy (%)"


@pytest.mark.parametrize("value", [0.0, 0.5])
def test_equal_values_have_a_scale_too(frame, value):
    rows = [{"source": s, "value": value} for s in "ab"] + [{"role": "baseline", "baseline": "own", "value": value}]
    for relative_to in (None, "own"):
        with style():
            low, high = draw(transfer_matrix(frame(rows), relative_to=relative_to)).axes[1].get_ylim()
        assert low < high


def test_a_matrix_without_any_value_can_be_drawn(frame, tmp_path):
    rows = frame([{"source": s, "status": "failed"} for s in "ab"])
    assert heatmap(transfer_matrix(rows), tmp_path / "a.png").stat().st_size > 1000


def test_groups_bring_labels_together_and_keep_every_cell(grid_frame):
    matrix = transfer_matrix(grid_frame(methods=["m"]))
    families = {"a": "x", "b": "y", "c": "x", "d": "y", "e": "x"}
    moved = grouped(matrix, families)
    assert moved.row_labels == moved.col_labels == ("a", "c", "e", "b", "d")
    for row, col in itertools.product("abcde", repeat=2):
        assert moved.cell(row, col) == matrix.cell(row, col)


def test_runs():
    assert runs(["x", "x", "", "y", "x"]) == [("x", 0, 2), ("y", 3, 4), ("x", 4, 5)]
    assert runs([]) == []


def test_annotations_shrink_and_vanish_with_the_cells(matrix):
    large, with_spread = annotation(matrix, 0.76, 0.48, None)
    small, without = annotation(matrix, 0.3, 0.2, None)
    assert with_spread and large > small > 0 and not without
    assert annotation(matrix, 0.14, 0.14, None) == (0.0, False)
    assert annotation(matrix, 0.14, 0.14, True)[0] > 0
    assert annotation(matrix, 0.76, 0.48, False) == (0.0, False)


def test_the_legend_breaks_into_lines_that_fit(matrix):
    assert len(legend_lines(matrix, 20.0, True)) == 1
    assert len(legend_lines(matrix, 1.0, True)) == 3


def test_text_is_measured():
    assert text_size("mmmm", 10)[0] > text_size("iiii", 10)[0] > 0 == text_size(" ", 10)[0]
    assert text_size("abc", 20)[0] == pytest.approx(2 * text_size("abc", 10)[0], rel=0.02)
    assert widest(["a", "abc"], 9) == text_size("abc", 9)[0] and widest([], 9) == 0.0


def test_long_names_lose_their_middle():
    assert shorten("short") == "short"
    assert shorten("a" * 30 + "b" * 30, 11) == "aaaaa…bbbbb"
