"""A linear layer some of whose inputs are left out while it learns (Srivastava et al. 2014).

Which ones is decided outside, for each network, step and example by itself: a layer that drew its own numbers could
not be one of several in a tensor program, nor go on where it was.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn


@functools.cache
def dropout_linear() -> Callable[[int, int, float], nn.Linear]:
    """The class of the layer; made on first use because importing this module must not import torch."""
    from torch import nn

    class DropoutLinear(nn.Linear):
        """Linear map of inputs [n, wide]; where `kept` [n, wide] is 0 they are left out, the others grow by as much."""

        def __init__(self, wide: int, narrow: int, dropout_rate: float) -> None:
            super().__init__(wide, narrow)
            self.dropout_rate = dropout_rate
            self.kept: Tensor | None = None

        def forward(self, inputs: Tensor) -> Tensor:
            if self.kept is not None:
                inputs = inputs * self.kept.to(inputs.dtype) / (1 - self.dropout_rate)
            return super().forward(inputs)

    return DropoutLinear
