"""AlexNet made small: five convolutions and three linear layers, in which copying n = 1..7 layers means what it did."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from harness.backbones.base import HEAD, Backbone, backbone
from harness.backbones.small import initialised
from harness.errors import HarnessError

if TYPE_CHECKING:
    import torch
    from torch import nn

_CHANNELS: Final = (3, 6, 8, 8, 6)
"""Channels of each convolution in thirds of `width`."""

_POOLED: Final = ("conv2", "conv5")


@dataclass(frozen=True)
class SmallAlexNet(Backbone):
    """Five convolutions and two hidden linear layers with ReLU, then the head: eight learned layers, no norm.

    The first convolution is 5 × 5 with stride 2, the others 3 × 3; the image is halved by maxima after the second and
    the fifth. width: channels of the first convolution, a multiple of 3 (12 gives 12-24-32-32-24).  hidden: units of
    each hidden linear layer.
    """

    width: int = 12
    hidden: int = 64
    name: ClassVar[str] = "small_alexnet"

    def __post_init__(self) -> None:
        if self.width < 3 or self.width % 3 or self.hidden < 1:
            raise HarnessError(
                "small_alexnet: width must be a multiple of 3 and hidden at least 1, "
                f"not {self.width} and {self.hidden}"
            )

    @property
    def layers(self) -> tuple[str, ...]:
        """`conv1`, ..., `conv5`, `fc6`, `fc7`, `head`."""
        return ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", HEAD)

    def feature_width(self, input_shape: tuple[int, ...]) -> int:
        """Units of the last hidden layer."""
        return self.hidden

    def build(self, n_classes: int, input_shape: tuple[int, ...], generator: torch.Generator) -> nn.Sequential:
        """Make the network; see :meth:`Backbone.build`. Raises HarnessError for images smaller than 8 × 8."""
        import torch
        from torch import nn

        wide, height, width = input_shape
        if min(height, width) < 8:
            raise HarnessError(f"small_alexnet reads images of at least 8 × 8, not {height} × {width}")
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        with torch.device("meta"):
            for name, thirds in zip(self.layers, _CHANNELS, strict=False):
                out = self.width * thirds // 3
                first = name == "conv1"
                convolution = nn.Conv2d(
                    wide, out, 5 if first else 3, stride=2 if first else 1, padding=2 if first else 1
                )
                pool = [nn.MaxPool2d(2)] if name in _POOLED else []
                layers[name] = nn.Sequential(convolution, nn.ReLU(), *pool)
                wide = out
            wide *= (-(-height // 2) // 4) * (-(-width // 2) // 4)
            for name in ("fc6", "fc7"):
                layers[name] = nn.Sequential(nn.Flatten(), nn.Linear(wide, self.hidden), nn.ReLU())
                wide = self.hidden
            layers[HEAD] = nn.Linear(wide, n_classes)
        return initialised(nn.Sequential(layers), generator)


@backbone("small_alexnet")
def small_alexnet(width: int = 12, hidden: int = 64) -> Backbone:
    """AlexNet made small: five convolutions and three linear layers for small images, without norms."""
    return SmallAlexNet(width, hidden)
