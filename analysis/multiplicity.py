"""Many tests at once: p-values adjusted by Holm's step-down or Benjamini and Hochberg's step-up procedure.

Adjusted values can be compared with the level directly. Undefined (NaN) p-values stay so and are not counted as tests.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from harness.errors import HarnessError, suggest

Correction = Literal["holm", "benjamini_hochberg", "none"]
CORRECTION_TEXT = {
    "holm": "Holm's step-down correction (family-wise error)",
    "benjamini_hochberg": "Benjamini-Hochberg step-up correction (false discovery rate)",
    "none": "no correction for many tests",
}


def adjust(p_values: ArrayLike, correction: Correction = "holm") -> np.ndarray:
    """Adjusted p-values [n] in the order of ``p_values`` [n]. Raises HarnessError for an unknown correction."""
    if correction not in CORRECTION_TEXT:
        raise HarnessError(f"There is no correction {correction!r}{suggest(str(correction), CORRECTION_TEXT)}.")
    p = np.asarray(p_values, dtype=float).ravel()
    if ((p < 0) | (p > 1)).any():
        raise HarnessError("A p-value lies outside [0, 1].")
    adjusted = p.copy()
    tested = np.flatnonzero(np.isfinite(p))
    if correction == "none" or not tested.size:
        return adjusted
    order = tested[np.argsort(p[tested], kind="stable")]
    m = order.size
    if correction == "holm":
        # The running maximum keeps the order: without it a larger p could be adjusted to a smaller one.
        adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(m, 0, -1)), 1.0)
    else:
        scaled = p[order] * m / np.arange(1, m + 1)
        adjusted[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return adjusted
