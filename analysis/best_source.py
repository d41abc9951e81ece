"""Which source is best for each target, without the winner's curse: chosen on half of the seeds, scored on the rest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.seeds import SeedValues, half_splits
from analysis.tables import Table, TableCell
from analysis.units import NOT_ESTIMABLE


@dataclass(frozen=True)
class BestSource:
    """The best row of one column.

    Attributes:
        name: the row with the best mean over all seeds.  value: that mean (optimistic: it was selected for it).
        honest: mean value, on the other half of the seeds, of the row chosen on one half; NaN with ``reason``.
        chosen: share of the choices that fell on ``name``.
        margin: ``value`` minus the second best mean.  runner_up: the second best row.
        probability: share of bootstrap resamples of the seeds in which ``name`` stays the best.
    """

    col: str
    name: str
    value: float
    honest: float
    chosen: float
    margin: float
    runner_up: str
    probability: float
    reason: str = ""


def best_sources(
    data: SeedValues, *, exclude_self: bool = True, n_resamples: int = 1000, seed: int = 0
) -> list[BestSource]:
    """The best row of every column that has a value. "Best" follows the metric's direction."""
    sign = 1.0 if data.matrix.higher_is_better else -1.0
    found = []
    for j, col in enumerate(data.matrix.col_labels):
        values = sign * data.values[:, j, :]
        if exclude_self:
            own = np.array([row == col for row in data.matrix.row_labels])
            values = np.where(own[:, None], np.nan, values)
        if np.isfinite(values).any():
            found.append(_best(col, data.matrix.row_labels, values, sign, n_resamples, seed))
    return found


def _best(col: str, names: tuple[str, ...], values: np.ndarray, sign: float, n: int, seed: int) -> BestSource:
    mean = _means(values)
    order = np.argsort(-np.where(np.isnan(mean), -np.inf, mean), kind="stable")
    first, second = int(order[0]), int(order[1]) if len(order) > 1 else int(order[0])
    margin = mean[first] - mean[second] if len(order) > 1 else np.nan
    if values.shape[1] < 2:
        honest, share, probability, reason = np.nan, np.nan, np.nan, "one seed"
    else:
        honest, share = _held_out(values, first)
        probability, reason = _stays(values, first, n, seed), ""
    return BestSource(col, names[first], float(sign * mean[first]), float(sign * honest), float(share), float(margin),
                      names[second] if np.isfinite(margin) else "", float(probability), reason)  # fmt: skip


def _means(values: np.ndarray) -> np.ndarray:
    n = np.isfinite(values).sum(axis=1)
    return np.asarray(np.where(n > 0, np.nansum(values, axis=1) / np.maximum(n, 1), np.nan))


def _held_out(values: np.ndarray, first: int) -> tuple[float, float]:
    scores, hits = [], []
    for choose, score in half_splits(values.shape[1]):
        means = _means(values[:, choose])
        if np.isfinite(means).any():
            best = int(np.nanargmax(means))
            scores.append(_means(values[[best]][:, score])[0])
            hits.append(best == first)
    return (float(np.nanmean(scores)) if np.isfinite(scores).any() else np.nan), float(np.mean(hits))


def _stays(values: np.ndarray, first: int, n: int, seed: int) -> float:
    """Seeds are drawn anew for every row: runs of different rows are independent given their seeds' noise."""
    generator = np.random.default_rng(seed)
    drawn = generator.integers(0, values.shape[1], (n, *values.shape))
    picked = np.take_along_axis(np.broadcast_to(values, (n, *values.shape)), drawn, axis=2)
    present = np.isfinite(picked)
    n_values = present.sum(axis=2)
    means = np.where(n_values > 0, np.where(present, picked, 0.0).sum(axis=2) / np.maximum(n_values, 1), -np.inf)
    return float((means.argmax(axis=1) == first).mean())


def best_source_table(data: SeedValues, found: list[BestSource]) -> Table:
    """One row per column of the matrix; what one seed cannot tell is printed as not estimable."""
    unit, signed = data.matrix.unit, data.matrix.signed
    rows = []
    for one in found:
        told = not one.reason
        rows.append((
            TableCell(one.col), TableCell(one.name), TableCell(unit.text(one.value, signed)),
            TableCell(unit.text(one.honest, signed) if told else NOT_ESTIMABLE),
            TableCell(f"{one.chosen:.0%}" if told else NOT_ESTIMABLE),
            TableCell(f"{one.runner_up} ({unit.text(one.margin)})" if one.runner_up else ""),
            TableCell(f"{one.probability:.2f}" if told else NOT_ESTIMABLE),
        ))  # fmt: skip
    head = (
        data.matrix.cols,
        f"best {data.matrix.rows}",
        "mean",
        "held-out mean",
        "chosen",
        "second (margin)",
        "P(best)",
    )
    notes = (
        f"{data.matrix.quantity}. Mean: over all seeds, of the {data.matrix.rows} selected for it (optimistic).",
        "Held-out mean: chosen on one half of the seeds, scored on the other, over all halvings; chosen: share of "
        "these choices that fell on the named one; P(best): it stays the best when seeds are resampled.",
    )
    return Table(f"Best {data.matrix.rows} per {data.matrix.cols}", head, tuple(rows), notes)
