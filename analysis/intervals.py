"""How sure the value of one cell is: seeds differ, and the test set is a sample.

The variance of a cell's mean is that over seeds, s^2 / S, plus that of the test sample, p (1 - p) / n_eval, which all
seeds share and which more seeds do not shrink. For p the rule of Agresti and Coull adds two successes and two failures.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.matrix import TransferMatrix
from analysis.units import NOT_ESTIMABLE, is_fraction


@dataclass(frozen=True, eq=False)
class CellIntervals:
    """``low``, ``high`` float [R, C], NaN where not estimable; ``test_error`` [R, C]: standard error of the test
    sample, NaN where unknown; ``note``: what the intervals contain, for a caption."""

    low: np.ndarray
    high: np.ndarray
    test_error: np.ndarray
    level: float
    note: str


def cell_intervals(matrix: TransferMatrix, level: float = 0.95) -> CellIntervals:
    """Intervals of the values of an absolute matrix; of a relative one only the spread over seeds is known.

    Student's t with Welch and Satterthwaite's degrees of freedom where seeds contribute, normal otherwise.
    """
    from scipy import stats

    error = _test_error(matrix)
    seeds = np.maximum(matrix.seeds, 1).astype(float)
    of_seeds = np.where(matrix.seeds > 1, matrix.spread**2 / seeds, np.nan)
    of_test = error**2
    total = np.nan_to_num(of_seeds) + np.nan_to_num(of_test)
    known = np.isfinite(of_seeds) | np.isfinite(of_test)
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = np.where(
            np.nan_to_num(of_seeds) > 0, total**2 / (np.nan_to_num(of_seeds) ** 2 / np.maximum(seeds - 1, 1)), np.inf
        )
    half = np.where(known, stats.t.ppf((1 + level) / 2, np.maximum(freedom, 1.0)) * np.sqrt(total), np.nan)
    low, high = matrix.values - half, matrix.values + half
    if np.isfinite(error).any():
        low, high = np.maximum(low, 0.0), np.minimum(high, 1.0)
    return CellIntervals(low, high, error, level, _note(of_seeds, of_test, level))


def _test_error(matrix: TransferMatrix) -> np.ndarray:
    """Standard error from the number of evaluation examples; NaN for metrics that are no share of examples."""
    nothing = np.full(matrix.shape, np.nan)
    share = is_fraction(matrix.metric, matrix.values) and matrix.relative_to is None
    if matrix.n_eval is None or not share:
        return nothing
    n = matrix.n_eval + 4.0
    p = (matrix.values * matrix.n_eval + 2.0) / n
    return np.asarray(np.sqrt(p * (1.0 - p) / n))


def _note(of_seeds: np.ndarray, of_test: np.ndarray, level: float) -> str:
    parts = [name for name, v in (("seeds", of_seeds), ("the test sample", of_test)) if np.isfinite(v).any()]
    if not parts:
        return f"Intervals of cells: {NOT_ESTIMABLE} (one seed, and no number of evaluation examples)."
    missing = "" if len(parts) == 2 else f"; the other source of error ({_other(parts[0])}) is {NOT_ESTIMABLE}"
    return f"{level:.0%} intervals of cells from {' and '.join(parts)}{missing}."


def _other(known: str) -> str:
    return "the test sample" if known == "seeds" else "seeds"
