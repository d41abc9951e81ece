"""Learning rate as a closed form of the step, so that a resumed training needs no schedule state."""

from __future__ import annotations

import math

from harness.training.settings import Optimiser


def factor(optimiser: Optimiser, step: int, steps: int) -> float:
    """Return what the learning rate is multiplied by at `step` (from 0) of `steps`.

    `cosine` falls from 1 towards 0 (Loshchilov and Hutter 2017, without restarts); `constant` stays 1; `step` is
    multiplied by `decay` once this share of the steps is done at each milestone.
    """
    if optimiser.schedule == "constant":
        return 1.0
    if optimiser.schedule == "step":
        # Rounded, so that 0.6 of 270 is step 162 though it is 161.99999999999997 in floating point.
        return optimiser.decay ** sum(step >= round(part * steps, 6) for part in optimiser.milestones)
    return 0.5 * (1.0 + math.cos(math.pi * step / steps))
