"""Critical-difference diagrams: methods on an axis of mean ranks, bars over those that do not differ."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from analysis.figures import axes_at, new_figure, save, shorten, style, text_size, widest
from analysis.palette import FAINT, INK, categorical
from analysis.ranking_tests import RankingTest
from harness.errors import HarnessError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LINE = 0.24


def critical_difference(test: RankingTest, path: str | Path, *, title: str = "Mean ranks") -> Path:
    """Draw ``rank_methods``'s result to a PNG, SVG or PDF file, by the ending of ``path``."""
    with style():
        return save(draw_critical_difference(test, title=title), path)


def draw_critical_difference(test: RankingTest, *, title: str = "Mean ranks") -> Figure:
    """The figure of ``critical_difference``; call inside ``figures.style()``. Best is left.

    Raises:
        HarnessError: when there is no test to draw.
    """
    if test.reason and not np.isfinite(test.mean_ranks).all():
        raise HarnessError(f"There are no mean ranks to draw: {test.reason}.")
    k = len(test.names)
    order = np.argsort(test.mean_ranks, kind="stable")
    left = list(order[: (k + 1) // 2])
    right = list(order[(k + 1) // 2 :])[::-1]
    room = [widest([_label(test, m) for m in side], 9.0) for side in (left, right)]
    margin = max(0.35 + max(room), 0.8)
    below = 0.3 + 0.12 * len(test.groups) + _LINE * max(len(left), len(right))
    span = 3.6
    width = max(span + 2 * margin, min(text_size(title, 11.0, True)[0] + 0.3, 9.0))
    figure = new_figure(width, below + 1.35)
    axes = axes_at(figure, (width - span) / 2, 0.12, span, below + 0.3)
    axes.set_axis_off()
    axes.set_xlim(1, k)
    axes.set_ylim(-below, 0.3)
    axes.set_clip_on(False)
    _scale(axes, k)
    _bars(axes, test)
    base = 0.3 + 0.12 * len(test.groups)
    for side, members, where in (("right", left, 1 - 0.06 * (k - 1)), ("left", right, k + 0.06 * (k - 1))):
        for line, m in enumerate(members):
            _method(axes, float(test.mean_ranks[m]), base + _LINE * line, where, side, _label(test, int(m)))
    _heading(figure, test, title)
    _interval(figure, axes, test, span / max(k - 1, 1), (width - span) / 2)
    return figure


def _label(test: RankingTest, m: int) -> str:
    return f"{shorten(test.names[m], 26)} ({test.mean_ranks[m]:.2f})"


def _scale(axes: Axes, k: int) -> None:
    axes.plot([1, k], [0, 0], color=INK, linewidth=1.0, clip_on=False)
    for rank in range(1, k + 1):
        axes.plot([rank, rank], [0, 0.07], color=INK, linewidth=0.9, clip_on=False)
        axes.text(rank, 0.11, str(rank), ha="center", va="bottom", fontsize=8)


def _bars(axes: Axes, test: RankingTest) -> None:
    ranks = dict(zip(test.names, test.mean_ranks, strict=True))
    for line, group in enumerate(test.groups):
        y = -0.14 - 0.12 * line
        ends = [ranks[group[0]], ranks[group[-1]]]
        axes.plot(ends, [y, y], color=categorical()[0], linewidth=3.2, solid_capstyle="round", clip_on=False)


def _method(axes: Axes, rank: float, depth: float, where: float, side: str, text: str) -> None:
    axes.plot([rank, rank, where], [0, -depth, -depth], color=FAINT, linewidth=0.8, clip_on=False)
    gap = 0.015 * (axes.get_xlim()[1] - 1)
    axes.text(where + (-gap if side == "right" else gap), -depth, text, ha=side, va="center", fontsize=9)


def _interval(figure: Figure, axes: Axes, test: RankingTest, per_rank: float, left: float) -> None:
    """The length of the critical difference, above the axis."""
    height = float(figure.get_size_inches()[1])
    if not np.isfinite(test.critical_difference):
        return
    from matplotlib.lines import Line2D

    y = height - 0.74
    length = min(test.critical_difference * per_rank, float(figure.get_size_inches()[0]) - left - 0.8)
    inches = figure.dpi_scale_trans
    figure.add_artist(Line2D([left, left + length], [y, y], transform=inches, color=categorical()[0], linewidth=2))
    figure.text(left + length + 0.06, y, f"CD = {test.critical_difference:.2f}", transform=inches, va="center",
                fontsize=8)  # fmt: skip


def _heading(figure: Figure, test: RankingTest, title: str) -> None:
    width, height = figure.get_size_inches()
    figure.text(0.12 / width, 1 - 0.12 / height, title, va="top", fontsize=11, weight="bold")
    chi = f"Friedman χ² = {test.statistic:.2f}, p = {test.p_value:.2g}" if np.isfinite(test.statistic) else test.reason
    text = f"{chi}; {test.n_tasks} tasks; bars join methods within Nemenyi's CD at {test.level:.0%}."
    figure.text(0.12 / width, 1 - 0.34 / height, text, va="top", fontsize=8, color="#5b626b")
