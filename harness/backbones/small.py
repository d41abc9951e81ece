"""Two small networks for small images, trained from scratch on the source: a perceptron and a convolutional net."""

from __future__ import annotations

import functools
import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from harness.backbones.base import HEAD, Backbone, backbone
from harness.errors import HarnessError

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True)
class Mlp(Backbone):
    """`depth` hidden layers of `hidden` units with ReLU on the flattened input, then the head."""

    hidden: int = 64
    depth: int = 2
    name: ClassVar[str] = "mlp"

    def __post_init__(self) -> None:
        if self.hidden < 1 or self.depth < 1:
            raise HarnessError(f"mlp: hidden and depth must be at least 1, not {self.hidden} and {self.depth}")

    @property
    def layers(self) -> tuple[str, ...]:
        """`hidden1`, ..., `head`."""
        return (*(f"hidden{index + 1}" for index in range(self.depth)), HEAD)

    def feature_width(self, input_shape: tuple[int, ...]) -> int:
        """The hidden width."""
        return self.hidden

    def build(self, n_classes: int, input_shape: tuple[int, ...], generator: torch.Generator) -> nn.Sequential:
        """Make the network; see :meth:`Backbone.build`."""
        import torch
        from torch import nn

        widths = [math.prod(input_shape), *[self.hidden] * self.depth]
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        with torch.device("meta"):
            for name, wide, narrow in zip(self.layers, widths[:-1], widths[1:], strict=False):
                layers[name] = nn.Sequential(nn.Flatten(), nn.Linear(wide, narrow), nn.ReLU())
            layers[HEAD] = nn.Linear(self.hidden, n_classes)
        return initialised(nn.Sequential(layers), generator)


@dataclass(frozen=True)
class SmallCnn(Backbone):
    """Three 3 x 3 convolutions with group norm and ReLU, the last two of stride 2, then the head.

    width: channels of the first; the others have twice as many.  groups: groups of the norm, which is taken over each
    example alone (a batch norm would make examples, and a source's statistics, part of the function).
    """

    width: int = 8
    groups: int = 4
    name: ClassVar[str] = "small_cnn"

    def __post_init__(self) -> None:
        if self.groups < 1 or self.width < 1 or self.width % self.groups:
            raise HarnessError(f"small_cnn: width {self.width} is not a multiple of groups {self.groups}")

    @property
    def layers(self) -> tuple[str, ...]:
        """`conv1`, `conv2`, `conv3`, `head`."""
        return ("conv1", "conv2", "conv3", HEAD)

    def feature_width(self, input_shape: tuple[int, ...]) -> int:
        """Channels times what is left of the image after two halvings, rounded up."""
        _, height, width = input_shape
        return 2 * self.width * math.ceil(height / 4) * math.ceil(width / 4)

    def build(self, n_classes: int, input_shape: tuple[int, ...], generator: torch.Generator) -> nn.Sequential:
        """Make the network; see :meth:`Backbone.build`."""
        import torch
        from torch import nn

        group_norm = group_norm_class()
        channels = [input_shape[0], self.width, 2 * self.width, 2 * self.width]
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        with torch.device("meta"):
            for index, name in enumerate(self.layers[:-1]):
                stride = 1 if index == 0 else 2
                parts = [
                    nn.Conv2d(channels[index], channels[index + 1], 3, stride=stride, padding=1),
                    group_norm(self.groups, channels[index + 1]),
                    nn.ReLU(),
                ]
                if index == 2:
                    parts.append(nn.Flatten())
                layers[name] = nn.Sequential(*parts)
            layers[HEAD] = nn.Linear(self.feature_width(input_shape), n_classes)
        return initialised(nn.Sequential(layers), generator)


@backbone("mlp")
def mlp(hidden: int = 64, depth: int = 2) -> Backbone:
    """A perceptron: flattened input, hidden layers with ReLU, head."""
    return Mlp(hidden=hidden, depth=depth)


@backbone("small_cnn")
def small_cnn(width: int = 8, groups: int = 4) -> Backbone:
    """A small convolutional net for small images, with group norm."""
    return SmallCnn(width=width, groups=groups)


def initialised(network: nn.Sequential, generator: torch.Generator) -> nn.Sequential:
    """Give a network made on the meta device its parameters, layer by layer, the head's last.

    Matrices and kernels: uniform with variance 2 / fan-in (He et al. 2015), in the head 1 / (3 fan-in); norms: gain 1;
    biases: 0. The process's own random state is not touched.
    """
    import torch
    from torch import nn

    network.to_empty(device="cpu")
    for name, parameter in network.named_parameters():
        if parameter.ndim > 1:
            slope = math.sqrt(5.0) if name.startswith(f"{HEAD}.") else 0.0
            nn.init.kaiming_uniform_(parameter, a=slope, generator=generator)
        else:
            with torch.no_grad():
                parameter.fill_(1.0 if name.endswith(".gain") else 0.0)
    return network


@functools.cache
def group_norm_class() -> Callable[[int, int], nn.Module]:
    """The class of the norm; made on first use because importing this module must not import torch."""
    import torch
    from torch import Tensor, nn

    class GroupNorm(nn.Module):
        """Group norm (Wu and He 2018) over each example alone; unlike `nn.GroupNorm` it runs under `vmap`."""

        def __init__(self, groups: int, channels: int) -> None:
            super().__init__()
            self.groups = groups
            self.gain = nn.Parameter(torch.ones(channels))
            self.shift = nn.Parameter(torch.zeros(channels))

        def forward(self, inputs: Tensor) -> Tensor:
            grouped = inputs.reshape(inputs.shape[0], self.groups, -1)
            normed = nn.functional.layer_norm(grouped, grouped.shape[-1:]).reshape(inputs.shape)
            return normed * self.gain[:, None, None] + self.shift[:, None, None]

    return GroupNorm
