"""What a reader of a matrix should be told: mixed circumstances, uneven cells, missing and flagged trials."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.cells import Collapsed, Grid
from analysis.columns import MIXABLE, NONE_LABEL, labels, ordered

_NAMED = 3


def mixed(measured: pd.DataFrame) -> list[str]:
    """A sentence for every circumstance (device, precision, width, ...) that differs between the values used."""
    found = []
    for column, plural in MIXABLE.items():
        if column in measured.columns:
            counts = labels(measured[column]).value_counts()
            counts = counts.loc[counts.index != NONE_LABEL]
            if len(counts) > 1:
                parts = [f"{value} ({counts[value]} values)" for value in ordered(counts.index)]
                found.append(f"Mixed {plural}: {_listed(parts, 6)}.")
    return found


def unbalanced(cells: Collapsed) -> list[str]:
    """A sentence when measured cells rest on different numbers of trials."""
    counts = cells.count[cells.count > 0]
    if not counts.size or counts.min() == counts.max():
        return []
    few = int(((cells.count > 0) & (cells.count < counts.max())).sum())
    return [f"Unbalanced: cells rest on {counts.min()} to {counts.max()} trials ({few} of {counts.size} on fewer)."]


def partial(grid: Grid, cells: Collapsed, missing: pd.DataFrame) -> list[str]:
    """A sentence when cells with a value lack some of their trials."""
    if missing.empty:
        return []
    where = grid.locate(missing)
    inside = cells.count.ravel()[where] > 0
    if not inside.any():
        return []
    states = missing["state"].to_numpy()[inside]
    kinds = [f"{int((states == s).sum())} {s}" for s in ordered(states)]
    names = _listed([grid.name(c) for c in np.unique(where[inside])], _NAMED, "; ")
    return [f"Some cells lack trials ({', '.join(kinds)}) and show the mean of the others: {names}."]


def flags_noted(cells: Collapsed) -> list[str]:
    """A sentence when measured cells contain flagged values."""
    texts = [str(f) for f in cells.flags.ravel() if f]
    if not texts:
        return []
    kinds = ordered(k for t in texts for k in t.split(", "))
    return [
        f"{len(texts)} of {int((cells.count > 0).sum())} cells contain flagged values ({', '.join(kinds)}); marked †."
    ]


def _listed(parts: list[str], most: int, between: str = ", ") -> str:
    rest = len(parts) - most
    return between.join(parts[:most]) + (f"{between}and {rest} more" if rest > 0 else "")
