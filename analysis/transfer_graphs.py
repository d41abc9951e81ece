"""What helps what: a directed graph of the strongest transfers of a relative matrix."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from analysis.figures import axes_at, new_figure, save, shorten, style, text_size
from analysis.matrix import TransferMatrix
from analysis.palette import FAINT, INK, categorical
from analysis.short_names import short_names
from analysis.units import minus
from harness.errors import HarnessError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_EDGES = 24


@dataclass(frozen=True)
class Edge:
    """``source`` changes ``target`` by ``gain`` (in the direction of better: above 0 helps)."""

    source: str
    target: str
    gain: float
    certain: bool


def strongest_transfers(matrix: TransferMatrix, most: int = _MOST_EDGES, harmful: bool = False) -> list[Edge]:
    """The largest gains over the baseline, self cells left out; with ``harmful`` the largest losses.

    ``certain``: the gain is more than two standard errors over seeds from zero; False with one seed.

    Raises:
        HarnessError: when the matrix is absolute: without a baseline nothing helps or harms.
    """
    if matrix.relative_to is None:
        raise HarnessError("A graph of what helps what needs values relative to a baseline.")
    sign = 1.0 if matrix.higher_is_better else -1.0
    edges = []
    for cell in matrix.cells():
        gain = sign * cell.value
        if cell.reason or cell.row == cell.col or not np.isfinite(gain) or (gain <= 0) != harmful or gain == 0:
            continue
        error = cell.spread / np.sqrt(cell.seeds) if cell.seeds > 1 else np.inf
        edges.append(Edge(cell.row, cell.col, float(gain), bool(abs(gain) > 2 * error)))
    edges.sort(key=lambda e: (-abs(e.gain), e.source, e.target))
    return edges[:most]


def transfer_graph(
    matrix: TransferMatrix, path: str | Path, *, most: int = _MOST_EDGES, title: str | None = None
) -> Path:
    """Draw the strongest gains as arrows from source to target, to a PNG, SVG or PDF file."""
    with style():
        return save(draw_graph(matrix, most=most, title=title), path)


def draw_graph(matrix: TransferMatrix, *, most: int = _MOST_EDGES, title: str | None = None) -> Figure:
    """The figure of ``transfer_graph``; call inside ``figures.style()``."""
    edges = strongest_transfers(matrix, most)
    names = list(dict.fromkeys([*matrix.row_labels, *matrix.col_labels]))
    head = title if title is not None else f"What helps what: {matrix.title}"
    side, tall = 5.4, 5.4 * 1.2 / 1.45
    figure = new_figure(max(side + 1.2, min(text_size(head, 11.0, True)[0] + 0.3, 9.0)), tall + 0.85)
    width, height = (float(v) for v in figure.get_size_inches())
    axes = axes_at(figure, (width - side) / 2, 0.12, side, tall)
    axes.set_axis_off()
    axes.set_xlim(-1.45, 1.45)
    axes.set_ylim(-1.2, 1.2)
    angles = np.pi / 2 - 2 * np.pi * np.arange(len(names)) / max(len(names), 1)
    places = {name: (float(np.cos(a)), float(np.sin(a))) for name, a in zip(names, angles, strict=True)}
    largest = max((e.gain for e in edges), default=1.0)
    for edge in reversed(edges):
        _arrow(axes, places[edge.source], places[edge.target], edge.gain / largest, edge.certain)
    _nodes(axes, places, {e.source for e in edges} | {e.target for e in edges})
    figure.text(0.12 / width, 1 - 0.12 / height, head, va="top", fontsize=11, weight="bold")
    figure.text(0.12 / width, 1 - 0.34 / height, _caption(matrix, edges), va="top", fontsize=8, color="#5b626b")
    return figure


def _caption(matrix: TransferMatrix, edges: list[Edge]) -> str:
    if not edges:
        return f"No {matrix.rows} is better than the baseline {matrix.relative_to!r}."
    low, high = (minus(matrix.unit.text(v, True)) for v in (edges[-1].gain, edges[0].gain))
    return (f"The {len(edges)} largest gains ({low} to {high} {matrix.unit.name}), wider for more;\n"
            "dashed: within two standard errors of 0, or one seed.")  # fmt: skip


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], strength: float, certain: bool) -> None:
    from matplotlib.patches import FancyArrowPatch

    axes.add_patch(
        FancyArrowPatch(
            start, end, arrowstyle="-|>", mutation_scale=7 + 5 * strength, connectionstyle="arc3,rad=0.16",
            linewidth=0.6 + 2.6 * strength, linestyle="-" if certain else (0, (3, 2)), color=categorical()[0],
            alpha=0.35 + 0.6 * strength, shrinkA=9, shrinkB=10,
        )
    )  # fmt: skip


def _nodes(axes: Axes, places: dict[str, tuple[float, float]], used: set[str]) -> None:
    short = short_names(list(places))
    for name, (x, y) in places.items():
        colour = INK if name in used else FAINT
        axes.plot([x], [y], marker="o", markersize=8, color=colour)
        side = "left" if x > 0.2 else "right" if x < -0.2 else "center"
        axes.text(x * 1.09, y * 1.09, minus(shorten(short[name], 20)), ha=side, va="center" if abs(x) > 0.2 else
                  ("bottom" if y > 0 else "top"), fontsize=8.5, color=colour)  # fmt: skip
