"""A convolutional network of eight learned layers for pictures, trained from scratch: deep enough to be cut."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from harness.backbones.base import HEAD, Backbone, backbone
from harness.backbones.small import group_norm_class, initialised
from harness.errors import HarnessError

if TYPE_CHECKING:
    import torch
    from torch import nn

_CONVOLUTIONS: Final = ((1, 1), (2, 2), (2, 1), (4, 2), (4, 1), (8, 2), (8, 1))
"""Of each convolution: its channels as a multiple of `width`, its stride."""


@dataclass(frozen=True)
class SmallCnn8(Backbone):
    """Seven 3 × 3 convolutions with group norm and ReLU, the last averaged over the image, then the head.

    width: channels of the first; the last has eight times as many.  groups: groups of the norm, which is taken over
    each example alone.  shrink: images are averaged over squares of so many pixels first.  stem_stride: stride of the
    first convolution.
    """

    width: int = 16
    groups: int = 4
    stem_stride: int = 1
    shrink: int = 1
    name: ClassVar[str] = "small_cnn8"

    def __post_init__(self) -> None:
        if self.groups < 1 or self.width < 1 or self.width % self.groups:
            raise HarnessError(f"small_cnn8: width {self.width} is not a multiple of groups {self.groups}")
        if self.stem_stride < 1 or self.shrink < 1:
            raise HarnessError(
                f"small_cnn8: stem_stride and shrink must be at least 1, not {self.stem_stride} and {self.shrink}"
            )

    @property
    def layers(self) -> tuple[str, ...]:
        """`conv1`, ..., `conv7`, `head`."""
        return (*(f"conv{number + 1}" for number in range(len(_CONVOLUTIONS))), HEAD)

    def feature_width(self, input_shape: tuple[int, ...]) -> int:
        """Channels of the last convolution."""
        return self.width * _CONVOLUTIONS[-1][0]

    def build(self, n_classes: int, input_shape: tuple[int, ...], generator: torch.Generator) -> nn.Sequential:
        """Make the network; see :meth:`Backbone.build`."""
        import torch
        from torch import nn

        group_norm = group_norm_class()
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        wide = input_shape[0]
        with torch.device("meta"):
            for name, (multiple, stride) in zip(self.layers, _CONVOLUTIONS, strict=False):
                out = self.width * multiple
                step = self.stem_stride if name == "conv1" else stride
                parts = [nn.Conv2d(wide, out, 3, stride=step, padding=1), group_norm(self.groups, out), nn.ReLU()]
                if name == "conv1" and self.shrink > 1:
                    parts.insert(0, nn.AvgPool2d(self.shrink))
                if name == self.layers[-2]:
                    parts += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
                layers[name] = nn.Sequential(*parts)
                wide = out
            layers[HEAD] = nn.Linear(wide, n_classes)
        return initialised(nn.Sequential(layers), generator)


@backbone("small_cnn8")
def small_cnn8(width: int = 16, groups: int = 4, stem_stride: int = 1, shrink: int = 1) -> Backbone:
    """A convolutional net of eight learned layers for pictures, with group norm."""
    return SmallCnn8(width, groups, stem_stride, shrink)
