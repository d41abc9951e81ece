"""The small AlexNet against plain torch functions, its declared layers and sizes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from harness.backbones.small_alexnet import SmallAlexNet, small_alexnet
from harness.errors import HarnessError
from harness.training.networks import StackedNetwork, fresh, shape_above, stack


def plain(own: dict[str, Tensor], images: Tensor) -> Tensor:
    """The network written out."""

    def convolved(layer: str, inputs: Tensor, stride: int, padding: int) -> Tensor:
        return functional.conv2d(inputs, own[f"{layer}.0.weight"], own[f"{layer}.0.bias"], stride, padding).relu()

    flowing = functional.max_pool2d(convolved("conv2", convolved("conv1", images, 2, 2), 1, 1), 2)
    flowing = convolved("conv4", convolved("conv3", flowing, 1, 1), 1, 1)
    flowing = functional.max_pool2d(convolved("conv5", flowing, 1, 1), 2).flatten(1)
    for layer in ("fc6", "fc7"):
        flowing = functional.linear(flowing, own[f"{layer}.1.weight"], own[f"{layer}.1.bias"]).relu()
    return functional.linear(flowing, own["head.weight"], own["head.bias"])


@pytest.mark.parametrize("shape", [(3, 28, 28), (1, 8, 8), (1, 9, 17), (3, 33, 20)])
def test_it_is_the_network_written_out_alone_and_stacked(shape: tuple[int, ...]) -> None:
    backbone = SmallAlexNet(width=6, hidden=10)
    members = [fresh(backbone, 5, shape, torch.Generator().manual_seed(seed)) for seed in range(2)]
    images = torch.rand(2, 4, *shape)
    stacked = StackedNetwork(backbone, shape, 5)(stack(members), images)
    alone = StackedNetwork(backbone, shape, 5)(stack(members[:1]), images[:1])
    for place, own in enumerate(members):
        torch.testing.assert_close(stacked[place], plain(own, images[place]), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(alone[0], plain(members[0], images[0]), rtol=1e-4, atol=1e-5)


def test_sizes_of_the_standard_width() -> None:
    backbone = small_alexnet()
    assert backbone.layers == ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "head")
    assert [shape_above(backbone, (3, 28, 28), below) for below in range(1, 8)] == [
        (12, 14, 14), (24, 7, 7), (32, 7, 7), (32, 7, 7), (24, 3, 3), (64,), (64,),
    ]  # fmt: skip
    assert backbone.feature_width((3, 28, 28)) == 64


def test_layers_below_the_head_do_not_depend_on_the_classes() -> None:
    few, many = (fresh(SmallAlexNet(), n, (1, 12, 12), torch.Generator().manual_seed(2)) for n in (2, 9))
    assert all(torch.equal(few[name], many[name]) for name in few if not name.startswith("head."))


def test_impossible_networks_are_one_sentence() -> None:
    for wrong in (lambda: SmallAlexNet(width=10), lambda: SmallAlexNet(width=0), lambda: SmallAlexNet(hidden=0)):
        with pytest.raises(HarnessError, match="width must be a multiple of 3 and hidden at least 1"):
            wrong()
    with pytest.raises(HarnessError, match="at least 8 × 8, not 7 × 28"):
        SmallAlexNet().build(2, (1, 7, 28), torch.Generator())
