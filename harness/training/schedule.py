"""Learning rate as a closed form of the step, so that a resumed training needs no schedule state."""

from __future__ import annotations

import math

from harness.training.settings import Schedule


def factor(schedule: Schedule, step: int, steps: int) -> float:
    """Return what the learning rate is multiplied by at `step` (from 0) of `steps`.

    `cosine` falls from 1 towards 0 (Loshchilov and Hutter 2017, without restarts); `constant` stays 1.
    """
    if schedule == "constant":
        return 1.0
    return 0.5 * (1.0 + math.cos(math.pi * step / steps))
