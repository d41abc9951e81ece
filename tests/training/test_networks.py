"""Stacked networks compute what each would alone, and no number passes from one to another."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from harness.backbones.base import Backbone
from harness.backbones.small import Mlp, SmallCnn
from harness.errors import HarnessError
from harness.training.evaluation import predict
from harness.training.networks import (
    StackedNetwork,
    fresh,
    layers_below,
    shape_above,
    stack,
    stacked_network,
    transplant,
    unstack,
)

SHAPE = (1, 8, 8)


def members(backbone: Backbone, count: int) -> list[dict[str, torch.Tensor]]:
    return [fresh(backbone, 3, SHAPE, torch.Generator().manual_seed(seed)) for seed in range(count)]


@pytest.mark.parametrize("backbone", [Mlp(hidden=7), SmallCnn(width=4, groups=2)], ids=str)
def test_each_member_computes_its_own_network(backbone: Backbone) -> None:
    own = members(backbone, 4)
    inputs = torch.randn(4, 6, *SHAPE)
    logits = StackedNetwork(backbone, SHAPE, 3)(stack(own), inputs)
    features = StackedNetwork(backbone, SHAPE, None)(stack(own), inputs)
    for place in range(4):
        network = backbone.build(3, SHAPE, torch.Generator())
        network.load_state_dict(own[place])
        torch.testing.assert_close(logits[place], network(inputs[place]))
        torch.testing.assert_close(features[place], network[:-1](inputs[place]).flatten(1))


@pytest.mark.parametrize("backbone", [Mlp(hidden=7), SmallCnn(width=4, groups=2)], ids=str)
def test_gradients_are_each_members_own(backbone: Backbone) -> None:
    own = members(backbone, 3)
    inputs = torch.randn(3, 6, *SHAPE)
    leaves = {name: tensor.requires_grad_() for name, tensor in stack(own).items()}
    StackedNetwork(backbone, SHAPE, 3)(leaves, inputs).square().sum().backward()
    for place in range(3):
        network = backbone.build(3, SHAPE, torch.Generator())
        network.load_state_dict(own[place])
        network(inputs[place]).square().sum().backward()
        for name, parameter in network.named_parameters():
            torch.testing.assert_close(leaves[name].grad[place], parameter.grad, rtol=1e-4, atol=1e-5)


def test_stacking_and_back_changes_nothing() -> None:
    own = members(Mlp(hidden=7), 3)
    back = unstack(stack(own), 1)
    assert all(torch.equal(back[name], own[1][name]) for name in own[1])
    back["head.bias"] += 1
    assert not torch.equal(back["head.bias"], own[1]["head.bias"]), "a copy"


def test_prediction_in_pieces_is_prediction(monkeypatch: pytest.MonkeyPatch) -> None:
    network, parameters = StackedNetwork(Mlp(hidden=7), SHAPE, 3), stack(members(Mlp(hidden=7), 2))
    inputs = torch.randn(2, 10, *SHAPE)
    whole = predict(network, parameters, inputs)
    monkeypatch.setattr("harness.training.evaluation.PIECE", 4)
    torch.testing.assert_close(predict(network, parameters, inputs), whole)
    assert not predict(network, parameters, inputs).requires_grad


def test_a_body_is_put_under_a_fresh_head() -> None:
    source, target = members(Mlp(hidden=7), 2)
    moved = transplant(source, target, head=False, origin="source")
    assert torch.equal(moved["hidden1.1.weight"], source["hidden1.1.weight"])
    assert torch.equal(moved["head.weight"], target["head.weight"])
    kept = transplant(source, target, head=True, origin="source")
    assert torch.equal(kept["head.weight"], source["head.weight"])


def test_weights_that_do_not_fit_are_one_sentence() -> None:
    target = members(Mlp(hidden=7), 1)[0]
    with pytest.raises(HarnessError, match=r"the weights of there have 'hidden1\.1.weight' of shape"):
        transplant(members(Mlp(hidden=8), 1)[0], target, head=False, origin="there")
    with pytest.raises(HarnessError, match=r"the weights of there have no tensor 'hidden2\.1.weight'"):
        transplant(members(Mlp(hidden=7, depth=1), 1)[0], target, head=False, origin="there")


class Normed(Mlp):
    """A backbone that breaks its promise: batch norm keeps state and mixes examples."""

    def build(self, n_classes: int, input_shape: tuple[int, ...], generator: torch.Generator) -> nn.Sequential:
        network = super().build(n_classes, input_shape, generator)
        network.hidden1.append(nn.BatchNorm1d(self.hidden))  # type: ignore[union-attr, operator]  # a Sequential
        return network


class Misnamed(Mlp):
    """A backbone whose layers are not what it says."""

    @property
    def layers(self) -> tuple[str, ...]:
        return ("first", "second", "head")

    def build(self, n_classes: int, input_shape: tuple[int, ...], generator: torch.Generator) -> nn.Sequential:
        return Mlp().build(n_classes, input_shape, generator)


def test_backbones_that_break_their_promises_are_refused() -> None:
    with pytest.raises(HarnessError, match="keeps state beside its parameters"):
        fresh(Normed(), 3, SHAPE, torch.Generator())
    with pytest.raises(HarnessError, match="builds layers"):
        fresh(Misnamed(), 3, SHAPE, torch.Generator())


def test_compiling_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[object] = []

    def remember(function: object) -> object:
        compiled.append(function)
        return function

    monkeypatch.setattr(torch, "compile", remember)
    first = stacked_network(Mlp(hidden=11), SHAPE, 3, True)
    assert stacked_network(Mlp(hidden=11), SHAPE, 3, True) is first and len(compiled) == 1
    assert stacked_network(Mlp(hidden=11), SHAPE, 3) is not first and len(compiled) == 1
    stacked_network.cache_clear()


@pytest.mark.parametrize("backbone", [Mlp(hidden=7), SmallCnn(width=4, groups=2)], ids=str)
def test_a_network_without_its_first_layers_goes_on_from_what_they_put_out(backbone: Backbone) -> None:
    """Alone and stacked; its parameters and operations are those of the layers that are left."""
    own, inputs = members(backbone, 3), torch.randn(3, 6, *SHAPE)
    whole, below = StackedNetwork(backbone, SHAPE, 3), 2
    above = StackedNetwork(backbone, SHAPE, 3, below=below)
    assert {name.split(".")[0] for name in above.names} == set(backbone.layers[below:])
    networks = [backbone.build(3, SHAPE, torch.Generator()) for _ in own]
    for network, parameters in zip(networks, own, strict=True):
        network.load_state_dict(parameters)
    between = torch.stack([network[:below](mine) for network, mine in zip(networks, inputs, strict=True)])
    assert tuple(between.shape[2:]) == shape_above(backbone, SHAPE, below)
    torch.testing.assert_close(above(stack(own), between), whole(stack(own), inputs))
    torch.testing.assert_close(above(stack(own[:1]), between[:1]), whole(stack(own[:1]), inputs[:1]))
    assert above.operations(shape_above(backbone, SHAPE, below)) < whole.operations(SHAPE)


def test_layers_are_counted_from_the_input() -> None:
    assert layers_below(Mlp(depth=3), 2) == ("hidden1", "hidden2") and layers_below(Mlp(), 0) == ()
    for wrong in (-1, 3, 9):
        with pytest.raises(HarnessError, match=f"mlp has 3 layers: {wrong} cannot be copied, at most all but one"):
            layers_below(Mlp(), wrong)


def test_only_the_named_layers_are_transplanted() -> None:
    mine, theirs = members(Mlp(hidden=7), 2)
    mixed = transplant(theirs, mine, head=True, origin="theirs", layers=("hidden2",))
    for name, tensor in mixed.items():
        assert torch.equal(tensor, theirs[name] if name.startswith("hidden2.") else mine[name])
