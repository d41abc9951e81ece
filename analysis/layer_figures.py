"""Pictures of layer transfer: accuracy and drop by copied layers, the drop's two parts, similar against dissimilar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analysis.clustered import Estimate
from analysis.figures import axes_at, new_figure, shorten, widest
from analysis.heatmap_layout import wrapped
from analysis.layer_effects import PARTS, Point, control, curve, drop_parts
from analysis.layer_runs import LayerRuns
from analysis.palette import FAINT, INK, categorical, tint
from analysis.treatments import RANDOM, SELF, TRANSFER
from analysis.units import NOT_ESTIMABLE, minus

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PANEL, _HEIGHT, _LEFT, _GAP = 4.1, 2.9, 0.78, 0.85
_BELOW, _ABOVE = 0.62, 0.86
_FEWEST_SURE = 3  # intervals of fewer groups would fill the picture; they stand in the tables
_DODGE = 0.07
_RINGED = "flagged runs"
OUTSIDE = " Random layers may leave the frame."
_MARKERS = {SELF: "o", TRANSFER: "s", RANDOM: "^"}


@dataclass(frozen=True)
class Look:
    """How the line of a treatment is drawn."""

    colour: str
    marker: str
    dashes: str
    fill: str


def look_of(treatment: str, k: int = 0) -> Look:
    """Frozen: full lines; trained further: the same colour, lighter and dashed. Unknown treatments by their number."""
    kind = treatment.split(",")[0].rstrip("+")
    tuned = "+" in treatment.split(",")[0]
    known = {SELF: categorical()[0], TRANSFER: categorical()[1], RANDOM: categorical()[6]}
    colour = known.get(kind, categorical()[2 + k % 4])
    if "," in treatment:
        return Look(tint(colour, 0.75), "D", ":", "white")
    return Look(tint(colour, 0.62), _MARKERS.get(kind, "v"), "--", "white") if tuned else Look(
        colour, _MARKERS.get(kind, "v"), "-", colour
    )  # fmt: skip


def draw_transfer(data: LayerRuns, level: str, paired: bool, title: str) -> Figure:
    """Accuracy and its difference from the base against copied layers; call inside ``figures.style()``."""
    curves = {t: curve(data, t, level) for t in data.treatments if len(data.of(t, level))}
    controls = {name: point for name in data.controls if (point := control(data, name, level)) is not None}
    note = interval_note(data, [level], True) + (OUTSIDE if len(curves) > 1 and RANDOM in curves else "")
    figure, panels = _panels(2, [*curves, data.base_name, *controls], title, note)
    base = data.bases(level)["value"].mean() * data.unit.scale
    for panel, which in zip(panels, ("value", "gain"), strict=True):
        bounds: list[Estimate] = []
        for k, (treatment, points) in enumerate(curves.items()):
            estimates = [p.value if which == "value" else p.gain(paired) for p in points]
            bounds += estimates if treatment != RANDOM or len(curves) == 1 else []
            shift = (k - (len(curves) - 1) / 2) * _DODGE
            if which == "value":
                _runs(panel, data, treatment, level, shift, k)
            _line(panel, data, points, estimates, treatment, k)
        panel.axhline(base if which == "value" else 0.0, color=INK, linewidth=1.0, label=data.base_name)
        for k, (name, point) in enumerate(controls.items()):
            estimate = point.value if which == "value" else point.gain(paired)
            panel.axhline(estimate.value * data.unit.scale, color=FAINT, linewidth=1.2, label=name,
                          linestyle=(0, (1 + k, 1.5)))  # fmt: skip
            bounds.append(estimate)
        extra = [0.0]
        if which == "value":
            shown = [t for t in curves if t != RANDOM or len(curves) == 1]
            extra = [base, *(v * data.unit.scale for t in shown for v in data.of(t, level)["value"])]
        _finish(panel, data, bounds, extra)
        panel.set_ylabel(_quantity(data) if which == "value" else _difference(data, paired))
    _legend(panels[-1], any(p.flagged for points in curves.values() for p in points))
    return figure


def draw_difference(data: LayerRuns, level: str, paired: bool, title: str) -> Figure:
    """Only the difference from the base, for one reading; call inside ``figures.style()``."""
    curves = {t: curve(data, t, level) for t in data.treatments if len(data.of(t, level))}
    note = interval_note(data, [level], True) + (OUTSIDE if len(curves) > 1 and RANDOM in curves else "")
    figure, (panel,) = _panels(1, [*curves, data.base_name], title, note)
    bounds: list[Estimate] = []
    for k, (treatment, points) in enumerate(curves.items()):
        estimates = [p.gain(paired) for p in points]
        bounds += estimates if treatment != RANDOM or len(curves) == 1 else []
        _line(panel, data, points, estimates, treatment, k)
    panel.axhline(0.0, color=INK, linewidth=1.0, label=data.base_name)
    _finish(panel, data, bounds, [0.0])
    panel.set_ylabel(_difference(data, paired))
    _legend(panel, any(p.flagged for points in curves.values() for p in points))
    return figure


def draw_drop_parts(data: LayerRuns, level: str, title: str) -> Figure:
    """Lost co-adaptation and specificity as bars and their sum as a line, pooled and paired side by side."""
    names = ("lost co-adaptation\n(base − BnB)", "specificity\n(BnB − AnB)", "whole drop\n(base − AnB)")
    lines = [line for name in names for line in name.split("\n")]
    figure, panels = _panels(2, lines, title, interval_note(data, [level], True))
    scale, bounds = data.unit.scale, []
    layers = [n for n in data.layers if np.isfinite(drop_parts(data, level, n, False)["drop"].value)]
    for panel, paired in zip(panels, (False, True), strict=True):
        parts = [drop_parts(data, level, n, paired) for n in layers]
        for k, (part, label) in enumerate(zip(PARTS[1:], names, strict=False)):
            estimates = [p[part] for p in parts]
            bounds += estimates
            places = np.array(layers) + (k - 0.5) * 0.36
            heights = np.array([e.value for e in estimates]) * scale
            panel.bar(places, heights, 0.34, color=categorical()[k], label=label)
            _whiskers(panel, places, estimates, scale)
        whole = [p["drop"] for p in parts]
        bounds += whole
        panel.plot(layers, [e.value * scale for e in whole], color=INK, marker="D", markersize=4, linewidth=1.1,
                   label=names[2])  # fmt: skip
        panel.axhline(0.0, color=INK, linewidth=0.8)
        heading = "paired: own target's base" if paired else "pooled: means over all runs"
        panel.set_title(heading, fontsize=9.5, loc="left")
        panel.set_ylabel(f"drop in {data.metric} ({_points(data)})")
    for panel in panels:
        _finish(panel, data, bounds, [0.0], layers)
    panels[-1].legend(loc="upper left", bbox_to_anchor=(1.02, 1.02), fontsize=9)
    return figure


def draw_similar(data: LayerRuns, paired: bool, title: str) -> Figure:
    """Frozen transfer on every level of ``similar_by`` against copied layers, with frozen random layers beside it."""
    shown = [(t, v) for t in (TRANSFER, RANDOM) for v in data.levels if len(data.of(t, v))]
    spelled = {RANDOM: "random layers"}  # a level may be called random, too
    names = [f"{spelled.get(t, t)}, {v}" if len(data.levels) > 1 else t for t, v in shown]
    figure, (panel,) = _panels(1, [*names, data.base_name], title, interval_note(data, [v for _, v in shown], True))
    bounds: list[Estimate] = []
    flagged = False
    for k, ((treatment, level), name) in enumerate(zip(shown, names, strict=True)):
        points = curve(data, treatment, level)
        estimates = [p.gain(paired) for p in points]
        bounds += estimates
        flagged = flagged or any(p.flagged for p in points)
        _line(panel, data, points, estimates, name, k, _level_look(treatment, data.levels.index(level)))
    panel.axhline(0.0, color=INK, linewidth=1.0, label=data.base_name)
    _finish(panel, data, bounds, [0.0])
    panel.set_ylabel(_difference(data, paired))
    _legend(panel, flagged)
    return figure


def _level_look(treatment: str, k: int) -> Look:
    """The look of a treatment on the k-th level: transfers in colours of their own, random layers in greys."""
    if treatment == RANDOM:
        grey = tint(categorical()[6], 1.0 if k == 0 else 0.7)
        return Look(grey, "^", ("-", "--", ":")[k % 3], grey if k == 0 else "white")
    colour = categorical()[(1, 0, 2, 3)[k % 4]]
    return Look(colour, "sovD"[k % 4], "-", colour)


def interval_note(data: LayerRuns, levels: Sequence[str], drawn: bool = False) -> str:
    """What intervals are, for every level shown; ``drawn``: as bands or whiskers, which leave out very wide ones."""
    found: dict[str, list[str]] = {}
    for level in dict.fromkeys(levels):
        what, n = data.counted.get(level, ("splits", 0))
        kind = f"{NOT_ESTIMABLE} (one split)" if n < 2 else f"over {n} seeds of one split" if what == "seeds" else (
            f"over {n} independent splits")  # fmt: skip
        found.setdefault(kind, []).append(level)
    parts = [f"{', '.join(names)} {kind}" if len(found) > 1 else kind for kind, names in found.items()]
    if all(NOT_ESTIMABLE in kind for kind in found):
        return f"Intervals: {'; '.join(parts)}."
    few = "; those over two only are in the tables" if drawn else "; over fewer where fewer have such runs"
    return f"95% intervals: {'; '.join(parts)}; halves of a split count as one (cluster-robust, Student's t){few}."


def _panels(n: int, labels: Sequence[str], title: str, note: str) -> tuple[Figure, list[Axes]]:
    legend = 0.62 + widest([*(shorten(t) for t in labels), _RINGED], 9.0)
    width = _LEFT + n * _PANEL + (n - 1) * _GAP + legend + 0.15
    figure = new_figure(width, _BELOW + _HEIGHT + _ABOVE)
    panels = [axes_at(figure, _LEFT + k * (_PANEL + _GAP), _BELOW, _PANEL, _HEIGHT) for k in range(n)]
    height = _BELOW + _HEIGHT + _ABOVE
    figure.text(0.12 / width, 1 - 0.12 / height, title, va="top", fontsize=11, weight="bold")
    for line, text in enumerate(wrapped(note, width - 0.24, 8.0)):
        figure.text(0.12 / width, 1 - (0.34 + 0.15 * line) / height, text, va="top", fontsize=8, color="#5b626b")
    return figure, panels


def _line(
    panel: Axes, data: LayerRuns, points: Sequence[Point], estimates: Sequence[Estimate], name: str, k: int,
    look: Look | None = None,
) -> None:  # fmt: skip
    """One treatment: its means, their band, a ring around points with flagged runs."""
    drawn, scale = look or look_of(name, k), data.unit.scale
    x = np.array([p.layers for p in points])
    y, low, high = (np.array([getattr(e, part) for e in estimates]) * scale for part in ("value", "low", "high"))
    panel.plot(x, y, color=drawn.colour, marker=drawn.marker, markersize=4.8, linewidth=1.6, linestyle=drawn.dashes,
               markerfacecolor=drawn.fill, label=shorten(minus(name)), zorder=3)  # fmt: skip
    sure = np.array([e.groups >= _FEWEST_SURE for e in estimates], dtype=bool)
    if (np.isfinite(low) & sure).any():
        low, high = np.where(sure, low, np.nan), np.where(sure, high, np.nan)
        panel.fill_between(x, low, high, color=drawn.colour, alpha=0.15, linewidth=0, zorder=1)
    marked = np.array([p.flagged > 0 for p in points], dtype=bool)
    if marked.any():
        panel.scatter(x[marked], y[marked], s=90, facecolors="none", edgecolors=INK, linewidths=0.9, zorder=4)


def _legend(panel: Axes, flagged: bool) -> None:
    """Names of the lines beside the panel, and what a ring is where there is one."""
    if flagged:
        panel.scatter([], [], s=90, facecolors="none", edgecolors=INK, linewidths=0.9, label=_RINGED)
    panel.legend(loc="upper left", bbox_to_anchor=(1.02, 1.02), fontsize=9)


def _runs(panel: Axes, data: LayerRuns, treatment: str, level: str, shift: float, k: int) -> None:
    """Every run as a faint point, beside those of other treatments."""
    rows = data.of(treatment, level)
    panel.scatter(rows["layers"] + shift, rows["value"] * data.unit.scale, s=7, color=look_of(treatment, k).colour,
                  alpha=0.45, linewidths=0, zorder=2)  # fmt: skip


def _whiskers(panel: Axes, places: np.ndarray, estimates: Sequence[Estimate], scale: float) -> None:
    known = [(x, e) for x, e in zip(places, estimates, strict=True) if e.groups >= _FEWEST_SURE]
    if known:
        x, middle = [k[0] for k in known], [k[1].value * scale for k in known]
        panel.errorbar(x, middle, [k[1].half * scale for k in known], fmt="none", ecolor=INK, elinewidth=0.9, capsize=2)


def _finish(
    panel: Axes, data: LayerRuns, bounds: Sequence[Estimate], extra: Sequence[float], layers: Sequence[float] = ()
) -> None:
    """Ticks at the layers, a light grid, and room for the given values and for their intervals that are sure.

    Random layers are not among them where others are: they may leave the frame, as they would flatten what is in it.
    """
    scale = data.unit.scale
    held = [e.value * scale for e in bounds] + list(extra)
    held += [end * scale for e in bounds if e.groups >= _FEWEST_SURE for end in (e.low, e.high)]
    finite = np.array([v for v in held if np.isfinite(v)])
    room = 0.06 * (float(finite.max() - finite.min()) or 1.0)
    panel.set_ylim(float(finite.min()) - room, float(finite.max()) + room)
    ticks = list(layers or data.layers)
    panel.set_xticks(ticks, [f"{n:g}" for n in ticks])
    panel.set_xlim(min(ticks) - 0.5, max(ticks) + 0.5)
    panel.set_xlabel("copied layers")
    panel.grid(axis="y", color="#e3e5e8", linewidth=0.6)
    panel.set_axisbelow(True)


def _quantity(data: LayerRuns) -> str:
    name = f"{data.split} {data.metric}" if data.split else data.metric
    return f"{name} ({data.unit.name})" if data.unit.name else name


def _points(data: LayerRuns) -> str:
    return "percentage points" if data.unit.name == "%" else "same unit"


def _difference(data: LayerRuns, paired: bool) -> str:
    against = f"own target's {data.base_name}" if paired else f"mean {data.base_name}"
    return f"difference from {against}\n({_points(data)})"
