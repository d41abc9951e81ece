"""Heatmaps of transfer matrices, readable from 8 x 8 to 60 x 60.

The layout is computed in inches from measured text, so that labels, brackets, colour bar and legend never overlap.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from analysis.clustering import Tree
from analysis.clustering import cluster as cluster_axis
from analysis.figures import axes_at, new_figure, save, shorten, style, text_size
from analysis.heatmap_layout import (
    CAPTION_LINE,
    CAPTION_SIZE,
    FRAME,
    GROUPS,
    HATCHES,
    LEGEND_LINE,
    LEGEND_SIZE,
    TITLE_SIZE,
    TREES,
    Layout,
    entry_width,
    plan_layout,
)
from analysis.matrix import TransferMatrix
from analysis.outlines import WIDTH, draw_outline
from analysis.palette import FAINT, INK, MISSING, diverging, ink_on, sequential
from analysis.units import minus
from harness.errors import HarnessError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure


def heatmap(
    matrix: TransferMatrix,
    path: str | Path,
    *,
    groups: Mapping[str, str] | None = None,
    marginals: bool = True,
    annotate: bool | None = None,
    cluster: Literal["rows", "cols", "both"] | None = None,
    title: str | None = None,
) -> Path:
    """Draw a matrix to a PNG, SVG or PDF file, by the ending of ``path``.

    Args:
        groups: label -> group (a task family); rows and columns are ordered by group and bracketed.
        marginals: a column and a row of means over the measured cells.
        annotate: write values into cells; None: where there is room (with spread where that fits too).
        cluster: order rows, columns or both by likeness and draw the dendrograms; not together with ``groups``.

    Relative matrices have a diverging scale centred at zero, which is the baseline; others a sequential one. Missing
    cells are hatched by reason. A dagger marks cells with flagged values; marks of the matrix are signs or frames.
    """
    with style():
        figure = draw(matrix, groups=groups, marginals=marginals, annotate=annotate, cluster=cluster, title=title)
        return save(figure, path)


def draw(
    matrix: TransferMatrix,
    *,
    groups: Mapping[str, str] | None = None,
    marginals: bool = True,
    annotate: bool | None = None,
    cluster: Literal["rows", "cols", "both"] | None = None,
    title: str | None = None,
    tree: Tree | None = None,
) -> Figure:
    """The figure of ``heatmap``; call inside ``figures.style()``.

    Args:
        tree: with ``groups``: a dendrogram over rows and columns as they are given, drawn beyond the brackets.
    """
    if groups and cluster:
        raise HarnessError("A heatmap is either grouped or clustered, not both.")
    shown, trees = clustered(matrix, cluster) if cluster else (matrix, {})
    shown = grouped(shown, groups) if groups and tree is None else shown
    trees = {"rows": tree, "cols": tree} if tree is not None else trees
    beside = (GROUPS if groups else 0.0) + (TREES if trees else 0.0)
    plan = plan_layout(shown, beside, marginals, annotate, shown.title if title is None else title)
    figure = new_figure(plan.width, plan.height)
    axes = axes_at(figure, plan.left, plan.bottom, plan.grid_w, plan.grid_h)
    scale = _paint(axes, shown, plan)
    _hatch(axes, shown)
    if marginals:
        _marginals(axes, shown, plan, scale)
    for mark in shown.marks:
        if mark.outlined:
            draw_outline(axes, mark.cells)
    _write(axes, shown, plan, scale)
    _labels(figure, shown, plan)
    if groups:
        _brackets(figure, shown, groups, plan)
    _dendrograms(figure, trees, plan, GROUPS if groups else 0.0)
    _colour_bar(figure, shown, plan, scale)
    _legend(figure, shown, plan)
    _heading(figure, plan)
    return figure


def grouped(matrix: TransferMatrix, groups: Mapping[str, str]) -> TransferMatrix:
    """The matrix with rows and columns brought together by group, otherwise in their order."""

    def order(labels: tuple[str, ...]) -> np.ndarray:
        names = [groups.get(label, "") for label in labels]
        first = {name: k for k, name in reversed(list(enumerate(names)))}
        return np.array(sorted(range(len(labels)), key=lambda k: (first[names[k]], k)), dtype=int)

    return matrix.reordered(order(matrix.row_labels), order(matrix.col_labels))


def clustered(matrix: TransferMatrix, which: Literal["rows", "cols", "both"]) -> tuple[TransferMatrix, dict[str, Tree]]:
    """The matrix with rows, columns or both in the order of their dendrogram, and the dendrograms."""
    axes = ("rows", "cols") if which == "both" else (which,)
    trees = {axis: cluster_axis(matrix, axis) for axis in axes}
    orders = [
        trees[a].order if a in trees else np.arange(n) for a, n in zip(("rows", "cols"), matrix.shape, strict=True)
    ]
    return matrix.reordered(*orders), trees


def _dendrograms(figure: Figure, trees: Mapping[str, Tree], plan: Layout, apart: float) -> None:
    """Trees right of the rows and above the columns, ``apart`` from the grid, leaves towards it."""
    from matplotlib.collections import LineCollection

    room = TREES - 0.12
    right, top = plan.left + plan.full_w + 0.06 + apart, plan.bottom + plan.grid_h + 0.06 + apart
    for axis, tree in trees.items():
        if axis == "rows":
            lines = [
                np.column_stack([
                    right + link[:, 1] * room, plan.bottom + plan.grid_h - (link[:, 0] + 0.5) * plan.cell_h
                ])
                for link in tree.links
            ]  # fmt: skip
        else:
            lines = [
                np.column_stack([plan.left + (link[:, 0] + 0.5) * plan.cell_w, top + link[:, 1] * room])
                for link in tree.links
            ]
        figure.add_artist(
            LineCollection(lines, transform=figure.dpi_scale_trans, colors=FAINT, linewidths=0.9, capstyle="butt")
        )


def _paint(axes: Axes, matrix: TransferMatrix, plan: Layout) -> ScalarMappable:
    """Fill the cells; give the colour scale, in displayed units."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    axes.set_axis_off()
    axes.set_xlim(-0.5, plan.n_cols - 0.5)
    axes.set_ylim(plan.n_rows - 0.5, -0.5)
    values = matrix.values * matrix.unit.scale
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if matrix.signed:
        high = max(abs(low), abs(high)) or 1.0
        low = -high
    elif low == high:
        low, high = low - 0.5, high + 0.5
    choose = diverging if matrix.signed else sequential
    scale = ScalarMappable(Normalize(low, high), choose(not matrix.higher_is_better))
    blocks(axes, np.arange(plan.n_cols), np.arange(plan.n_rows), values, scale)
    return scale


