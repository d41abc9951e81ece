"""Figures without a display: one style, measured text, files whose bytes do not depend on the day.

Figures are made with matplotlib's object interface, never pyplot, so that no global state is touched.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.palette import FAINT, INK
from harness.errors import HarnessError, suggest

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.path import Path as Outline

FORMATS = ("png", "svg", "pdf")
DPI = 160
_STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "xtick.color": INK,
    "ytick.color": INK,
    "hatch.linewidth": 0.6,
    "hatch.color": FAINT,
    "legend.frameon": False,
    "pdf.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "transfer-harness",
    "text.parse_math": False,
}
# Dates and versions are left out so that the same numbers give the same bytes.
_METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "ModDate": None, "Creator": None, "Producer": None},
}


@contextmanager
def style() -> Iterator[None]:
    """Draw inside this: our settings over matplotlib's defaults, whatever the user's own are."""
    import matplotlib as mpl

    settings: Any = mpl.rcParams
    with mpl.rc_context():
        mpl.rcdefaults()
        settings.update(_STYLE)
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of the given size in inches, on the Agg canvas."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as MplFigure

    figure = MplFigure(figsize=(width, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def axes_at(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Axes at a place given in inches from the lower left corner."""
    total_width, total_height = figure.get_size_inches()
    place = (left / total_width, bottom / total_height, width / total_width, height / total_height)
    return figure.add_axes(place)


@cache
def text_size(text: str, points: float, bold: bool = False) -> tuple[float, float]:
    """Width and height in inches of a one-line text."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    if not text.strip():
        return 0.0, points / 72
    font = FontProperties(family="DejaVu Sans", weight="bold" if bold else "normal")
    return _right_end(TextPath((0, 0), text, size=points, prop=font, usetex=False)) / 72, points / 72


def _right_end(path: Outline) -> float:
    """The largest x of an outline.

    A curve stays within its control points. Where the rightmost of these is the end of a piece it is the answer, which
    spares matplotlib's look at every curve; fonts have points at their extremes, so that this is nearly always so.
    """
    x, codes = np.asarray(path.vertices)[:, 0], np.asarray(path.codes)
    drawn = codes != path.CLOSEPOLY
    quadratic = codes == path.CURVE3
    ends = (codes == path.MOVETO) | (codes == path.LINETO) | (quadratic & (np.cumsum(quadratic) % 2 == 0))
    if x[ends].max() == x[drawn].max():
        return float(x[ends].max())
    return float(path.get_extents().x1)


def widest(texts: Sequence[str], points: float) -> float:
    """Width in inches of the widest of some texts; 0 for none."""
    return max((text_size(t, points)[0] for t in texts), default=0.0)


def shorten(text: str, most: int = 32) -> str:
    """Long text with its middle replaced by an ellipsis."""
    return text if len(text) <= most else f"{text[: most - most // 2 - 1]}…{text[-(most // 2) :]}"


def save(figure: Figure, path: str | Path) -> Path:
    """Write a figure as PNG, SVG or PDF by the ending of ``path``; call inside ``style()``."""
    target = Path(path)
    ending = target.suffix.lstrip(".").lower()
    if ending not in FORMATS:
        raise HarnessError(f"A figure cannot be written as {target.name!r}{suggest(ending, FORMATS)}.")
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, format=ending, dpi=DPI, metadata=_METADATA[ending], facecolor="white")
    return target
