"""References that need no declared baseline: the target's own task, its best row, its mean and spread (z).

A declared baseline of the same name comes first: many studies call their untrained baseline "own".
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from analysis.baselines import How, Pairing, Relative, declared_baselines, relative_to
from analysis.cells import Grid
from harness.errors import HarnessError, suggest

REFERENCES = ("baseline", "own", "target_best", "z")
REFERENCE_TEXT = {
    "own": "the target's own task as source",
    "target_best": "the best row of each column (best by its mean over seeds)",
    "z": "mean of the column, in units of its standard deviation over rows",
}


def resolve(frame: pd.DataFrame, name: str) -> tuple[str, bool]:
    """What ``relative_to`` means: the name of a declared baseline (True), or one of the references (False).

    Raises:
        HarnessError: when it is neither, or "baseline" and several (or none) are declared.
    """
    known = declared_baselines(frame)
    if name in known:
        return name, True
    if name == "baseline":
        if len(known) == 1:
            return known[0], True
        listed = f"several ({', '.join(known)}); name one" if known else "none"
        raise HarnessError(f"relative_to='baseline' means the only declared baseline, but there are {listed}.")
    if name in REFERENCES:
        return name, False
    raise HarnessError(f"No outcome belongs to a baseline named {name!r}{suggest(name, [*known, *REFERENCES])}.")


def against_reference(
    measured: pd.DataFrame, everything: pd.DataFrame, name: str, axes: tuple[str, str], how: How, paired: Pairing,
    metric: str, higher_is_better: bool,
) -> tuple[Relative, pd.DataFrame]:  # fmt: skip
    """Measured rows against one of ``REFERENCES``, and the rows that served as reference.

    Args:
        measured: textual rows shown.  everything: textual measured rows before the filter on rows (the own cell may
            have been filtered away).
        axes: names of the rows and of the columns of the matrix.
    """
    rows, cols = axes
    if name == "z":
        return _z_scores(measured, Grid(rows, cols, _distinct(measured, rows), _distinct(measured, cols)))
    if name == "own":
        reference = everything.loc[everything[rows] == everything[cols]]
        if reference.empty:
            raise HarnessError(f"No cell has {rows} = {cols}, so nothing is the target's own result.")
    else:
        reference = _best_rows(measured, rows, cols, higher_is_better)
    replaced = {rows, "source_seed"} if rows == "source" else {rows}
    return relative_to(measured, reference, replaced, how, paired, metric), reference


def _distinct(frame: pd.DataFrame, axis: str) -> tuple[str, ...]:
    return tuple(str(v) for v in pd.unique(frame[axis]))


def _best_rows(measured: pd.DataFrame, rows: str, cols: str, higher_is_better: bool) -> pd.DataFrame:
    """The rows of the best cell of every column; "best" is decided on means over seeds, once for all seeds."""
    grid = Grid(rows, cols, _distinct(measured, rows), _distinct(measured, cols))
    values = grid.collapse(measured).values
    worst = -np.inf if higher_is_better else np.inf
    filled = np.where(np.isnan(values), worst, values)
    best = filled.argmax(axis=0) if higher_is_better else filled.argmin(axis=0)
    chosen = best * len(grid.col_labels) + np.arange(len(grid.col_labels))
    return measured.loc[np.isin(grid.locate(measured), chosen)]


def _z_scores(measured: pd.DataFrame, grid: Grid) -> tuple[Relative, pd.DataFrame]:
    """(v - mean of the column) / standard deviation of the column (n), both over the row means of that column."""
    cells = grid.collapse(measured).values
    present = np.isfinite(cells)
    n = np.maximum(present.sum(axis=0), 1)
    mean = np.where(present, cells, 0.0).sum(axis=0) / n
    deviation = np.sqrt((np.where(present, cells - mean, 0.0) ** 2).sum(axis=0) / n)
    column = grid.locate(measured) % len(grid.col_labels)
    flat = deviation <= 1e-12 * np.maximum(np.abs(mean), 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        values = (measured["value"].to_numpy(dtype=float) - mean[column]) / np.where(flat, np.nan, deviation)[column]
    nobody = np.empty(len(measured), dtype=object)
    nobody[:] = [()] * len(measured)
    state = np.where(np.isfinite(values), "", "undefined")
    rows = measured.assign(value=values, baseline_ids=nobody, state=state)
    return Relative(rows.loc[state == ""], rows.loc[state != ""], (grid.cols,)), measured.iloc[:0]


def pairing_text(name: str, paired: Pairing, texts: Mapping[object, str]) -> str:
    """How values were set against a reference, for captions."""
    if name == "z":
        return REFERENCE_TEXT["z"]
    return f"{REFERENCE_TEXT[name]}; {texts[paired]}"
