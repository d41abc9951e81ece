"""Measuring networks: logits in pieces, then a metric for each member of a stack."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from harness.errors import HarnessError, suggest

if TYPE_CHECKING:
    import torch
    from torch import Tensor

PIECE: Final = 1024
"""Examples that one network sees at a time."""

MOST_NUMBERS: Final = 2**22
"""Numbers of input that are read at a time."""


def accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    """Share of examples whose largest logit is the label's, [width]. logits [width, n, classes], labels [width, n]."""
    return (logits.argmax(-1) == labels).double().mean(1)


def loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy in nats, [width]."""
    return cross_entropy(logits, labels).double().mean(1)


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of each example in nats, [width, n]; never in less than single precision."""
    import torch

    wide = logits.float() if logits.dtype == torch.bfloat16 else logits
    each: Tensor = torch.nn.functional.cross_entropy(wide.flatten(0, 1), labels.flatten(), reduction="none")
    return each.view(labels.shape)


_METRICS: Final[Mapping[str, tuple[Callable[[Tensor, Tensor], Tensor], bool]]] = {
    "accuracy": (accuracy, True),
    "loss": (loss, False),
}


def metric(name: str) -> tuple[Callable[[Tensor, Tensor], Tensor], bool]:
    """Return a metric's function of (logits, labels) and whether more is better. Raises HarnessError if unknown."""
    if name not in _METRICS:
        raise HarnessError(f"unknown metric {name!r}{suggest(name, _METRICS)}")
    return _METRICS[name]


def predict(
    network: Callable[[Mapping[str, Tensor], Tensor], Tensor], parameters: Mapping[str, Tensor], inputs: Tensor
) -> Tensor:
    """Return what stacked networks give for inputs [width, n, ...], `PIECE` examples at a time, without gradients."""
    import torch

    with torch.no_grad():
        starts = range(0, inputs.shape[1], PIECE)
        pieces = [network(parameters, inputs[:, start : start + PIECE]) for start in starts]
    return torch.cat(pieces, dim=1)


def predict_split(
    network: Callable[[Mapping[str, Tensor], Tensor], Tensor],
    parameters: Mapping[str, Tensor],
    inputs: Tensor,
    device: str,
    kind: torch.dtype,
) -> Tensor:
    """Return what one network, stacked alone, gives for inputs [n, ...]: [1, n, classes].

    The inputs are read a piece at a time, so that pictures kept on disk never lie in memory all at once.
    """
    import torch

    size = max(1, min(PIECE, MOST_NUMBERS // max(1, math.prod(inputs.shape[1:]))))
    pieces = [
        predict(network, parameters, inputs[start : start + size].unsqueeze(0).to(device, kind))
        for start in range(0, inputs.shape[0], size)
    ]
    return torch.cat(pieces, dim=1)
