"""The two small networks against plain torch modules and closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from harness.backbones.base import Backbone
from harness.backbones.small import Mlp, SmallCnn
from harness.errors import HarnessError

BACKBONES = [Mlp(), Mlp(hidden=5, depth=1), SmallCnn(), SmallCnn(width=6, groups=3)]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("backbone", BACKBONES, ids=repr)
def test_layers_and_widths_are_as_declared(backbone: Backbone) -> None:
    shape = (1, 9, 7)
    network = backbone.build(4, shape, generator())
    assert tuple(name for name, _ in network.named_children()) == backbone.layers
    inputs = torch.randn(3, *shape)
    assert network(inputs).shape == (3, 4)
    assert network[:-1](inputs).shape == (3, backbone.feature_width(shape))
    assert not list(network.buffers())


@pytest.mark.parametrize("backbone", BACKBONES, ids=repr)
def test_the_generator_alone_decides_and_the_body_does_not_depend_on_the_classes(backbone: Backbone) -> None:
    before = torch.get_rng_state()
    one = backbone.build(4, (1, 8, 8), generator()).state_dict()
    assert torch.equal(before, torch.get_rng_state()), "the process's own random state is not touched"
    again = backbone.build(4, (1, 8, 8), generator()).state_dict()
    wider = backbone.build(9, (1, 8, 8), generator()).state_dict()
    other = backbone.build(4, (1, 8, 8), generator(1)).state_dict()
    for name, tensor in one.items():
        assert torch.equal(tensor, again[name])
        if not name.startswith("head."):
            assert torch.equal(tensor, wider[name])
        if tensor.ndim > 1:
            assert not torch.equal(tensor, other[name])


def test_initial_weights_have_the_stated_variance() -> None:
    network = Mlp(hidden=400, depth=2).build(50, (300,), generator())
    state = network.state_dict()
    assert float(state["hidden1.1.weight"].var()) == pytest.approx(2 / 300, rel=0.02)
    assert float(state["hidden2.1.weight"].var()) == pytest.approx(2 / 400, rel=0.02)
    assert float(state["head.weight"].var()) == pytest.approx(1 / (3 * 400), rel=0.05)
    assert all(float(tensor.abs().sum()) == 0 for name, tensor in state.items() if name.endswith("bias"))


def test_the_perceptron_is_the_textbook_one() -> None:
    network = Mlp(hidden=6, depth=2).build(3, (2, 2), generator())
    state = network.state_dict()
    inputs = torch.randn(5, 2, 2)
    hidden = inputs.reshape(5, 4)
    for name in ("hidden1", "hidden2"):
        hidden = torch.clamp(hidden @ state[f"{name}.1.weight"].T + state[f"{name}.1.bias"], min=0)
    expected = hidden @ state["head.weight"].T + state["head.bias"]
    torch.testing.assert_close(network(inputs), expected)


def test_the_norm_is_group_norm_over_each_example_alone() -> None:
    backbone = SmallCnn(width=8, groups=4)
    network = backbone.build(3, (1, 8, 8), generator())
    convolution, norm = network[0][0], network[0][1]
    reference = nn.GroupNorm(4, 8)
    with torch.no_grad():
        norm.gain.copy_(torch.randn(8))
        norm.shift.copy_(torch.randn(8))
        reference.weight.copy_(norm.gain)
        reference.bias.copy_(norm.shift)
    inputs = torch.randn(6, 1, 8, 8)
    activations = convolution(inputs)
    torch.testing.assert_close(norm(activations), reference(activations))
    alone = torch.cat([network(one[None]) for one in inputs])
    torch.testing.assert_close(network(inputs), alone, msg="an example's logits do not depend on the others")


def test_the_convolutional_net_halves_twice() -> None:
    backbone = SmallCnn(width=4, groups=2)
    for height, width in ((8, 8), (9, 12), (28, 28)):
        expected = 8 * math.ceil(height / 4) * math.ceil(width / 4)
        assert backbone.feature_width((3, height, width)) == expected


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: SmallCnn(width=6, groups=4), "width 6 is not a multiple of groups 4"),
        (lambda: SmallCnn(width=0), "not a multiple"),
        (lambda: Mlp(hidden=0), "at least 1"),
        (lambda: Mlp(depth=0), "at least 1"),
    ],
)
def test_impossible_options_are_one_sentence(make, sentence: str) -> None:
    with pytest.raises(HarnessError, match=sentence):
        make()
