"""Frames around cells of a heatmap: one line around every connected region."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analysis.palette import INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH = 1.3


def segments(cells: np.ndarray) -> np.ndarray:
    """The borders between chosen cells and others: float [n, 2, 2], end points (x, y), cells one apart around integers.

    Args:
        cells: bool [R, C].
    """
    padded = np.pad(cells, 1)
    found: list[tuple[tuple[float, float], tuple[float, float]]] = []
    for i, j in np.argwhere(padded[:, 1:] != padded[:, :-1]):
        found.append(((j - 0.5, i - 1.5), (j - 0.5, i - 0.5)))
    for i, j in np.argwhere(padded[1:] != padded[:-1]):
        found.append(((j - 1.5, i - 0.5), (j - 0.5, i - 0.5)))
    return np.array(found, dtype=float).reshape(-1, 2, 2)


def draw_outline(axes: Axes, cells: np.ndarray) -> None:
    """Frame the chosen cells [R, C] of a heatmap."""
    from matplotlib.collections import LineCollection

    lines = LineCollection(list(segments(cells)), colors=INK, linewidths=WIDTH, capstyle="projecting", zorder=3)
    lines.set_clip_on(False)
    axes.add_collection(lines, autolim=False)
