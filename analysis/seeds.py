"""Values per seed, and halves of the seeds: what the noise ceiling and honest "best" choices are made of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import Any

import numpy as np
import pandas as pd

from analysis.columns import labels, ordered, require_column
from analysis.matrix import TransferMatrix, transfer_matrix

_MOST_SPLITS = 50


@dataclass(frozen=True, eq=False)
class SeedValues:
    """``values`` float [R, C, S]: one matrix per seed, NaN where that seed has no value; ``matrix``: all together."""

    matrix: TransferMatrix
    seeds: tuple[str, ...]
    values: np.ndarray

    def mean_of(self, chosen: np.ndarray) -> np.ndarray:
        """Mean [R, C] over the seeds numbered ``chosen``; NaN where none of them has a value."""
        part = self.values[:, :, chosen]
        n = np.isfinite(part).sum(axis=2)
        return np.asarray(np.where(n > 0, np.nansum(part, axis=2) / np.maximum(n, 1), np.nan))


def seed_values(
    frame: pd.DataFrame, rows: str = "source", cols: str = "target", value: str = "accuracy", **options: Any
) -> SeedValues:
    """The matrix of each seed. ``options`` are those of ``transfer_matrix``."""
    require_column(frame, "seed", "a split over seeds")
    matrix = transfer_matrix(frame, rows, cols, value, **options)
    shown = {t for several in matrix.trial_ids.ravel() for t in several}
    seeds = ordered(labels(frame.loc[frame["trial_id"].isin(shown), "seed"]))
    cube = np.full((*matrix.shape, len(seeds)), np.nan)
    i, j = ({name: k for k, name in enumerate(names)} for names in (matrix.row_labels, matrix.col_labels))
    conditions = dict(options.pop("filter", None) or {})
    for s, seed in enumerate(seeds):
        one = transfer_matrix(frame, rows, cols, value, filter={**conditions, "seed": seed}, **options)
        at = np.ix_([i[r] for r in one.row_labels], [j[c] for c in one.col_labels])
        cube[:, :, s][at] = one.values
    return SeedValues(matrix, seeds, cube)


def half_splits(n: int, seed: int = 0) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of disjoint halves of n seeds: all of them when few, else fifty at random; one seed is left out if odd.

    Both orders of a pair come up, so that choosing and scoring change places.
    """
    half = n // 2
    if half == 0:
        return
    every = np.arange(n)
    if comb(n, half) <= 2 * _MOST_SPLITS:
        for first in combinations(range(n), half):
            rest = [k for k in range(n) if k not in first]
            for second in combinations(rest, half):
                yield np.array(first), np.array(second)
        return
    generator = np.random.default_rng(seed)
    for _ in range(_MOST_SPLITS):
        drawn = generator.permutation(every)
        yield drawn[:half], drawn[half : 2 * half]
        yield drawn[half : 2 * half], drawn[:half]
