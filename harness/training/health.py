"""Whether a training went anywhere: diverged, or never left its initial loss."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from torch import Tensor

NOT_TRAINED: Final = "not_trained"
LEAST_FALL: Final = 0.05
WINDOWS: Final = 10


def first_bad_step(losses: Tensor) -> int | None:
    """Return the first step whose loss, of losses [steps], is not finite; None when all are."""
    bad = (~losses.isfinite()).nonzero()
    return int(bad[0]) if len(bad) else None


def guessing_loss(labels: Tensor, n_classes: int) -> float:
    """Return the loss of the best guess that looks at no input, for labels as a split has them.

    One class of n: ln n. Several: ln 2, of each class by itself. Numbers: their mean squared deviation from their mean.
    """
    if labels.is_floating_point():
        return float((labels.double() - labels.double().mean(0)).square().mean())
    return math.log(2 if labels.ndim == 2 else max(n_classes, 2))


def not_trained(losses: Tensor, guessing: float) -> bool:
    """Say whether the training loss [steps] never left its initial level.

    That is: the first loss is no better than half of what guessing gives (a network that starts well has nothing to
    leave), and no tenth of the training has a mean loss more than 5 % below the first.
    """
    initial = float(losses[0])
    if initial <= 0.5 * guessing:
        return False
    return (
        min(float(window.mean()) for window in losses.tensor_split(min(WINDOWS, len(losses))))
        > (1 - LEAST_FALL) * initial
    )
