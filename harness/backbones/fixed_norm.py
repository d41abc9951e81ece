"""Batch norm in its form for inference: a gain and a shift of each channel, which can be trained on.

Every example is then computed by itself, and a network is its parameters and nothing else. Features of the published
weights are what they were, but for rounding; fine-tuning no longer follows the statistics of its batches.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn


def with_fixed_norms(module: nn.Module) -> nn.Module:
    """Replace every batch norm over images below `module`, in place, by what it computes in evaluation; return it."""
    from torch import nn

    fixed = fixed_norm_class()
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(module, name, fixed(child))
        else:
            with_fixed_norms(child)
    return module


@functools.cache
def fixed_norm_class() -> Callable[[Any], nn.Module]:
    """The class of the norm; made on first use because importing this module must not import torch."""
    import torch
    from torch import nn

    class FixedNorm(nn.Module):
        """(x - mean) / sqrt(variance + epsilon) times weight plus bias, as gain x + shift."""

        def __init__(self, norm: nn.BatchNorm2d) -> None:
            super().__init__()
            assert norm.running_mean is not None and norm.running_var is not None
            with torch.no_grad():
                gain = (norm.running_var.double() + norm.eps).rsqrt()
                gain = gain * norm.weight.double() if norm.affine else gain
                shift = -norm.running_mean.double() * gain
                shift = shift + norm.bias.double() if norm.affine else shift
            kind = norm.running_mean.dtype
            self.gain, self.shift = nn.Parameter(gain.to(kind)), nn.Parameter(shift.to(kind))

        def forward(self, inputs: Tensor) -> Tensor:
            return inputs * self.gain[:, None, None] + self.shift[:, None, None]

    return FixedNorm
