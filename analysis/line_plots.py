"""A value against an axis (shots, depth, steps), one line per level of another, with intervals over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from analysis.figures import axes_at, new_figure, save, shorten, style, widest
from analysis.matrix import TransferMatrix, transfer_matrix
from analysis.palette import INK, categorical
from analysis.units import NOT_ESTIMABLE, minus

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from analysis.baselines import How, Pairing

_MARKERS = "osD^vP*X"
_ALL = "line"


@dataclass(frozen=True, eq=False)
class Lines:
    """``matrix`` has a row per line and a column per point; ``positions`` [C] are the places of the points.

    ``numeric`` is False when some labels are no numbers ("all"): then points stand at equal distances in order.
    ``low``, ``high`` [R, C]: Student's interval for the mean over seeds at ``level``, NaN (not estimable) with one.
    """

    matrix: TransferMatrix
    positions: np.ndarray
    numeric: bool
    low: np.ndarray
    high: np.ndarray
    level: float

    @property
    def note(self) -> str:
        """What the bands are."""
        if not np.isfinite(self.low).any():
            return f"Intervals over seeds: {NOT_ESTIMABLE} (one seed)."
        cut = "; those of two seeds are cut off" if (self.matrix.seeds == 2).any() else ""
        return f"Bands: {self.level:.0%} interval of the mean over seeds (Student's t){cut}."


def lines(
    frame: pd.DataFrame,
    x: str,
    value: str = "accuracy",
    *,
    by: str | None = None,
    relative_to: str | None = None,
    how: How = "difference",
    paired: Pairing = True,
    over: Sequence[str] = (),
    filter: Mapping[str, object] | None = None,
    split: str | None = "test",
    trials: pd.DataFrame | None = None,
    order: Mapping[str, Sequence[str]] | None = None,
    replaces: Sequence[str] | None = None,
    title: str | None = None,
    level: float = 0.95,
) -> Lines:
    """Values of a metric against the axis ``x``, a line per level of ``by`` (one line when None).

    The other arguments are those of ``transfer_matrix``, which does the averaging and refuses silent averages.
    """
    from scipy import stats

    planned = trials
    if by is None:
        frame = frame.assign(**{_ALL: value})
        planned = None if trials is None else trials.assign(**{_ALL: value})
    matrix = transfer_matrix(
        frame,
        by or _ALL,
        x,
        value,
        relative_to=relative_to,
        how=how,
        paired=paired,
        over=over,
        filter=filter,
        split=split,
        trials=planned,
        order=order,
        replaces=replaces,
        title=title if title is not None else f"{value} by {x}",
    )
    positions = np.array([_number(label) for label in matrix.col_labels])
    numeric = bool(np.isfinite(positions).all())
    n = np.maximum(matrix.seeds, 1)
    half = stats.t.ppf((1 + level) / 2, np.maximum(n - 1, 1)) * matrix.spread / np.sqrt(n)
    places = positions if numeric else np.arange(len(positions), dtype=float)
    return Lines(matrix, places, numeric, matrix.values - half, matrix.values + half, level)


def line_plot(data: Lines, path: str | Path, *, title: str | None = None) -> Path:
    """Draw lines to a PNG, SVG or PDF file, by the ending of ``path``."""
    with style():
        return save(draw_lines(data, title=title), path)


def draw_lines(data: Lines, *, title: str | None = None) -> Figure:
    """The figure of ``line_plot``; call inside ``figures.style()``."""
    matrix = data.matrix
    named = matrix.rows != _ALL
    legend = 0.5 + widest([shorten(t) for t in (*matrix.row_labels, matrix.rows)], 9.0) if named else 0.1
    figure = new_figure(0.75 + 5.2 + legend + 0.2, 4.1)
    axes = axes_at(figure, 0.75, 0.62, 5.2, 2.75)
    for k, label in enumerate(matrix.row_labels):
        _line(axes, data, k, shorten(minus(label)))
    _scale(axes, data)
    _range(axes, data)
    axes.set_xlabel(matrix.cols)
    axes.set_ylabel(matrix.quantity if len(matrix.quantity) < 42 else matrix.quantity.replace(": ", ":\n"))
    axes.grid(axis="y", color="#e3e5e8", linewidth=0.6)
    axes.set_axisbelow(True)
    if matrix.signed:
        axes.axhline(0.0, color=INK, linewidth=0.9)
    if named:
        axes.legend(title=matrix.rows, loc="upper left", bbox_to_anchor=(1.01, 1.02), alignment="left", fontsize=9)
    width, height = figure.get_size_inches()
    top = matrix.title if title is None else title
    figure.text(0.12 / width, 1 - 0.12 / height, top, va="top", fontsize=11, weight="bold")
    figure.text(0.12 / width, 1 - 0.34 / height, data.note, va="top", fontsize=8, color="#5b626b")
    return figure


def _line(axes: Axes, data: Lines, k: int, label: str) -> None:
    """One line; it breaks where a value is missing."""
    scale = data.matrix.unit.scale
    colour, marker = categorical()[k % len(categorical())], _MARKERS[k % len(_MARKERS)]
    dashes = "-" if k < len(categorical()) else "--"
    axes.plot(
        data.positions,
        data.matrix.values[k] * scale,
        color=colour,
        marker=marker,
        markersize=4.5,
        linewidth=1.6,
        linestyle=dashes,
        label=label,
    )
    if np.isfinite(data.low[k]).any():
        axes.fill_between(data.positions, data.low[k] * scale, data.high[k] * scale, color=colour, alpha=0.16, lw=0)


def _range(axes: Axes, data: Lines) -> None:
    """Room for all values and for bands of three seeds or more; that of two would flatten all lines, it is cut off."""
    scale = data.matrix.unit.scale
    steady = data.matrix.seeds > 2
    held = [data.matrix.values, np.where(steady, data.low, np.nan), np.where(steady, data.high, np.nan)]
    finite = np.concatenate([part[np.isfinite(part)] for part in held]) * scale
    if finite.size and finite.min() < finite.max():
        room = 0.06 * (finite.max() - finite.min())
        axes.set_ylim(float(finite.min() - room), float(finite.max() + room))


def _scale(axes: Axes, data: Lines) -> None:
    """Ticks at the points; a logarithmic axis when positive numbers span more than a factor of twenty."""
    span = data.positions
    if data.numeric and len(span) > 2 and span.min() > 0 and span.max() / span.min() > 20:
        axes.set_xscale("log")
    axes.set_xticks(span, list(data.matrix.col_labels), minor=False)
    axes.set_xticks([], minor=True)
    if len(span) > 12 or widest(data.matrix.col_labels, 9.0) > 5.0 / max(len(span), 1):
        axes.tick_params(axis="x", rotation=90)


def _number(label: str) -> float:
    try:
        return float(label)
    except ValueError:
        return float("nan")
