"""How long and how a network is trained; these settings are in keys."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

from harness.errors import HarnessError

OptimiserName = Literal["sgd", "adam"]
Schedule = Literal["constant", "cosine"]


@dataclass(frozen=True)
class Budget:
    """How long: a number of steps, or of passes over the data (`epochs`, which then decides), and the batch size."""

    steps: int = 200
    epochs: int | None = None
    batch_size: int = 64

    def __post_init__(self) -> None:
        for name, value in (("steps", self.steps), ("epochs", self.epochs), ("batch_size", self.batch_size)):
            if value is not None and value < 1:
                raise HarnessError(f"{name} must be at least 1, not {value}")

    def batch_of(self, examples: int) -> int:
        """Return the examples in one batch: never more than there are."""
        return min(self.batch_size, examples)

    def steps_for(self, examples: int) -> int:
        """Return the number of steps on so many examples; a pass that ends within a batch counts the whole batch."""
        if self.epochs is None:
            return self.steps
        return math.ceil(self.epochs * examples / self.batch_of(examples))


@dataclass(frozen=True)
class Optimiser:
    """How: stochastic gradient descent with momentum, or Adam, and how the learning rate runs.

    weight_decay: added to the gradient (sgd) or decoupled (adam, as AdamW).  clip: largest norm of the gradient of the
    whole network, of each network by itself; None leaves it alone.
    """

    name: OptimiserName = "sgd"
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 0.0
    schedule: Schedule = "cosine"
    clip: float | None = None

    def __post_init__(self) -> None:
        if self.lr < 0 or self.weight_decay < 0:
            raise HarnessError("lr and weight_decay must not be negative")
        if not 0 <= self.momentum < 1:
            raise HarnessError(f"momentum must be at least 0 and below 1, not {self.momentum}")
        if self.clip is not None and self.clip <= 0:
            raise HarnessError(f"clip must be positive, not {self.clip}")


STANDARD_BUDGET: Final = Budget()
STANDARD_OPTIMISER: Final = Optimiser()
