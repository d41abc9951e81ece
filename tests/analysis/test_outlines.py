"""Frames around cells: the borders between chosen cells and others, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.figures import axes_at, new_figure, style
from analysis.outlines import draw_outline, segments


def by_hand(cells):
    """Sides of each chosen cell whose neighbour is not chosen."""
    rows, cols = cells.shape
    found = set()
    for i in range(rows):
        for j in range(cols):
            sides = {
                (i - 1, j): ((j - 0.5, i - 0.5), (j + 0.5, i - 0.5)),
                (i + 1, j): ((j - 0.5, i + 0.5), (j + 0.5, i + 0.5)),
                (i, j - 1): ((j - 0.5, i - 0.5), (j - 0.5, i + 0.5)),
                (i, j + 1): ((j + 0.5, i - 0.5), (j + 0.5, i + 0.5)),
            }
            for (a, b), side in sides.items():
                outside = not (0 <= a < rows and 0 <= b < cols) or not cells[a, b]
                if cells[i, j] and outside:
                    found.add(side)
    return found


def as_set(lines):
    return {tuple(sorted(map(tuple, line.tolist()))) for line in lines}


@pytest.mark.parametrize("draw", range(6))
def test_segments_are_the_sides_towards_other_cells(draw):
    cells = np.random.default_rng(draw).random((5, 7)) < (draw + 1) / 7
    found = segments(cells)
    assert as_set(found) == by_hand(cells) and len(found) == len(by_hand(cells))


def test_one_block_has_one_frame_and_nothing_has_none():
    block = np.zeros((6, 6), dtype=bool)
    block[1:4, 2:4] = True
    assert len(segments(block)) == 2 * (3 + 2)
    assert segments(np.zeros((3, 3), dtype=bool)).shape == (0, 2, 2)
    assert len(segments(np.ones((2, 3), dtype=bool))) == 10


def test_the_frame_lies_around_the_cells_of_an_axes():
    cells = np.eye(3, dtype=bool)
    with style():
        figure = new_figure(2, 2)
        axes = axes_at(figure, 0.2, 0.2, 1.6, 1.6)
        draw_outline(axes, cells)
    (lines,) = axes.collections
    assert len(lines.get_segments()) == 12
    assert np.concatenate(lines.get_segments()).min() == -0.5 and np.concatenate(lines.get_segments()).max() == 2.5
