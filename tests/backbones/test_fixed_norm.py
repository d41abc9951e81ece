"""Batch norm replaced by a gain and a shift computes what it computed, and keeps no state."""

from __future__ import annotations

import torch
from torch import nn

from harness.backbones.fixed_norm import with_fixed_norms


def a_network() -> nn.Sequential:
    torch.manual_seed(0)
    inner = nn.Sequential(nn.Conv2d(4, 5, 3), nn.BatchNorm2d(5, affine=False))
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, eps=1e-3), nn.ReLU(), inner)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            if module.affine:
                module.weight.data.normal_()
                module.bias.data.normal_()
    return network.eval()


def test_outputs_are_what_they_were_and_nothing_is_kept_beside_parameters() -> None:
    network, images = a_network(), torch.randn(2, 3, 9, 9)
    before = network(images)
    fixed = with_fixed_norms(network)
    torch.testing.assert_close(fixed(images), before, rtol=1e-5, atol=1e-6)
    assert fixed is network and not list(network.named_buffers())
    assert not [one for one in network.modules() if isinstance(one, nn.BatchNorm2d)]
    assert {"1.gain", "1.shift", "3.1.gain", "3.1.shift"} <= set(dict(network.named_parameters()))


def test_an_example_does_not_depend_on_its_neighbours_even_in_training() -> None:
    network = with_fixed_norms(a_network()).train()
    images = torch.randn(3, 3, 9, 9)
    torch.testing.assert_close(network(images)[:1], network(images[:1]))
    network(images).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
