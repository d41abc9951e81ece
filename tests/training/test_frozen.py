"""Layers that stay as they are: a batch's outputs against running the layers by hand, with and without weights."""

from __future__ import annotations

import torch

from harness.backbones.small_alexnet import SmallAlexNet
from harness.graph import Weights
from harness.training.features import run_frozen
from harness.training.frozen import frozen_layers, load_network, section_parameters
from harness.training.rules import STANDARD_NUMERICS, Numerics
from harness.training.stages import initialise
from tests.training.pictures import blobs
from tests.training.places import Place

NET = SmallAlexNet(width=3, hidden=8)
SHAPE = (1, 16, 16)


def weights(seed: int) -> Weights:
    return initialise(backbone=NET, input_shape=SHAPE, n_classes=4, seed=seed, ctx=Place())


def test_layers_with_given_weights_are_run_without_gradients() -> None:
    given, batch = weights(3), blobs().split("test").inputs[:7]
    for cut in (1, 2, 5, 7):
        made = frozen_layers(NET, SHAPE, cut, given, STANDARD_NUMERICS, Place())(batch)
        network = NET.build(4, SHAPE, torch.Generator())
        network.load_state_dict(dict(given.tensors))
        torch.testing.assert_close(made, network[:cut](batch), rtol=1e-5, atol=1e-6)
        assert not made.requires_grad and made.is_contiguous()


def test_the_loaded_network_keeps_its_own_weights() -> None:
    place = Place()
    network = load_network(NET, SHAPE, STANDARD_NUMERICS, place)
    before = {name: tensor.clone() for name, tensor in network.named_parameters()}
    frozen_layers(NET, SHAPE, 2, weights(5), STANDARD_NUMERICS, place)(blobs().split("val").inputs[:])
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.named_parameters())
    assert load_network(NET, SHAPE, STANDARD_NUMERICS, place) is network
    own = section_parameters(network[:2], None)
    assert set(own) == {name for name in before if name.startswith(("conv1.", "conv2."))}


def test_an_example_gives_the_same_bits_in_whatever_company() -> None:
    """A batch of a training and the pieces in which features are made see an example in different company."""
    given, inputs = weights(1), blobs().split("train").inputs[:]
    for numerics, wide in ((STANDARD_NUMERICS, False), (Numerics(precision="float64"), True)):
        place = Place()
        section = load_network(NET, SHAPE, numerics, place)[:4]
        whole = run_frozen(section, inputs, section_parameters(section, given), place, numerics, wide=wide)
        some = torch.tensor([31, 2, 17, 5])
        made = frozen_layers(NET, SHAPE, 4, given, numerics, place)(inputs[some].to(whole.dtype))
        assert torch.equal(made, whole[some]) and made.dtype == whole.dtype
