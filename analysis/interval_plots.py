"""Estimates with intervals on a common axis, one line each, in sections: who helps, who is helped, who agrees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analysis.figures import axes_at, new_figure, shorten, text_size, widest
from analysis.palette import FAINT, INK, MISSING, categorical
from analysis.short_names import short_names
from analysis.units import minus

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LINE, _GAP = 0.24, 0.7
_MIDDLE = 3.6  # inches of the axis


@dataclass(frozen=True)
class Line:
    """An estimate with its interval (NaN: none), a text printed beside it, and a band that chance would give."""

    label: str
    value: float
    low: float
    high: float
    text: str
    band: tuple[float, float] | None = None
    summary: bool = False


@dataclass(frozen=True)
class Part:
    """Lines under a heading."""

    heading: str
    lines: tuple[Line, ...]


def draw_intervals(parts: Sequence[Part], title: str, across: str, note: str = "") -> Figure:
    """Draw parts below one another; call inside ``figures.style()``. ``across``: what the axis shows."""
    shown = [part for part in parts if part.lines]
    lines = [line for part in shown for line in part.lines]
    short = short_names([line.label for line in lines])
    heads = max((text_size(part.heading, 9.0, True)[0] for part in shown), default=0.0)
    left = 0.3 + max(widest([shorten(short[line.label]) for line in lines], 9.0), heads)
    right = 0.3 + widest([line.text for line in lines], 8.5)
    places, headings, end = _places(shown)
    height = _LINE * (end + 0.5)
    width = max(left + _MIDDLE + right, text_size(title, 11.0, True)[0] + 0.3, text_size(note, 8.0)[0] + 0.3)
    top = 0.5 + (0.2 if note else 0.0)
    figure = new_figure(width, height + 0.55 + top)
    axes = axes_at(figure, left, 0.55, _MIDDLE, height)
    axes.set_ylim(end, -0.5)
    axes.axvline(0.0, color=FAINT, linewidth=0.9)
    axes.grid(axis="x", color="#e3e5e8", linewidth=0.6)
    axes.set_axisbelow(True)
    for line, place in zip(lines, places, strict=True):
        _draw(axes, line, place)
    axes.set_yticks(places, [shorten(short[line.label]) for line in lines])
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(across)
    axes.spines["left"].set_visible(False)
    beside = axes.get_yaxis_transform()
    for line, place in zip(lines, places, strict=True):
        axes.text(1.03, place, minus(line.text), transform=beside, va="center", ha="left", fontsize=8.5)
    for heading, place in headings:
        axes.text(-0.01, place, heading, transform=beside, va="center", ha="right", fontsize=9, weight="bold")
    total_w, total_h = figure.get_size_inches()
    figure.text(0.12 / total_w, 1 - 0.12 / total_h, title, va="top", fontsize=11, weight="bold")
    if note:
        figure.text(0.12 / total_w, 1 - 0.36 / total_h, note, va="top", fontsize=8, color="#5b626b")
    return figure


def _places(parts: Sequence[Part]) -> tuple[list[float], list[tuple[str, float]], float]:
    """Heights of the lines and of the headings, and where the last part ends."""
    places: list[float] = []
    headings: list[tuple[str, float]] = []
    at = 0.0
    for part in parts:
        if part.heading:
            headings.append((part.heading, at))
            at += 1.0
        for _ in part.lines:
            places.append(at)
            at += 1.0
        at += _GAP
    return places, headings, at - _GAP


def _draw(axes: Axes, line: Line, place: float) -> None:
    colour = INK if line.summary else categorical()[0]
    if line.band is not None and np.isfinite(line.band).all():
        axes.fill_betweenx([place - 0.36, place + 0.36], *line.band, color=MISSING, edgecolor=FAINT, linewidth=0.5)
    if np.isfinite(line.low) and np.isfinite(line.high):
        axes.plot([line.low, line.high], [place, place], color=colour, linewidth=1.6, solid_capstyle="butt")
    if np.isfinite(line.value):
        axes.plot([line.value], [place], marker="D" if line.summary else "o", color=colour, markersize=4.5)
