"""Tables of correlations and comparisons, each number with its interval and what it rests on."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from analysis.comparison import Comparison
from analysis.correlation import SYMBOLS, Correlation, Correlations
from analysis.tables import Table, plain_table
from analysis.units import NOT_ESTIMABLE, minus


def correlation_table(found: Correlations, others: Mapping[str, Correlations], title: str, axis: str) -> Table:
    """A row per target, then the pooled and mean readings; the interval is that of the weighted Kendall."""
    readings = [(f"{name}", found.per_target[name], [o.per_target[name] for o in others.values()])
                for name in found.per_target]  # fmt: skip
    readings.append(("pooled over cells", found.pooled, [o.pooled for o in others.values()]))
    readings.append((f"mean over {axis}s", found.mean, [o.mean for o in others.values()]))
    percent = f"{found.pooled.level:.0%}"
    head = (
        axis,
        SYMBOLS["weighted_kendall"],
        f"{percent} interval",
        *(SYMBOLS[k] for k in others),
        "n",
        "ties",
        "dropped",
    )
    rows = [
        (
            name,
            _number(main),
            _interval(main),
            *(_number(o) for o in rest),
            str(main.n),
            str(main.ties),
            str(main.dropped),
        )
        for name, main, rest in readings
    ]
    shown = found.pooled
    notes = [
        f"{SYMBOLS['weighted_kendall']}: weighted Kendall, variant {shown.variant!r} (by x and by y, averaged); "
        f"{SYMBOLS['kendall']}: Kendall tau-b; {SYMBOLS['spearman']}: Spearman; {SYMBOLS['pearson']}: Pearson.",
        f"x: {found.x}; y: {found.y}. Intervals: percentile bootstrap, {shown.n_resamples} resamples; "
        f"per {axis} over its items, pooled and mean over rows and columns together.",
        f"n: pairs (for the mean: {axis}s); ties: pairs tied in x or y; dropped: pairs (or {axis}s) without a value.",
    ]
    return plain_table(title, head, rows, notes)


def _number(found: Correlation) -> str:
    return f"undefined ({found.reason})" if np.isnan(found.estimate) else f"{found.estimate:.2f}"


def _interval(found: Correlation) -> str:
    if np.isnan(found.low):
        why = found.interval_reason or found.reason
        return f"{NOT_ESTIMABLE} ({why})" if why else NOT_ESTIMABLE
    return f"[{found.low:.2f}, {found.high:.2f}]"


def comparison_table(title: str, rows: list[tuple[str, Comparison]]) -> Table:
    """A row per named comparison, all of the same two conditions."""
    head = ("", "difference", "95% interval", "better / equal / worse", "cells", "pairs", "unmatched")
    body = []
    for name, c in rows:
        ends = f"[{c.unit.text(c.low, True)}, {c.unit.text(c.high, True)}]"
        shown = ends if np.isfinite(c.low) else f"{NOT_ESTIMABLE} ({c.interval_reason})"
        counts = f"{c.wins} / {c.ties} / {c.losses}"
        body.append(
            (name, c.unit.text(c.estimate, True), shown, counts, str(c.n_cells), str(c.n_pairs), str(c.unmatched))
        )
    if not rows:
        return plain_table(title, head, body)
    first = rows[0][1]
    unit = f" in {first.unit.name}" if first.unit.name else ""
    notes = [f"{first.x} minus {first.y}, {first.metric}{unit}; matched trials, mean over cells."]
    if first.resampled:
        notes.append(f"Interval: percentile bootstrap over {' and '.join(first.resampled)} together.")
    if first.fixed:
        notes.append(f"Too few levels to resample, held fixed: {', '.join(first.fixed)}.")
    return plain_table(title, head, body, [minus(n) for n in notes])
