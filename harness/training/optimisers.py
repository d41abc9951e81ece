"""Stochastic gradient descent and Adam on stacked networks: every member has its own rate, decay and clipping.

Only multiplications, additions, divisions and square roots, each rounded by itself: these give the same bits wherever
in a tensor a number stands, which fused operations do not promise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from harness.training.settings import Optimiser

if TYPE_CHECKING:
    from torch import Tensor

BETAS: Final = (0.9, 0.999)
EPSILON: Final = 1e-8

CLIP_MARGIN: Final = 1e-6
"""Added to the norm, as torch does."""


class StackedOptimiser:
    """Steps for stacked parameters. `settings` has one entry a member; all name the same algorithm.

    state: `first/<name>` and, for Adam, `second/<name>`, each [width, *shape].
    """

    def __init__(self, parameters: Mapping[str, Tensor], settings: Sequence[Optimiser]) -> None:
        import torch

        self.adam = settings[0].name == "adam"
        self.names = tuple(parameters)
        like = next(iter(parameters.values()))

        def column(values: Sequence[float]) -> Tensor:
            return torch.tensor(values, dtype=like.dtype, device=like.device)

        self._lr = column([item.lr for item in settings])
        self._momentum = column([item.momentum for item in settings])
        self._decay = column([item.weight_decay for item in settings])
        self._bias_lr = column([item.bias_lr for item in settings])
        self._bias_decay = column([item.weight_decay if item.decay_biases else 0.0 for item in settings])
        self._clip = column([math.inf if item.clip is None else item.clip for item in settings])
        self._clips = any(item.clip is not None for item in settings)
        moments = ("first", "second") if self.adam else ("first",)
        self.state = {f"{kind}/{name}": torch.zeros_like(parameters[name]) for kind in moments for name in self.names}

    def step(self, parameters: Mapping[str, Tensor], gradients: Sequence[Tensor], number: int, rate: float) -> None:
        """Change the parameters in place. number: the step, from 0; rate: the schedule's factor."""
        clipped = self._clipped(gradients) if self._clips else gradients
        for name, gradient in zip(self.names, clipped, strict=True):
            if self.adam:
                self._adam(name, parameters[name], gradient, number, rate)
            else:
                self._sgd(name, parameters[name], gradient, rate)

    def _rates(self, parameter: Tensor, rate: float) -> tuple[Tensor, Tensor]:
        """Learning rate and weight decay of each member for one parameter; biases, gains and shifts have their own."""
        if parameter.ndim > 2:
            return _beside(self._lr * rate, parameter), _beside(self._decay, parameter)
        return _beside(self._lr * rate * self._bias_lr, parameter), _beside(self._bias_decay, parameter)

    def _sgd(self, name: str, parameter: Tensor, gradient: Tensor, rate: float) -> None:
        velocity = self.state[f"first/{name}"]
        lr, decay = self._rates(parameter, rate)
        velocity.mul_(_beside(self._momentum, parameter)).add_(gradient + parameter * decay)
        parameter.sub_(velocity * lr)

    def _adam(self, name: str, parameter: Tensor, gradient: Tensor, number: int, rate: float) -> None:
        """AdamW (Loshchilov and Hutter 2019) with the usual bias corrections."""
        first, second = self.state[f"first/{name}"], self.state[f"second/{name}"]
        first.mul_(BETAS[0]).add_(gradient * (1 - BETAS[0]))
        second.mul_(BETAS[1]).add_(gradient * gradient * (1 - BETAS[1]))
        corrected = first / (1 - BETAS[0] ** (number + 1))
        scale = (second / (1 - BETAS[1] ** (number + 1))).sqrt() + EPSILON
        lr, decay = self._rates(parameter, rate)
        parameter.sub_(parameter * decay * lr)
        parameter.sub_(corrected / scale * lr)

    def _clipped(self, gradients: Sequence[Tensor]) -> list[Tensor]:
        import torch

        squares = [gradient.flatten(1).square().sum(1) for gradient in gradients]
        norm = torch.stack(squares).sum(0).sqrt()
        scale = (self._clip / (norm + CLIP_MARGIN)).clamp_max(1.0)
        return [gradient * _beside(scale, gradient) for gradient in gradients]


def _beside(column: Tensor, like: Tensor) -> Tensor:
    """Shape a value for each member, [width], so that it multiplies [width, ...]."""
    return column.view(-1, *(1,) * (like.ndim - 1))
