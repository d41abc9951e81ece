"""CaffeNet: the variant of AlexNet whose layers Yosinski et al. (2014) copied; pools before it norms."""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from harness.backbones.base import HEAD, Backbone, backbone
from harness.backbones.dropout import dropout_linear
from harness.backbones.inputs import ImageInput, normalise_module
from harness.errors import HarnessError

if TYPE_CHECKING:
    import torch
    from torch import nn

MEAN_COLOUR: Final = (122.68 / 255, 116.67 / 255, 104.01 / 255)
"""Red, green and blue of ImageNet's mean, which Caffe's reference networks subtract from pixels of 0 to 255."""

SMALLEST: Final = 63


@dataclass(frozen=True)
class _Convolution:
    """Channels as thirds of `width`, and whether it is followed by a pool and a norm."""

    thirds: int
    kernel: int
    stride: int
    padding: int
    groups: int
    bias: float
    pooled: bool = False
    normed: bool = False


_CONVOLUTIONS: Final = (
    _Convolution(3, 11, 4, 0, 1, 0.0, pooled=True, normed=True),
    _Convolution(8, 5, 1, 2, 2, 1.0, pooled=True, normed=True),
    _Convolution(12, 3, 1, 1, 1, 0.0),
    _Convolution(12, 3, 1, 1, 2, 1.0),
    _Convolution(8, 3, 1, 1, 2, 1.0, pooled=True),
)


@dataclass(frozen=True)
class CaffeNet(Backbone):
    """Five convolutions, of which some see half of the channels, and three linear layers; ReLU throughout.

    width: channels of the first convolution (96; a multiple of 3), the others in proportion: 256, 384, 384, 256.
    hidden: units of `fc6` and `fc7`.  dropout: share of the inputs of `fc7` and of the head that are left out at every
    step. Pictures from 0 to 1 become 0 to 255 less ImageNet's mean colour. Weights begin normal with standard
    deviation .01 (.005 in `fc6` and `fc7`), biases at 0 or 1.
    """

    width: int = 96
    hidden: int = 4096
    dropout: float = 0.5
    name: ClassVar[str] = "caffenet"

    def __post_init__(self) -> None:
        if self.width < 3 or self.width % 3 or self.hidden < 1:
            raise HarnessError(
                f"caffenet: width must be a multiple of 3 and hidden at least 1, not {self.width} and {self.hidden}"
            )
        if not 0 <= self.dropout < 1:
            raise HarnessError(f"caffenet: dropout must be at least 0 and below 1, not {self.dropout}")

    @property
    def layers(self) -> tuple[str, ...]:
        """`conv1`, ..., `conv5`, `fc6`, `fc7`, `head`."""
        return ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", HEAD)

    def feature_width(self, input_shape: tuple[int, ...]) -> int:
        """Units of `fc7`."""
        return self.hidden

    def build(self, n_classes: int, input_shape: tuple[int, ...], generator: torch.Generator) -> nn.Sequential:
        """Make the network; see :meth:`Backbone.build`. Raises HarnessError for pictures that are too small."""
        import torch
        from torch import nn

        channels, *sides = input_shape
        if min(sides) < SMALLEST:
            raise HarnessError(
                f"caffenet reads pictures of at least {SMALLEST} × {SMALLEST}, not {sides[0]} × {sides[1]}"
            )
        linear = dropout_linear()
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        with torch.device("meta"):
            wide = 3
            for name, shape in zip(self.layers, _CONVOLUTIONS, strict=False):
                layers[name] = self._convolution(wide, shape, first=name == "conv1")
                wide, sides = self.width * shape.thirds // 3, [_side(side, shape) for side in sides]
            wide *= sides[0] * sides[1]
            layers["fc6"] = nn.Sequential(nn.Flatten(), nn.Linear(wide, self.hidden), nn.ReLU())
            layers["fc7"] = nn.Sequential(nn.Flatten(), linear(self.hidden, self.hidden, self.dropout), nn.ReLU())
            layers[HEAD] = linear(self.hidden, n_classes, self.dropout)
        assert channels in (1, 3)
        return _initialised(nn.Sequential(layers), generator)

    def _convolution(self, wide: int, shape: _Convolution, *, first: bool) -> nn.Module:
        from torch import nn

        out = self.width * shape.thirds // 3
        size = ImageInput(227, MEAN_COLOUR, (1 / 255, 1 / 255, 1 / 255))
        parts = [normalise_module()(size)] if first else []
        parts.append(nn.Conv2d(wide, out, shape.kernel, shape.stride, shape.padding, groups=shape.groups))
        parts.append(nn.ReLU())
        if shape.pooled:
            parts.append(nn.MaxPool2d(3, 2, ceil_mode=True))
        if shape.normed:
            parts.append(_norm_class()())
        return nn.Sequential(*parts)


@backbone("caffenet")
def caffenet(width: int = 96, hidden: int = 4096, dropout: float = 0.5) -> Backbone:
    """CaffeNet, as AlexNet: five convolutions with local response norm, three linear layers with dropout."""
    return CaffeNet(width, hidden, dropout)


@functools.cache
def _norm_class() -> Callable[[], nn.Module]:
    """The class of the norm; made on first use because importing this module must not import torch."""
    from torch import Tensor, nn
    from torch.nn.functional import avg_pool2d

    class LocalResponseNorm(nn.Module):
        """Over five neighbouring channels: x / (1 + 1e-4 mean x²) ** .75 (Krizhevsky et al. 2012, section 3.3).

        torch's own pools in three dimensions, which has no deterministic gradient on a GPU.
        """

        def forward(self, inputs: Tensor) -> Tensor:
            squares = inputs.square().flatten(2).unsqueeze(1)
            near = avg_pool2d(squares, (5, 1), stride=1, padding=(2, 0)).squeeze(1).view(inputs.shape)
            return inputs / (1 + 1e-4 * near) ** 0.75

    return LocalResponseNorm


def _side(side: int, shape: _Convolution) -> int:
    """What is left of a side: the convolution rounds down, the pool up."""
    left = (side + 2 * shape.padding - shape.kernel) // shape.stride + 1
    return -(-(left - 3) // 2) + 1 if shape.pooled else left


def _initialised(network: nn.Sequential, generator: torch.Generator) -> nn.Sequential:
    """Give a network made on the meta device its parameters, layer by layer, the head's last."""
    import torch
    from torch import nn

    biases = dict(zip(("conv1", "conv2", "conv3", "conv4", "conv5"), (one.bias for one in _CONVOLUTIONS), strict=True))
    biases |= {"fc6": 1.0, "fc7": 1.0, HEAD: 0.0}
    network.to_empty(device="cpu")
    for name, parameter in network.named_parameters():
        layer = name.split(".", 1)[0]
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=0.005 if layer in ("fc6", "fc7") else 0.01, generator=generator)
        else:
            with torch.no_grad():
                parameter.fill_(biases[layer])
    return network
