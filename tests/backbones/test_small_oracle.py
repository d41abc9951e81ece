"""The two small networks against plain functions of their parameters, for any option and image size."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from harness.backbones.base import Backbone
from harness.backbones.small import Mlp, SmallCnn
from harness.errors import HarnessError


def parameters_of(
    backbone: Backbone, shape: tuple[int, ...], classes: int, seed: int
) -> tuple[torch.nn.Sequential, dict[str, Tensor]]:
    """A network whose every parameter is random, norms and biases too, and its parameters."""
    generator = torch.Generator().manual_seed(seed)
    network = backbone.build(classes, shape, generator)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return network, {name: parameter.detach() for name, parameter in network.named_parameters()}


def perceptron(own: Mapping[str, Tensor], depth: int, inputs: Tensor) -> Tensor:
    value = inputs.flatten(1)
    for layer in range(1, depth + 1):
        value = (value @ own[f"hidden{layer}.1.weight"].T + own[f"hidden{layer}.1.bias"]).clamp_min(0)
    return value @ own["head.weight"].T + own["head.bias"]


def convolutional(own: Mapping[str, Tensor], groups: int, inputs: Tensor) -> Tensor:
    value = inputs
    for layer, stride in ((1, 1), (2, 2), (3, 2)):
        name = f"conv{layer}"
        value = functional.conv2d(value, own[f"{name}.0.weight"], own[f"{name}.0.bias"], stride=stride, padding=1)
        value = functional.group_norm(value, groups, own[f"{name}.1.gain"], own[f"{name}.1.shift"]).clamp_min(0)
    return value.flatten(1) @ own["head.weight"].T + own["head.bias"]


@settings(max_examples=20, deadline=None)
@given(
    hidden=st.integers(1, 20),
    depth=st.integers(1, 4),
    shape=st.sampled_from([(5,), (1, 8, 8), (3, 2, 7)]),
    classes=st.integers(1, 5),
    seed=st.integers(0, 100),
)
def test_a_perceptron_of_any_size(hidden: int, depth: int, shape: tuple[int, ...], classes: int, seed: int) -> None:
    network, own = parameters_of(Mlp(hidden=hidden, depth=depth), shape, classes, seed)
    inputs = torch.randn(3, *shape, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(network(inputs), perceptron(own, depth, inputs), rtol=1e-4, atol=1e-3)
    size = math.prod(shape)
    assert sum(tensor.numel() for tensor in own.values()) == (
        (size + 1) * hidden + (depth - 1) * (hidden + 1) * hidden + (hidden + 1) * classes
    )


@settings(max_examples=20, deadline=None)
@given(
    groups=st.integers(1, 3),
    times=st.integers(1, 3),
    shape=st.tuples(st.integers(1, 3), st.integers(2, 11), st.integers(2, 11)),
    classes=st.integers(1, 5),
    seed=st.integers(0, 100),
)
def test_a_convolutional_net_of_any_size(
    groups: int, times: int, shape: tuple[int, int, int], classes: int, seed: int
) -> None:
    width = groups * times
    backbone = SmallCnn(width=width, groups=groups)
    network, own = parameters_of(backbone, shape, classes, seed)
    inputs = torch.randn(3, *shape, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(network(inputs), convolutional(own, groups, inputs), rtol=1e-3, atol=1e-2)
    features = network[:-1](inputs)
    assert features.shape == (3, backbone.feature_width(shape))
    kernels = 9 * (shape[0] * width + width * 2 * width + 2 * width * 2 * width)
    once = 5 * width  # channels of the three layers together: a bias, a gain and a shift each
    assert sum(tensor.numel() for tensor in own.values()) == kernels + 3 * once + (features.shape[1] + 1) * classes


@pytest.mark.parametrize("backbone", [Mlp(hidden=7, depth=3), SmallCnn(width=4, groups=2)], ids=str)
def test_an_example_never_sees_another(backbone: Backbone) -> None:
    network, _ = parameters_of(backbone, (1, 8, 8), 3, 0)
    inputs = torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    whole = network(inputs)
    poisoned = inputs.clone()
    poisoned[2] = torch.nan
    for place in range(6):
        torch.testing.assert_close(network(inputs[place : place + 1])[0], whole[place], rtol=1e-4, atol=1e-4)
        if place != 2:
            torch.testing.assert_close(network(poisoned)[place], whole[place], rtol=1e-4, atol=1e-4)
    assert bool(network(poisoned)[2].isnan().any())


@pytest.mark.parametrize("backbone", [Mlp(), SmallCnn()], ids=str)
def test_building_leaves_the_processs_random_numbers_alone(backbone: Backbone) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    backbone.build(3, (1, 8, 8), torch.Generator().manual_seed(1))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("backbone", [Mlp(hidden=32), SmallCnn()], ids=str)
def test_initial_biases_are_zero_and_gains_one(backbone: Backbone) -> None:
    network = backbone.build(4, (1, 8, 8), torch.Generator().manual_seed(0))
    kinds = {"gain": 1.0, "shift": 0.0, "bias": 0.0}
    flat = [(name, parameter) for name, parameter in network.named_parameters() if parameter.ndim == 1]
    assert flat and all(bool((parameter == kinds[name.split(".")[-1]]).all()) for name, parameter in flat)
    for name, parameter in network.named_parameters():
        if parameter.ndim > 1:
            fan_in = parameter[0].numel()
            bound = math.sqrt(1 / fan_in) if name.startswith("head.") else math.sqrt(6 / fan_in)
            assert float(parameter.detach().abs().max()) <= bound
            assert float(parameter.detach().abs().max()) > 0.9 * bound


@pytest.mark.parametrize(("width", "groups"), [(6, 4), (0, 1), (4, 0), (3, 2)])
def test_groups_that_do_not_divide_the_channels(width: int, groups: int) -> None:
    with pytest.raises(HarnessError, match="is not a multiple of groups"):
        SmallCnn(width=width, groups=groups)
