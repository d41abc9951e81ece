"""A pre-trained body and a fresh head put together as one network of named layers."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable
from typing import TYPE_CHECKING

from harness.backbones.base import HEAD

if TYPE_CHECKING:
    import torch
    from torch import nn


def with_head(
    layers: Iterable[tuple[str, nn.Module]], width: int, n_classes: int, generator: torch.Generator
) -> nn.Sequential:
    """Return the layers, then a linear head from `width` features to classes, all as when measured (no dropout).

    Head weights: uniform with variance 1 / (3 width) from `generator`; biases 0.
    """
    import torch
    from torch import nn

    with torch.device("meta"):
        head = nn.Linear(width, n_classes)
    head.to_empty(device="cpu")
    nn.init.kaiming_uniform_(head.weight, a=math.sqrt(5.0), generator=generator)
    nn.init.zeros_(head.bias)
    return nn.Sequential(OrderedDict([*layers, (HEAD, head)])).eval()