def blocks(axes: Axes, x: np.ndarray, y: np.ndarray, values: np.ndarray, scale: ScalarMappable) -> None:
    """Unit cells centred at all pairs of ``x`` and ``y``; NaN stays the colour of a missing cell."""
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    cells = [Rectangle((a - 0.5, b - 0.5), 1, 1) for b in y for a in x]
    colours = scale.to_rgba(values.ravel())
    colours[~np.isfinite(values.ravel())] = _missing_rgba()
    axes.add_collection(
        PatchCollection(cells, facecolors=colours, edgecolors="white", linewidths=0.4, clip_on=False), autolim=False
    )


def _missing_rgba() -> tuple[float, float, float, float]:
    from matplotlib.colors import to_rgba

    return to_rgba(MISSING)


def _hatch(axes: Axes, matrix: TransferMatrix) -> None:
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    for reason, hatch in HATCHES.items():
        where = np.argwhere(matrix.reasons == reason)
        if len(where):
            cells = [Rectangle((j - 0.5, i - 0.5), 1, 1) for i, j in where]
            look: dict[str, Any] = {"facecolor": MISSING, "edgecolor": FAINT if hatch else "white", "linewidth": 0.0}
            axes.add_collection(PatchCollection(cells, hatch=hatch, **look), autolim=False)


def _marginals(axes: Axes, matrix: TransferMatrix, plan: Layout, scale: ScalarMappable) -> None:
    """Means over the measured cells, right of and below the grid."""
    of_rows, of_cols = (matrix.marginal(axis)[0] * matrix.unit.scale for axis in ("rows", "cols"))
    blocks(axes, np.array([plan.mean_x]), np.arange(plan.n_rows), of_rows[:, None], scale)
    blocks(axes, np.arange(plan.n_cols), np.array([plan.mean_y]), of_cols[None, :], scale)


