"""Where everything on a heatmap goes: lengths in inches from the lower left corner, text sizes in points."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

import numpy as np

from analysis.columns import SEEDS
from analysis.figures import shorten, text_size, widest
from analysis.matrix import REASONS, TransferMatrix
from analysis.short_names import short_names
from analysis.units import minus

HATCHES = {
    "failed": "xxxx",
    "diverged": "\\\\\\\\",
    "skipped": "....",
    "no baseline": "----",
    "undefined": "++++",
    "flagged": "oo",
    "related": "\\\\////",
    "excluded": "////",
    "not run": "||||",
    "not measured": "**",
    "not planned": "",
}
FRAME = "frame"
"""Legend key of outlined cells."""
TITLE_SIZE, CAPTION_SIZE, LEGEND_SIZE = 11.0, 8.0, 8.0
CAPTION_LINE, LEGEND_LINE = 0.16, 0.22
GROUPS, TREES = 0.3, 0.62  # inches beside the grid for brackets and for dendrograms
_PAD = 0.12
_GRID = 7.6  # inches that the longer side of a large grid takes
_SMALLEST_TEXT, _LARGEST_TEXT = 4.8, 9.0
_AXIS_NAME = 0.24
_NARROWEST, _LOWEST_BAR = 3.6, 1.5
_OVER_SEEDS = "Mean over seeds."


@dataclass(frozen=True)
class Layout:
    """The plan of one heatmap; ``below_grid`` and ``beside_grid`` are what the marginal means take."""

    n_rows: int
    n_cols: int
    cell_w: float
    cell_h: float
    left: float
    bottom: float
    width: float
    height: float
    label_size: float
    text_size: float
    spread: bool
    tilt: float
    gap: float
    marginals: bool
    bar_left: float
    bar_h: float
    bar_label: tuple[str, ...]
    axis_name_y: float
    title: str
    caption: tuple[str, ...]
    legend: tuple[tuple[tuple[str, str], ...], ...]
    row_names: tuple[str, ...]
    col_names: tuple[str, ...]
    pad: float = _PAD

    @property
    def grid_w(self) -> float:
        """Width of the grid without the column of means."""
        return self.cell_w * self.n_cols

    @property
    def grid_h(self) -> float:
        """Height of the grid without the row of means."""
        return self.cell_h * self.n_rows

    @property
    def full_w(self) -> float:
        """Width of the grid with the column of means."""
        return self.grid_w + (self.gap + self.cell_w if self.marginals else 0.0)

    @property
    def below_grid(self) -> float:
        """Height of the row of means with its gap."""
        return self.gap + self.cell_h if self.marginals else 0.0

    @property
    def mean_x(self) -> float:
        """Centre of the column of means in cells."""
        return self.n_cols + self.gap / self.cell_w

    @property
    def mean_y(self) -> float:
        """Centre of the row of means in cells."""
        return self.n_rows + self.gap / self.cell_h

    def row_centres(self) -> list[float]:
        """Heights of the row centres, that of the means last."""
        rows = [*range(self.n_rows), *([self.mean_y] if self.marginals else [])]
        return [self.bottom + self.grid_h - (k + 0.5) * self.cell_h for k in rows]

    def col_centres(self) -> list[float]:
        """Horizontal places of the column centres, that of the means last."""
        cols = [*range(self.n_cols), *([self.mean_x] if self.marginals else [])]
        return [self.left + (k + 0.5) * self.cell_w for k in cols]


def plan_layout(matrix: TransferMatrix, beside: float, marginals: bool, annotate: bool | None, title: str) -> Layout:
    """Measure all texts and place everything; ``beside`` inches right of and above the grid are for something else."""
    n_rows, n_cols = matrix.shape
    cell_w, cell_h = (float(np.clip(_GRID / n, 0.14, most)) for n, most in ((n_cols, 0.76), (n_rows, 0.48)))
    size, spread = annotation(matrix, cell_w, cell_h, annotate)
    label_size = float(np.clip(min(cell_w, cell_h) * 72 * 0.74, _SMALLEST_TEXT, _LARGEST_TEXT))
    names = _place_labels(matrix, label_size, cell_w, marginals)
    gap = max(0.3 * min(cell_w, cell_h), 0.06) if marginals else 0.0
    bracket = beside
    left = names.left
    bar_left = left + cell_w * n_cols + (gap + cell_w if marginals else 0.0) + bracket + 0.22
    bar_h = max(min(cell_h * n_rows, 3.6), _LOWEST_BAR)
    bar_label = tuple(wrapped(matrix.quantity, bar_h * 1.05, 8.5))
    width = bar_left + 0.16 + 0.55 + 0.17 * len(bar_label) + _PAD
    width = max(width, _NARROWEST, min(text_size(title, TITLE_SIZE, True)[0] + 2 * _PAD, 9.0))
    caption = tuple(wrapped(minus(caption_of(matrix, spread)), width - 2 * _PAD, CAPTION_SIZE))
    legend = legend_lines(matrix, width - 2 * _PAD, starred=marginals and size > 0)
    axis_name_y = _PAD + LEGEND_LINE * len(legend) + (0.1 if legend else 0.0)
    bottom = axis_name_y + _AXIS_NAME + names.below + 0.06 + (gap + cell_h if marginals else 0.0)
    bottom = max(bottom, axis_name_y + _AXIS_NAME + bar_h - cell_h * n_rows)
    heading = 0.28 + CAPTION_LINE * len(caption) + 0.06
    return Layout(
        n_rows=n_rows,
        n_cols=n_cols,
        cell_w=cell_w,
        cell_h=cell_h,
        left=left,
        bottom=bottom,
        width=width,
        height=bottom + cell_h * n_rows + bracket + heading + _PAD,
        label_size=label_size,
        text_size=size,
        spread=spread,
        tilt=names.tilt,
        gap=gap,
        marginals=marginals,
        bar_left=bar_left,
        bar_h=bar_h,
        bar_label=bar_label,
        axis_name_y=axis_name_y,
        title=title,
        caption=caption,
        legend=legend,
        row_names=names.rows,
        col_names=names.cols,
    )


@dataclass(frozen=True)
class _Labels:
    """Row and column labels as printed; room left of the grid and below it; the tilt of the column labels."""

    rows: tuple[str, ...]
    cols: tuple[str, ...]
    left: float
    below: float
    tilt: float


def _place_labels(matrix: TransferMatrix, size: float, cell_w: float, marginals: bool) -> _Labels:
    """Column labels stand level where they fit, else tilted, else upright."""
    short = short_names([*matrix.row_labels, *matrix.col_labels])
    rows, cols = (tuple(shorten(minus(short[t])) for t in v) for v in (matrix.row_labels, matrix.col_labels))
    mean = ["mean"] if marginals else []
    row_w, col_w = widest([*rows, *mean], size), widest([*cols, *mean], size)
    tilt = 0.0 if col_w < cell_w * 0.9 else 40.0 if cell_w > 0.3 else 90.0
    below = {0.0: size / 72, 40.0: col_w * 0.65 + size / 72, 90.0: col_w}[tilt]
    left = _PAD + 0.2 + row_w + 0.08
    if tilt == 40.0:
        left = max(left, _PAD + col_w * 0.77 - cell_w / 2)
    return _Labels(rows, cols, left, below, tilt)


def annotation(matrix: TransferMatrix, cell_w: float, cell_h: float, annotate: bool | None) -> tuple[float, bool]:
    """Text size inside cells in points (0: none), and whether the spread fits on a second line.

    With ``annotate`` True values are written however small; with False never; with None where they are readable.
    """
    if annotate is False or not np.isfinite(matrix.values).any():
        return 0.0, False
    texts = {matrix.unit.text(float(v), matrix.signed) for v in matrix.values[np.isfinite(matrix.values)]}
    longest = max(sorted(texts), key=len) + "†" * most_symbols(matrix)
    per_point = text_size(longest, 10.0)[0] / 10.0
    fits = min(cell_w * 0.88 / per_point, cell_h * 72 * 0.6)
    size = float(min(fits, _LARGEST_TEXT))
    if size < _SMALLEST_TEXT and annotate is None:
        return 0.0, False
    spread = bool(np.isfinite(matrix.spread).any()) and size >= 6.0 and cell_h * 72 >= size * 2.6
    return size, spread


def most_symbols(matrix: TransferMatrix) -> int:
    """The most signs that stand behind one value."""
    return max((len(matrix.symbols(i, j, framed=True)) for i, j in np.argwhere(np.isfinite(matrix.values))), default=0)


def caption_of(matrix: TransferMatrix, spread: bool) -> str:
    """What a reader must know to read the numbers: spread (where it is shown), averaging, baseline pairing."""
    parts = [matrix.spread_note if spread or not np.isfinite(matrix.spread).any() else _OVER_SEEDS]
    others = [axis for axis in matrix.over if axis not in SEEDS]
    named = len(others) < len(matrix.over)  # every cell is averaged over its seeds last, named or not
    if others:
        parts.append(f"Averaged over {', '.join(others)} within each seed{', then over seeds' if named else ''}.")
    elif named and parts[0] != _OVER_SEEDS:
        parts.append("Averaged over seeds.")
    if matrix.pairing:
        parts.append(f"Baseline {matrix.pairing}.")
    return " ".join(parts)


def legend_lines(matrix: TransferMatrix, room: float, starred: bool) -> tuple[tuple[tuple[str, str], ...], ...]:
    """Legend entries (reason or mark, text) broken into lines that fit ``room`` inches."""
    counts = {reason: int((matrix.reasons == reason).sum()) for reason in REASONS}
    entries = [(reason, f"{reason} ({n})") for reason, n in counts.items() if n]
    flags = sorted({f for text in matrix.flags.ravel() if text for f in str(text).split(", ")})
    if flags:
        entries.append(("†", f"flagged: {', '.join(flags)} ({int((matrix.flags != '').sum())})"))
    for mark in matrix.marks:
        n = int((mark.cells & np.isfinite(matrix.values)).sum())
        entries += [(FRAME if mark.outlined else mark.symbol, f"{mark.name} ({n})")] if n else []
    if starred and 0 < np.isfinite(matrix.values).sum() < matrix.values.size:
        entries.append(("*", "mean of the measured cells only"))
    lines: list[list[tuple[str, str]]] = []
    used = room + 1.0
    for entry in entries:
        if used + entry_width(entry[1]) > room:
            lines.append([])
            used = 0.0
        lines[-1].append(entry)
        used += entry_width(entry[1])
    return tuple(tuple(line) for line in lines)


def entry_width(text: str) -> float:
    """Width in inches of one legend entry with its swatch and the space after it."""
    return 0.28 + text_size(text, LEGEND_SIZE)[0] + 0.2


def wrapped(text: str, room: float, points: float) -> list[str]:
    """``text`` broken into lines of at most ``room`` inches (by the mean width of its letters)."""
    per_letter = text_size(text, points)[0] / max(len(text), 1)
    return textwrap.wrap(text, max(8, int(room / max(per_letter, 1e-6))))
