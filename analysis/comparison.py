"""Two conditions against each other: the paired difference, with an interval that respects the grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.baselines import Relative, relative_to, replaced_axes
from analysis.build import better, measured_rows
from analysis.cautions import mixed
from analysis.cells import Collapsed, Grid
from analysis.columns import SEEDS, axes_of, ordered, restrict, textual, varying
from analysis.conditions import Condition, condition
from analysis.resampling import FEWEST, Interval, multiplicities, percentiles
from analysis.units import NOT_ESTIMABLE, Unit, is_fraction, unit_of
from harness.errors import HarnessError


@dataclass(frozen=True, eq=False)
class Comparison:
    """``x`` minus ``y`` over matched trials.

    Attributes:
        estimate: mean over cells (rows x cols) of the mean paired difference over seeds.
        low, high: percentile bootstrap interval over the levels of ``resampled``; NaN with ``interval_reason`` when
            not estimable. Axes in ``fixed`` have too few levels to be resampled: the interval holds for these.
        n_cells, n_pairs: cells and matched pairs of trials.  unmatched: trials of x without a partner.
        wins, ties, losses: cells in which x is better than, equal to, worse than y.
        trial_ids: the trials of x and of y used.
    """

    x: str
    y: str
    metric: str
    estimate: float
    low: float
    high: float
    level: float
    n_cells: int
    n_pairs: int
    unmatched: int
    wins: int
    ties: int
    losses: int
    resampled: tuple[str, ...]
    fixed: tuple[str, ...]
    unit: Unit
    interval_reason: str
    trial_ids: tuple[str, ...]
    warnings: tuple[str, ...]

    def __str__(self) -> str:
        """The difference as printed: "+2.1 [+0.4, +3.9] percentage points"."""
        value = self.unit.text(self.estimate, signed=True)
        ends = f"{self.unit.text(self.low, signed=True)}, {self.unit.text(self.high, signed=True)}"
        shown = f"{value} [{ends if np.isfinite(self.low) else f'interval {NOT_ESTIMABLE}'}]"
        return f"{shown} {self.unit.name}".rstrip()


def compare(
    frame: pd.DataFrame,
    x: str,
    y: str,
    value: str = "accuracy",
    *,
    rows: str = "source",
    cols: str = "target",
    over: Sequence[str] = (),
    filter: Mapping[str, object] | None = None,
    split: str | None = "test",
    n_resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
    higher_is_better: bool | None = None,
) -> Comparison:
    """Paired difference x - y of a metric.

    Args:
        x, y: conditions: ``axis=value``, a method, a baseline, or another axis value that is found once.
        rows, cols: the axes whose levels are resampled together (trials of one source or target are not independent).
        over: further axes that may be averaged inside a cell; trials are matched on them first.

    Raises:
        HarnessError: when nothing matches, a trial has several partners, or an axis would be averaged silently.
    """
    first, second = condition(frame, x, value), condition(frame, y, value)
    ours, theirs, relative = _matched(textual(frame), first, second, filter or {}, split)
    _refuse_silent_mean(relative.rows, {rows, cols, *over, *SEEDS}, [rows, cols])
    grid = Grid(rows, cols, ordered(relative.rows[rows]), ordered(relative.rows[cols]))
    cells = grid.collapse(relative.rows)
    interval = _interval(grid, cells, n_resamples, seed, level)
    differences = cells.values[cells.count > 0]
    gains = differences if better(first.metric, higher_is_better) else -differences
    fraction = is_fraction(
        first.metric, np.concatenate([part["value"].to_numpy(dtype=float) for part in (ours, theirs)])
    )
    return Comparison(
        x=x,
        y=y,
        metric=first.metric,
        estimate=float(differences.mean()),
        low=interval.low,
        high=interval.high,
        level=level,
        n_cells=int(differences.size),
        n_pairs=len(relative.rows),
        unmatched=len(relative.lacking),
        wins=int((gains > 0).sum()),
        ties=int((gains == 0).sum()),
        losses=int((gains < 0).sum()),
        resampled=tuple(n for n, size in zip((rows, cols), grid.shape, strict=True) if size >= FEWEST),
        fixed=tuple(n for n, size in zip((rows, cols), grid.shape, strict=True) if 1 < size < FEWEST),
        unit=unit_of(differences, fraction, "difference"),
        interval_reason=interval.reason,
        trial_ids=tuple(sorted({*_flat(cells.trial_ids), *_flat(cells.baseline_ids)})),
        warnings=tuple(mixed(pd.concat([ours, theirs]))),
    )


def _matched(
    text: pd.DataFrame, first: Condition, second: Condition, conditions: Mapping[str, object], split: str | None
) -> tuple[pd.DataFrame, pd.DataFrame, Relative]:
    """The rows of both conditions, and those of the first against their partners."""
    ours, theirs = (_rows(text, c, conditions, split) for c in (first, second))
    relative = relative_to(ours, theirs, _unpaired(text, first, second), "difference", True, first.metric)
    if relative.rows.empty:
        agree = ", ".join(relative.axes)
        raise HarnessError(f"No trial of {first.text!r} has a partner in {second.text!r} that agrees in {agree}.")
    return ours, theirs, relative


def _refuse_silent_mean(matched: pd.DataFrame, allowed: set[str], cell: list[str]) -> None:
    for axis, values in varying(matched, cell, [a for a in axes_of(matched) if a not in allowed]).items():
        raise HarnessError(
            f"The comparison would average silently over {axis!r} ({', '.join(values)}); filter it or name it in over."
        )


def _rows(text: pd.DataFrame, of: Condition, conditions: Mapping[str, object], split: str | None) -> pd.DataFrame:
    chosen = restrict(of.rows(text), of.fitting(text, conditions))
    return measured_rows(chosen, text, of.metric, split)[0]


def _unpaired(text: pd.DataFrame, first: Condition, second: Condition) -> set[str]:
    """Axes on which partners differ: those that the conditions set, and those that a baseline fixes."""
    if second.role == first.role:
        return {*first.where, *second.where}
    return (set(first.where) & set(second.where)) | replaced_axes(first.rows(text), second.rows(text), None)


def _interval(grid: Grid, cells: Collapsed, n_resamples: int, seed: int, level: float) -> Interval:
    """Bootstrap over rows and columns together, each as far as it has enough levels."""
    sizes = [n if n >= FEWEST else 1 for n in grid.shape]
    if max(sizes) == 1:
        return Interval.missing(f"fewer than {FEWEST} levels of {grid.rows} and of {grid.cols}")
    values, present = np.nan_to_num(cells.values), (cells.count > 0).astype(float)
    means = []
    for drawn in multiplicities(sizes, n_resamples, seed, cells.values.size):
        r, c = (d if n >= FEWEST else np.ones((len(d), n)) for d, n in zip(drawn, grid.shape, strict=True))
        total = np.einsum("br,rc,bc->b", r, present, c)
        summed = np.einsum("br,rc,bc->b", r, values, c)
        means.append(np.divide(summed, total, out=np.full(len(r), np.nan), where=total > 0))
    return percentiles(np.concatenate(means), level)


def _flat(ids: np.ndarray) -> list[str]:
    return [one for several in ids.ravel() for one in several]