def _write(axes: Axes, matrix: TransferMatrix, plan: Layout, scale: ScalarMappable) -> None:
    """Values, spreads and daggers, as far as there is room."""
    unit, signed, size = matrix.unit, matrix.signed, plan.text_size
    inks = ink_on(scale.to_rgba((matrix.values * unit.scale).ravel())).reshape(matrix.shape)
    offset = 0.0 if not plan.spread else size * 0.62 / 72 / plan.cell_h
    for i, j in np.argwhere(np.isfinite(matrix.values)):
        mark = matrix.symbols(i, j, framed=True)
        if size:
            text = minus(unit.text(float(matrix.values[i, j]), signed)) + mark
            axes.text(j, i - offset, text, ha="center", va="center_baseline", fontsize=size, color=inks[i, j])
        elif mark:
            axes.text(j, i, mark, ha="center", va="center", fontsize=plan.label_size, color=inks[i, j])
        if plan.spread and np.isfinite(matrix.spread[i, j]):
            text = f"±{unit.text(float(matrix.spread[i, j]))}"
            axes.text(
                j, i + offset * 1.25, text, ha="center", va="center_baseline", fontsize=size * 0.82, color=inks[i, j]
            )
    if plan.marginals and size:
        _write_means(axes, matrix, plan, scale)


def _write_means(axes: Axes, matrix: TransferMatrix, plan: Layout, scale: ScalarMappable) -> None:
    unit = matrix.unit
    (of_rows, in_rows), (of_cols, in_cols) = matrix.marginal("rows"), matrix.marginal("cols")
    places = [(plan.mean_x, float(i), v, in_rows[i] < plan.n_cols) for i, v in enumerate(of_rows)]
    places += [(float(j), plan.mean_y, v, in_cols[j] < plan.n_rows) for j, v in enumerate(of_cols)]
    for x, y, value, lacks in places:
        if np.isfinite(value):
            ink = ink_on(np.atleast_2d(scale.to_rgba(value * unit.scale)))[0]
            text = minus(unit.text(float(value), matrix.signed)) + ("*" if lacks else "")
            axes.text(x, y, text, ha="center", va="center_baseline", fontsize=plan.text_size, color=ink)


def _labels(figure: Figure, matrix: TransferMatrix, plan: Layout) -> None:
    """Row and column labels and the names of both axes, placed in inches."""
    inches = figure.dpi_scale_trans
    size, mean = plan.label_size, ("mean",) if plan.marginals else ()
    for name, at in zip([*plan.row_names, *mean], plan.row_centres(), strict=True):
        text_style = "italic" if at == plan.row_centres()[-1] and mean else "normal"
        figure.text(
            plan.left - 0.06,
            at,
            name,
            transform=inches,
            ha="right",
            va="center_baseline",
            fontsize=size,
            style=text_style,
        )
    below = plan.bottom - plan.below_grid - 0.06
    ha, mode = {0.0: ("center", None), 40.0: ("right", "anchor"), 90.0: ("center", None)}[plan.tilt]
    for name, at in zip([*plan.col_names, *mean], plan.col_centres(), strict=True):
        text_style = "italic" if at == plan.col_centres()[-1] and mean else "normal"
        figure.text(
            at, below, name, transform=inches, ha=ha, va="top", rotation=plan.tilt, rotation_mode=mode, fontsize=size,
            style=text_style,
        )  # fmt: skip
    middle_x, middle_y = plan.left + plan.grid_w / 2, plan.bottom + plan.grid_h / 2
    bold: dict[str, Any] = {"transform": inches, "fontsize": 9.5, "weight": "bold"}
    figure.text(plan.pad, middle_y, matrix.rows, ha="left", va="center", rotation=90, **bold)
    figure.text(middle_x, plan.axis_name_y, matrix.cols, ha="center", va="bottom", **bold)


