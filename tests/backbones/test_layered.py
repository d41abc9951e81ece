"""Networks of named layers: cut anywhere, features, activations, going on."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from harness.backbones.layered import (
    activations,
    body,
    features,
    forward_from,
    layer_names,
    prefix,
    prefix_parameters,
    suffix,
)
from harness.backbones.small import SmallCnn
from harness.backbones.small_cnn8 import SmallCnn8
from harness.errors import HarnessError

SHAPE = (3, 16, 16)


def net() -> nn.Sequential:
    return SmallCnn(width=4).build(5, SHAPE, torch.Generator().manual_seed(0))


def inputs() -> torch.Tensor:
    return torch.rand(3, *SHAPE, generator=torch.Generator().manual_seed(1))


def test_prefix_and_suffix_make_the_whole() -> None:
    network = net()
    for layer in layer_names(network):
        assert layer_names(prefix(network, layer)) + layer_names(suffix(network, layer)) == layer_names(network)
        assert torch.equal(forward_from(network, layer, prefix(network, layer)(inputs())), network(inputs()))


def test_parts_share_parameters_under_their_names() -> None:
    network = net()
    part = dict(suffix(network, "conv2").named_parameters())
    assert set(part) == {name for name, _ in network.named_parameters() if name.startswith(("conv3", "head"))}
    assert part["head.weight"] is network[-1].weight


def test_features_are_what_the_head_sees() -> None:
    network = net()
    assert layer_names(body(network)) == ("conv1", "conv2", "conv3")
    assert torch.equal(network[-1](features(network, inputs())), network(inputs()))
    assert features(network, inputs()).shape == (3, SmallCnn(width=4).feature_width(SHAPE))


def test_activations_come_from_one_pass_in_the_order_asked_for() -> None:
    network = net()
    found = activations(network, inputs(), ["conv3", "conv1"])
    assert list(found) == ["conv3", "conv1"]
    assert torch.equal(found["conv1"], network[0](inputs()))
    with pytest.raises(HarnessError, match=r"no layer 'conv4'.*did you mean 'conv"):
        activations(network, inputs(), ["conv4"])


def test_prefix_parameters_are_those_below_the_cut() -> None:
    network = net()
    chosen = prefix_parameters(layer_names(network), "conv2", dict(network.named_parameters()))
    assert {name.split(".")[0] for name in chosen} == {"conv1", "conv2"}


def test_small_cnn8_has_eight_learned_layers() -> None:
    backbone = SmallCnn8(width=4)
    network = backbone.build(6, (3, 48, 48), torch.Generator().manual_seed(0))
    learned = [module for module in network.modules() if isinstance(module, (nn.Conv2d, nn.Linear))]
    assert len(learned) == 8 == len(backbone.layers) and layer_names(network) == backbone.layers
    seen = activations(network, torch.rand(2, 3, 48, 48), backbone.layers)
    assert [seen[name].shape[-1] for name in ("conv1", "conv2", "conv4", "conv6")] == [48, 24, 12, 6]
    assert seen["conv7"].shape == (2, 32) == (2, backbone.feature_width((3, 48, 48)))
    assert seen["head"].shape == (2, 6)


def test_small_cnn8_may_start_smaller() -> None:
    inputs = torch.rand(2, 3, 48, 48)
    whole, half = (
        SmallCnn8(width=4, **options).build(6, (3, 48, 48), torch.Generator().manual_seed(0))
        for options in ({"stem_stride": 2}, {"shrink": 2})
    )
    assert activations(whole, inputs, ["conv1"])["conv1"].shape[-1] == 24
    averaged = inputs.unfold(2, 2, 2).unfold(3, 2, 2).mean((4, 5))
    plain = SmallCnn8(width=4).build(6, (3, 24, 24), torch.Generator().manual_seed(0))
    torch.testing.assert_close(half(inputs), plain(averaged))


def test_small_cnn8_refuses_what_cannot_be() -> None:
    with pytest.raises(HarnessError, match="not a multiple of groups"):
        SmallCnn8(width=6, groups=4)
    for options in ({"stem_stride": 0}, {"shrink": 0}):
        with pytest.raises(HarnessError, match="must be at least 1"):
            SmallCnn8(**options)
