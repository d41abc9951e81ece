"""How long and how a network is trained; these settings are in keys."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final, Literal

from harness.errors import HarnessError

OptimiserName = Literal["sgd", "adam"]
Schedule = Literal["constant", "cosine", "step"]


@dataclass(frozen=True)
class Budget:
    """How long, and the batch size: a number of `steps`, or of passes over the data, or of floating-point operations.

    epochs, when given, decides instead of steps, and `flops` instead of both. A step costs what its matrix products
    and convolutions do: one pass forward through the whole network and twice as much back through what is trained;
    what is frozen counts as if it were computed at every step.
    """

    steps: int = 200
    epochs: int | None = None
    batch_size: int = 64
    flops: float | None = None

    def __post_init__(self) -> None:
        given = (("steps", self.steps), ("epochs", self.epochs), ("batch_size", self.batch_size), ("flops", self.flops))
        for name, value in given:
            if value is not None and value < 1:
                raise HarnessError(f"{name} must be at least 1, not {value}")

    def batch_of(self, examples: int) -> int:
        """Return the examples in one batch: never more than there are."""
        return min(self.batch_size, examples)

    def steps_for(self, examples: int, step_flops: float | None = None) -> int:
        """Return the number of steps on so many examples; a pass that ends within a batch counts the whole batch.

        step_flops: operations of one step, which a budget of operations is divided by; the last step is a whole one.
        """
        if self.flops is not None:
            if not step_flops:
                raise HarnessError("a budget of floating-point operations needs a network that has some")
            return math.ceil(self.flops / step_flops)
        if self.epochs is None:
            return self.steps
        return math.ceil(self.epochs * examples / self.batch_of(examples))

    def length(self, examples: int) -> Hashable:
        """Return what trainings of one network must have in common to be equally long."""
        return ("flops", self.flops) if self.flops is not None else self.steps_for(examples)


@dataclass(frozen=True)
class Optimiser:
    """How: stochastic gradient descent with momentum, or Adam, and how the learning rate runs.

    weight_decay: added to the gradient (sgd) or decoupled (adam, as AdamW).  clip: largest norm of the gradient of the
    whole network, of each network by itself; None leaves it alone.  schedule: `step` multiplies the rate by `decay` at
    each of the `milestones`, fractions of the budget.  bias_lr: multiplies the rate of biases (and of gains and shifts
    of norms).  decay_biases: whether weight_decay acts on these too.
    """

    name: OptimiserName = "sgd"
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 0.0
    schedule: Schedule = "cosine"
    clip: float | None = None
    milestones: tuple[float, ...] = ()
    decay: float = 0.1
    bias_lr: float = 1.0
    decay_biases: bool = True

    def __post_init__(self) -> None:
        if min(self.lr, self.weight_decay, self.decay, self.bias_lr) < 0:
            raise HarnessError("lr, weight_decay, decay and bias_lr must not be negative")
        if not 0 <= self.momentum < 1:
            raise HarnessError(f"momentum must be at least 0 and below 1, not {self.momentum}")
        if self.clip is not None and self.clip <= 0:
            raise HarnessError(f"clip must be positive, not {self.clip}")
        if list(self.milestones) != sorted(self.milestones) or not all(0 < part < 1 for part in self.milestones):
            raise HarnessError(f"milestones are rising fractions of the budget, not {list(self.milestones)}")
        if self.schedule == "step" and not self.milestones:
            raise HarnessError("the schedule `step` needs milestones: fractions of the budget at which the rate falls")
        if self.milestones and self.schedule != "step":
            raise HarnessError(f"milestones belong to the schedule `step`, not to {self.schedule!r}")


STANDARD_BUDGET: Final = Budget()
STANDARD_OPTIMISER: Final = Optimiser()