def _brackets(figure: Figure, matrix: TransferMatrix, groups: Mapping[str, str], plan: Layout) -> None:
    """A bracket with the group's name right of its rows and above its columns."""
    right = plan.left + plan.full_w + 0.07
    top = plan.bottom + plan.grid_h + 0.07
    for name, start, stop in runs([groups.get(label, "") for label in matrix.row_labels]):
        low = plan.bottom + plan.grid_h - stop * plan.cell_h + 0.02
        high = plan.bottom + plan.grid_h - start * plan.cell_h - 0.02
        _bracket(figure, [right, right + 0.06, right + 0.06, right], [low, low, high, high])
        place = {"ha": "left", "va": "center", "rotation": 270}
        _bracket_name(figure, name, (right + 0.09, (low + high) / 2), high - low, place)
    for name, start, stop in runs([groups.get(label, "") for label in matrix.col_labels]):
        first, last = plan.left + start * plan.cell_w + 0.02, plan.left + stop * plan.cell_w - 0.02
        _bracket(figure, [first, first, last, last], [top, top + 0.06, top + 0.06, top])
        _bracket_name(figure, name, ((first + last) / 2, top + 0.09), last - first, {"ha": "center", "va": "bottom"})


def runs(names: list[str]) -> list[tuple[str, int, int]]:
    """Stretches of equal non-empty names: (name, start, stop)."""
    found = []
    start = 0
    for k in range(1, len(names) + 1):
        if k == len(names) or names[k] != names[start]:
            if names[start]:
                found.append((names[start], start, k))
            start = k
    return found


def _bracket(figure: Figure, x: list[float], y: list[float]) -> None:
    from matplotlib.lines import Line2D

    figure.add_artist(Line2D(x, y, transform=figure.dpi_scale_trans, color=FAINT, linewidth=0.9))


def _bracket_name(figure: Figure, name: str, at: tuple[float, float], room: float, place: Mapping[str, object]) -> None:
    """The name, cut to the room that its bracket has."""
    most = max(1, int(room / max(text_size("n", 8.0)[0], 1e-6)))
    options: dict[str, Any] = dict(place)
    figure.text(*at, shorten(name, most), transform=figure.dpi_scale_trans, fontsize=8.0, color=INK, **options)


def _colour_bar(figure: Figure, matrix: TransferMatrix, plan: Layout, scale: ScalarMappable) -> None:
    place = axes_at(figure, plan.bar_left, plan.bottom + plan.grid_h - plan.bar_h, 0.16, plan.bar_h)
    bar = figure.colorbar(scale, cax=place)
    bar.outline.set_visible(False)
    place.tick_params(labelsize=8, length=2.5, width=0.7)
    place.set_ylabel("\n".join(plan.bar_label), fontsize=8.5, labelpad=6)
    if matrix.signed:
        place.axhline(0.0, color=INK, linewidth=0.9)


def _legend(figure: Figure, matrix: TransferMatrix, plan: Layout) -> None:
    """Swatches of the hatches in use, and what signs and frames mean, below everything."""
    from matplotlib.patches import Rectangle

    inches = figure.dpi_scale_trans
    for line, entries in enumerate(plan.legend):
        x, y = plan.pad, plan.pad + LEGEND_LINE * (len(plan.legend) - 1 - line)
        for reason, text in entries:
            if reason in HATCHES:
                swatch = Rectangle((x, y), 0.22, 0.15, transform=inches, facecolor=MISSING, edgecolor=FAINT)
                swatch.set_hatch(HATCHES[reason])
                swatch.set_linewidth(0.5)
                figure.add_artist(swatch)
            elif reason == FRAME:
                frame = Rectangle((x + 0.02, y), 0.19, 0.15, transform=inches, facecolor="none", edgecolor=INK)
                frame.set_linewidth(WIDTH)
                figure.add_artist(frame)
            else:
                figure.text(x + 0.11, y + 0.075, reason, transform=inches, ha="center", va="center", fontsize=9)
            figure.text(x + 0.28, y + 0.075, text, transform=inches, ha="left", va="center", fontsize=LEGEND_SIZE)
            x += entry_width(text)


def _heading(figure: Figure, plan: Layout) -> None:
    top = plan.height - plan.pad
    inches = figure.dpi_scale_trans
    figure.text(plan.pad, top, plan.title, transform=inches, va="top", fontsize=TITLE_SIZE, weight="bold")
    for line, text in enumerate(plan.caption):
        y = top - 0.21 - line * CAPTION_LINE
        figure.text(plan.pad, y, text, transform=inches, va="top", fontsize=CAPTION_SIZE, color="#5b626b")
