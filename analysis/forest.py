"""Correlations with their intervals as points on a common axis: one line per target, then pooled and mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analysis.correlation import SYMBOLS, Correlation, Correlations
from analysis.figures import axes_at, new_figure, shorten, text_size, widest
from analysis.palette import FAINT, INK, categorical
from analysis.short_names import short_names
from analysis.units import NOT_ESTIMABLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LINE = 0.25


def draw_forest(found: Correlations, title: str) -> Figure:
    """Draw per-target coefficients, and below a gap the pooled one and the mean; call inside ``figures.style()``."""
    short = short_names(list(found.per_target))
    entries = [(shorten(short[name]), value) for name, value in found.per_target.items()]
    entries += [("pooled over cells", found.pooled), ("mean over targets", found.mean)]
    texts = [str(value) for _, value in entries]
    left, right = 0.3 + widest([n for n, _ in entries], 9.0), 0.3 + widest(texts, 8.5)
    height = _LINE * (len(entries) + 1)
    width = max(left + 3.6 + right, text_size(title, 11.0, True)[0] + 0.3)
    figure = new_figure(width, height + 1.15)
    axes = axes_at(figure, left, 0.55, 3.6, height)
    axes.set_xlim(-1.05, 1.05)
    axes.set_ylim(len(entries) + 0.5, -0.5)
    axes.axvline(0.0, color=FAINT, linewidth=0.9)
    axes.grid(axis="x", color="#e3e5e8", linewidth=0.6)
    axes.set_axisbelow(True)
    for k, (_, value) in enumerate(entries):
        _point(axes, value, _place(k, len(entries)), k >= len(entries) - 2)
    places = [_place(k, len(entries)) for k in range(len(entries))]
    axes.set_xticks([-1.0, -0.5, 0.0, 0.5, 1.0])
    axes.set_yticks(places, [n for n, _ in entries])
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(f"{SYMBOLS[found.pooled.kind]} ({found.pooled.kind}, {found.pooled.variant})")
    axes.spines["left"].set_visible(False)
    for place, text in zip(places, texts, strict=True):
        axes.text(1.1, place, text, va="center", ha="left", fontsize=8.5)
    total_w, total_h = figure.get_size_inches()
    figure.text(0.12 / total_w, 1 - 0.12 / total_h, title, va="top", fontsize=11, weight="bold")
    return figure


def _place(k: int, n: int) -> float:
    """Height of an entry; the last two stand apart."""
    return float(k) + (0.5 if k >= n - 2 else 0.0)


def _point(axes: Axes, value: Correlation, place: float, summary: bool) -> None:
    colour = INK if summary else categorical()[0]
    if np.isnan(value.estimate):
        axes.text(0.0, place, NOT_ESTIMABLE, ha="center", va="center", fontsize=8, color=FAINT)
        return
    if np.isfinite(value.low):
        axes.plot([value.low, value.high], [place, place], color=colour, linewidth=1.6, solid_capstyle="butt")
    axes.plot([value.estimate], [place], marker="D" if summary else "o", color=colour, markersize=5)
