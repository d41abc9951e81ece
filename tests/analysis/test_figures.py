"""Figures without a display: measured texts, places in inches, files that do not change from day to day."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from analysis.figures import FORMATS, _right_end, axes_at, new_figure, save, shorten, style, text_size, widest
from analysis.heatmap_layout import annotation, caption_of, entry_width, legend_lines, plan_layout, wrapped
from analysis.matrix import transfer_matrix
from harness.errors import HarnessError


def drawn():
    """A small figure with some text."""
    figure = new_figure(3, 2)
    axes_at(figure, 0.5, 0.5, 2.0, 1.0).plot([0, 1], [0, 1])
    figure.text(0.1, 0.9, "some − text")
    return figure


@pytest.mark.parametrize("ending", FORMATS)
def test_the_same_figure_gives_the_same_bytes(tmp_path, ending):
    with style():
        first, second = (save(drawn(), tmp_path / f"{k}.{ending}") for k in (1, 2))
    assert first.read_bytes() == second.read_bytes()
    start = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[ending]
    assert first.read_bytes().startswith(start)


def test_files_name_neither_day_nor_program(tmp_path):
    with style():
        text = save(drawn(), tmp_path / "a.svg").read_text()
        assert b"CreationDate" not in save(drawn(), tmp_path / "a.pdf").read_bytes()
    assert "<dc:date>" not in text and "Matplotlib v" not in text


def test_folders_are_made_and_other_endings_refused(tmp_path):
    with style():
        assert save(drawn(), tmp_path / "deep" / "er" / "a.PNG").exists()
        with pytest.raises(HarnessError, match=r"'a\.sgv'.*did you mean 'svg'"):
            save(drawn(), tmp_path / "a.sgv")


def test_the_users_settings_come_back(tmp_path):
    import matplotlib as mpl

    before = mpl.rcParams["font.size"]
    mpl.rcParams["font.size"] = before + 3
    try:
        with style():
            assert mpl.rcParams["font.size"] == 9.0
        assert mpl.rcParams["font.size"] == before + 3
    finally:
        mpl.rcParams["font.size"] = before


def test_no_global_figure_is_made():
    with style():
        drawn()
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or pyplot.get_fignums() == []


def test_axes_stand_where_they_are_put():
    with style():
        figure = new_figure(4, 2)
        box = axes_at(figure, 1.0, 0.5, 2.0, 1.0).get_position()
    assert (box.x0, box.y0, box.width, box.height) == pytest.approx((0.25, 0.25, 0.5, 0.5))


def test_text_is_measured():
    with style():
        figure = new_figure(6, 2)
        artist = figure.text(0.1, 0.5, "Measured width", fontsize=11)
        figure.canvas.draw()
        shown = artist.get_window_extent().width / figure.dpi
    assert text_size("Measured width", 11.0)[0] == pytest.approx(shown, rel=0.06)
    assert text_size("", 9.0) == (0.0, 0.125) and text_size("wide", 20.0)[0] > text_size("wide", 10.0)[0]
    assert widest(["a", "aaaa", "aa"], 9.0) == text_size("aaaa", 9.0)[0] and widest([], 9.0) == 0


@pytest.mark.parametrize(("text", "most", "shown"), [
    ("short", 32, "short"), ("abcdefghij", 10, "abcdefghij"), ("abcdefghijk", 10, "abcd…ghijk"), ("abcdef", 3, "a…f"),
])  # fmt: skip
def test_long_names_keep_both_ends(text, most, shown):
    assert shorten(text, most) == shown and len(shorten(text, most)) <= most


@pytest.fixture
def matrix(grid_frame):
    return transfer_matrix(grid_frame(tasks="abcde", methods=("probe",)), relative_to="own")


@pytest.mark.parametrize("beside", [0.0, 0.3, 0.62])
@pytest.mark.parametrize("marginals", [True, False])
def test_nothing_on_a_heatmap_overlaps_by_plan(matrix, beside, marginals):
    with style():
        plan = plan_layout(matrix, beside, marginals, None, "Title")
    assert plan.bar_left >= plan.left + plan.full_w + beside
    assert plan.height >= plan.bottom + plan.grid_h + beside + 0.2
    assert plan.bottom - plan.below_grid > plan.axis_name_y and plan.width > plan.bar_left + 0.16
    rows, cols = plan.row_centres(), plan.col_centres()
    assert len(rows) == len(cols) == 5 + marginals
    assert all(np.diff(rows) < 0) and all(np.diff(cols) > 0)


def test_values_are_written_where_they_can_be_read(matrix):
    with style():
        size, spread = annotation(matrix, 0.76, 0.48, None)
        assert size > 6 and spread
        assert annotation(matrix, 0.14, 0.14, None) == (0.0, False)
        assert annotation(matrix, 0.14, 0.14, True)[0] > 0
        assert annotation(matrix, 0.76, 0.48, False) == (0.0, False)


def test_the_caption_says_what_a_reader_must_know(matrix, grid_frame):
    assert "standard deviation over seeds (n = 3)" in caption_of(matrix, True)
    assert caption_of(matrix, False).startswith("Mean over seeds.") and "Baseline paired" in caption_of(matrix, False)
    over = transfer_matrix(grid_frame(tasks="abc", seeds=(0,)), over=["method"])
    assert "not estimable (one seed)" in caption_of(over, True)
    assert "Averaged over method within each seed." in caption_of(over, True)


def test_a_seed_that_is_averaged_over_is_not_averaged_over_within_itself(grid_frame):
    rows = grid_frame(tasks="abc", seeds=(0, 1, 2))
    seeds = transfer_matrix(rows, over=["seed"], filter={"method": "probe"})
    assert caption_of(seeds, True).endswith("over seeds (n = 3). Averaged over seeds.")
    assert caption_of(seeds, False) == "Mean over seeds."
    assert (seeds.values == transfer_matrix(rows, filter={"method": "probe"}).values).all()
    both = transfer_matrix(rows, over=["seed", "method"])
    assert caption_of(both, False) == "Mean over seeds. Averaged over method within each seed, then over seeds."


def test_the_size_of_text_is_not_left_to_chance():
    """Of values whose texts are as long but not as wide: sets of texts have another order in another process."""
    code = (
        "import numpy as np\nfrom types import SimpleNamespace\nfrom analysis.heatmap_layout import annotation\n"
        "values = np.array([[11.1, -5.0, 40.0, -1.1]])\n"
        "matrix = SimpleNamespace(values=values, signed=False, spread=values * np.nan, col_labels=values,\n"
        "    symbols=lambda *_, **__: '', unit=SimpleNamespace(text=lambda value, _: f'{value:.1f}'))\n"
        "print(annotation(matrix, 0.35, 0.3, True)[0])"
    )
    sizes = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": str(seed)}, capture_output=True,
            text=True, check=True,
        ).stdout
        for seed in range(4)
    }  # fmt: skip
    assert len(sizes) == 1


def test_the_legend_counts_gaps_and_breaks_into_lines(matrix):
    matrix.reasons[0, 0], matrix.reasons[1, 1], matrix.reasons[2, 2] = "failed", "failed", "not run"
    matrix.values[[0, 1, 2], [0, 1, 2]] = np.nan
    matrix.flags[3, 3] = "not_trained"
    with style():
        lines = legend_lines(matrix, 20.0, starred=True)
        texts = [text for line in lines for _, text in line]
        narrow = legend_lines(matrix, 1.0, starred=True)
        assert entry_width("longer") > entry_width("long")
    assert len(lines) == 1 and texts[0] == "failed (2)" and texts[1] == "not run (1)"
    assert "flagged: not_trained (1)" in texts and texts[-1] == "mean of the measured cells only"
    assert len(narrow) == 4


def test_text_is_wrapped_to_the_room():
    with style():
        words = "several words that do not fit on one line of this width"
        lines = wrapped(words, 1.5, 8.0)
        assert " ".join(lines) == words and len(lines) > 1
        assert all(text_size(line, 8.0)[0] < 1.5 * 1.3 for line in lines)


@pytest.mark.parametrize(
    "text", ["a", "Wij", "some − text", "0.123", "ρ = 0.5 †", "trailing  ", "f", "(x) → y", "…", "éß%&@"]
)
@pytest.mark.parametrize("bold", [False, True])
def test_a_text_ends_where_matplotlibs_outline_ends(text, bold):
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    font = FontProperties(family="DejaVu Sans", weight="bold" if bold else "normal")
    box = TextPath((0, 0), text, size=9.5, prop=font).get_extents()
    assert text_size(text, 9.5, bold) == (box.x1 / 72, 9.5 / 72)


def test_an_outline_whose_curve_reaches_furthest_is_measured_by_the_curve():
    from matplotlib.path import Path

    codes = [Path.MOVETO, Path.CURVE3, Path.CURVE3, Path.CLOSEPOLY]
    bulge = Path([(0, 0), (2, 1), (0, 2), (9, 9)], codes)
    assert _right_end(bulge) == pytest.approx(1.0)
