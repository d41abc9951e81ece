"""Predicted against actual, one panel per target, with the correlation of each panel."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from analysis.correlation import SYMBOLS, Correlations, aligned
from analysis.figures import axes_at, new_figure, save, shorten, style, text_size
from analysis.matrix import TransferMatrix
from analysis.palette import FAINT, categorical
from analysis.short_names import short_names
from analysis.units import minus

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PANEL, _GAP_X, _GAP_Y = 1.75, 0.62, 0.62
_MOST_ACROSS = 4
_MOST_NAMED = 6


def scatter(
    x: TransferMatrix, y: TransferMatrix, found: Correlations, path: str | Path, *, title: str | None = None
) -> Path:
    """Draw the cells behind ``found = correlate(x, y)`` to a PNG, SVG or PDF file, a panel per target."""
    with style():
        return save(draw_scatter(x, y, found, title=title), path)


def draw_scatter(x: TransferMatrix, y: TransferMatrix, found: Correlations, *, title: str | None = None) -> Figure:
    """The figure of ``scatter``; call inside ``figures.style()``. Self cells are hollow and in no number."""
    a, b, row_labels, col_labels, _ = aligned(x, y)
    n = max(len(col_labels), 1)
    across = min(n, _MOST_ACROSS)
    down = -(-n // across)
    width = 0.75 + across * _PANEL + (across - 1) * _GAP_X + 0.2
    head = title if title is not None else f"{y.title} against {x.title}"
    width = max(width, min(text_size(head, 11.0, True)[0] + 0.3, 9.0))
    figure = new_figure(width, 0.95 + down * (_PANEL + _GAP_Y))
    top = float(figure.get_size_inches()[1]) - 0.75
    short = short_names([*row_labels, *col_labels])
    for k, col in enumerate(col_labels):
        place = (0.75 + (k % across) * (_PANEL + _GAP_X), top - (k // across) * (_PANEL + _GAP_Y) - _PANEL)
        axes = axes_at(figure, *place, _PANEL, _PANEL)
        own = np.array([row == col for row in row_labels], dtype=bool)
        _panel(axes, (a[:, k] * x.unit.scale, b[:, k] * y.unit.scale), own, [short[row] for row in row_labels])
        reading = found.per_target.get(col)
        symbol = SYMBOLS[found.pooled.kind]
        name = short[col]
        text = f"{shorten(name, 20)}  {symbol} = {minus(str(reading).split(' [')[0])}" if reading else shorten(name, 28)
        axes.set_title(text, fontsize=8.5, loc="left", weight="normal", pad=4)
    total_w, total_h = figure.get_size_inches()
    figure.text(0.12 / total_w, 1 - 0.12 / total_h, head, va="top", fontsize=11, weight="bold")
    figure.text(0.12 / total_w, 1 - 0.36 / total_h, f"across: {x.quantity}; up: {y.quantity}", va="top", fontsize=8,
                color="#5b626b")  # fmt: skip
    return figure


def _panel(axes: Axes, points: tuple[np.ndarray, np.ndarray], own: np.ndarray, names: list[str]) -> None:
    a, b = points
    fine = np.isfinite(a) & np.isfinite(b)
    axes.scatter(a[fine & ~own], b[fine & ~own], s=16, color=categorical()[0], linewidths=0)
    axes.scatter(a[fine & own], b[fine & own], s=18, facecolors="none", edgecolors=FAINT, linewidths=0.9)
    axes.tick_params(labelsize=7, length=2.5, width=0.6)
    axes.margins(0.14)
    axes.locator_params(nbins=4)
    if fine.sum() <= _MOST_NAMED:
        for k in np.flatnonzero(fine):
            axes.annotate(shorten(names[k], 12), (a[k], b[k]), (3, 3), textcoords="offset points", fontsize=6.5)
