"""Stacked optimisers against torch's own, one member at a time."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from harness.training.optimisers import StackedOptimiser
from harness.training.settings import Optimiser

SHAPES = {"weight": (4, 3), "bias": (4,)}


def start(members: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        name: torch.randn(members, *shape, generator=generator, dtype=torch.float64) for name, shape in SHAPES.items()
    }


def gradients(step: int, parameters: list[Tensor]) -> list[Tensor]:
    """Some gradients that depend on the parameters, as a real loss's do."""
    return [torch.sin(parameter * (step + 1)) for parameter in parameters]


def reference(settings: Optimiser, parameters: list[Tensor], rates: list[float]) -> list[Tensor]:
    """torch's own optimiser on one member."""
    leaves = [torch.nn.Parameter(parameter.clone()) for parameter in parameters]
    own: torch.optim.Optimizer
    if settings.name == "adam":
        own = torch.optim.AdamW(leaves, lr=settings.lr, weight_decay=settings.weight_decay)
    else:
        own = torch.optim.SGD(leaves, settings.lr, settings.momentum, weight_decay=settings.weight_decay)
    for step, rate in enumerate(rates):
        for leaf, gradient in zip(leaves, gradients(step, [leaf.detach() for leaf in leaves]), strict=True):
            leaf.grad = gradient
        if settings.clip is not None:
            torch.nn.utils.clip_grad_norm_(leaves, settings.clip)
        for group in own.param_groups:
            group["lr"] = settings.lr * rate
        own.step()
    return [leaf.detach() for leaf in leaves]


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_each_member_is_trained_as_torch_would_alone(name: str) -> None:
    settings = [
        Optimiser(name, lr=0.1),  # type: ignore[arg-type]  # a parametrised literal
        Optimiser(name, lr=0.01, momentum=0.5, weight_decay=0.1),  # type: ignore[arg-type]
        Optimiser(name, lr=0.3, momentum=0.0, weight_decay=0.01, clip=0.7),  # type: ignore[arg-type]
    ]
    rates = [1.0, 0.8, 0.5, 0.5, 0.1]
    parameters = start(3)
    expected = [
        reference(one, [tensor[place] for tensor in parameters.values()], rates) for place, one in enumerate(settings)
    ]
    optimiser = StackedOptimiser(parameters, settings)
    for step, rate in enumerate(rates):
        optimiser.step(parameters, gradients(step, list(parameters.values())), step, rate)
    for place in range(3):
        for tensor, wanted in zip(parameters.values(), expected[place], strict=True):
            torch.testing.assert_close(tensor[place], wanted, rtol=1e-7, atol=1e-9)


def test_clipping_one_leaves_the_others_alone() -> None:
    plain, mixed = start(2), start(2)
    free = Optimiser(lr=0.1)
    StackedOptimiser(plain, [free, free]).step(plain, gradients(0, list(plain.values())), 0, 1.0)
    clipped = Optimiser(lr=0.1, clip=1e-3)
    StackedOptimiser(mixed, [free, clipped]).step(mixed, gradients(0, list(mixed.values())), 0, 1.0)
    for name in plain:
        assert torch.equal(plain[name][0], mixed[name][0])
        assert not torch.equal(plain[name][1], mixed[name][1])


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_biases_have_a_rate_and_decay_of_their_own(name: str) -> None:
    """Against torch's parameter groups: twice the rate and no decay on biases, as in Caffe's reference networks."""
    how = Optimiser(name, lr=0.05, weight_decay=0.02, bias_lr=2.0, decay_biases=False)  # type: ignore[arg-type]
    parameters = start(1)
    weight, bias = (torch.nn.Parameter(parameters[key][0].clone()) for key in ("weight", "bias"))
    groups = [{"params": [weight]}, {"params": [bias], "lr": 0.1, "weight_decay": 0.0}]
    own: torch.optim.Optimizer = (
        torch.optim.AdamW(groups, lr=0.05, weight_decay=0.02)
        if name == "adam"
        else torch.optim.SGD(groups, 0.05, 0.9, weight_decay=0.02)
    )
    optimiser = StackedOptimiser(parameters, [how])
    for step in range(5):
        for leaf, gradient in zip((weight, bias), gradients(step, [weight.detach(), bias.detach()]), strict=True):
            leaf.grad = gradient
        own.step()
        optimiser.step(parameters, gradients(step, list(parameters.values())), step, 1.0)
    torch.testing.assert_close(parameters["weight"][0], weight.detach(), rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(parameters["bias"][0], bias.detach(), rtol=1e-7, atol=1e-9)
