"""Estimators and simple baselines side by side: mean coefficient over targets with its interval."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analysis.correlation import SYMBOLS
from analysis.estimator_tables import EstimatorStudy
from analysis.interval_plots import Line, Part, draw_intervals

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_estimators(study: EstimatorStudy, title: str) -> Figure:
    """Draw a line an estimator, the best first, then one a baseline; call inside ``figures.style()``.

    Those known in fewer cells than the others, which should not be set against them, say in how many.
    """
    most = max(found.pooled.n for found in study.found.values())
    scores = [name for name in study.found if name not in study.baselines]
    parts = (
        Part("estimators", _lines(study, scores, most)),
        Part("simple baselines", _lines(study, list(study.baselines), most)),
    )
    ceiling = study.ceiling.get("")
    note = f"95 % intervals over {study.outcome.rows}s and {study.outcome.cols}s together"
    if ceiling is not None:
        note += f"; noise ceiling: {ceiling}"
    across = f"{SYMBOLS[study.kind]} ({study.kind}, {study.variant}) with {study.outcome.quantity}, mean over "
    return draw_intervals(parts, title, f"{across}{study.outcome.cols}s", note)


def _lines(study: EstimatorStudy, names: list[str], most: int) -> tuple[Line, ...]:
    known = [name for name in names if np.isfinite(study.found[name].mean.estimate)]
    known.sort(key=lambda name: -study.found[name].mean.estimate)
    return tuple(_line(study, name, most) for name in known)


def _line(study: EstimatorStudy, name: str, most: int) -> Line:
    mean, cells = study.found[name].mean, study.found[name].pooled.n
    fewer = f"   {cells} of {most} cells" if cells < most else ""
    return Line(name, mean.estimate, mean.low, mean.high, f"{mean.estimate:.2f}{fewer}")
