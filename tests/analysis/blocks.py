"""Transfer matrices with groups of tasks planted in them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis import transfer_matrix
from analysis.matrix import TransferMatrix

BASELINE = 0.5


def gains_frame(frame, gains: np.ndarray, names: Sequence[str], method: str = "tune", sets=()) -> pd.DataFrame:
    """Outcomes whose difference from the baseline `own` of each target is `gains` [rows, cols]; NaN: no row.

    sets: labels of rows beyond those of the names.
    """
    rows = [
        {"role": "baseline", "baseline": "own", "target": name, "method": method, "value": BASELINE} for name in names
    ]
    rows += [
        {"source": source, "target": target, "method": method, "value": BASELINE + gains[i, j]}
        for i, source in enumerate([*names, *sets])
        for j, target in enumerate(names)
        if np.isfinite(gains[i, j])
    ]
    made = frame(rows)
    return made.assign(trial_id=[f"{method}{k}" for k in range(len(made))])


def gains_matrix(frame, gains: np.ndarray, names: Sequence[str], **more) -> TransferMatrix:
    """The matrix of these gains."""
    order = {"source": names, "target": names}
    return transfer_matrix(gains_frame(frame, gains, names, **more), relative_to="own", order=order)


def planted(sizes: Sequence[int], within: float, noise: float, seed: int = 0) -> tuple[np.ndarray, list[int]]:
    """Gains [n, n] that are higher by `within` inside blocks, shuffled; and the block of each task."""
    rng = np.random.default_rng(seed)
    block = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    gains = within * (block[:, None] == block[None]) + noise * rng.normal(size=(len(block), len(block)))
    return gains, block.tolist()
