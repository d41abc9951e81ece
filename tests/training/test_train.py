"""Training one network: against a plain torch loop, by rules for the best weights, and when it goes wrong."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from harness.backbones.small import Mlp
from harness.errors import HarnessError
from harness.graph import Diverged, Weights
from harness.training.data import Order, sample
from harness.training.evaluation import accuracy
from harness.training.rules import CheckpointRule, Numerics
from harness.training.settings import Budget, Optimiser
from harness.training.stages import adapt, evaluate, initialise, train
from tests.training.places import Place, same_bits
from tests.training.toys import cloud, poison

NET = Mlp(hidden=6)
DOUBLE = Numerics(precision="float64")


def plain_loop(initial: dict[str, Tensor], budget: Budget, optimiser: Optimiser, seed: int) -> dict[str, Tensor]:
    """What `train` should do, written with torch's own parts for one network."""
    task = cloud()
    data = sample(task, ("train",), "all", seed, Place())
    network = NET.build(task.n_classes, task.input_shape, torch.Generator())
    network.load_state_dict(initial)
    network.double()
    own = torch.optim.SGD(network.parameters(), optimiser.lr, optimiser.momentum)
    order = Order(len(data), budget.batch_of(len(data)), seed, task.name)
    for step in range(budget.steps):
        for group in own.param_groups:
            group["lr"] = optimiser.lr * 0.5 * (1 + math.cos(math.pi * step / budget.steps))
        chosen = order.at(step) if not order.whole else list(range(len(data)))
        loss = torch.nn.functional.cross_entropy(network(data.inputs[chosen].double()), data.labels[chosen])
        own.zero_grad()
        loss.backward()
        own.step()
    return {name: parameter.detach() for name, parameter in network.named_parameters()}


@pytest.mark.parametrize("batch_size", [7, 64])
def test_training_is_a_plain_torch_loop(batch_size: int) -> None:
    budget, optimiser = Budget(steps=25, batch_size=batch_size), Optimiser(lr=0.05)
    begun = initialise(backbone=NET, input_shape=(5,), n_classes=3, seed=4, ctx=Place())
    expected = plain_loop(dict(begun.tensors), budget, optimiser, seed=4)
    got = train(task=cloud(), backbone=NET, budget=budget, optimiser=optimiser, numerics=DOUBLE, seed=4, ctx=Place())
    for name, tensor in got.tensors.items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-9, atol=1e-11)


def test_more_micro_batches_are_the_same_training() -> None:
    whole, parts = (
        train(task=cloud(), backbone=NET, budget=Budget(steps=20), numerics=DOUBLE, ctx=Place(micro_batches=pieces))
        for pieces in (1, 5)
    )
    for name, tensor in whole.tensors.items():
        torch.testing.assert_close(parts.tensors[name], tensor, rtol=1e-10, atol=1e-12)


def test_what_is_learnt_is_measured() -> None:
    place = Place()
    net = train(task=cloud(), backbone=NET, budget=Budget(steps=60), ctx=place)
    rows = evaluate(task=cloud(), weights=net, backbone=NET, splits=("val", "test"), ctx=Place()).rows
    assert [(row.split, row.metric, row.task, row.n_eval) for row in rows] == [
        ("val", "accuracy", "cloud", 12),
        ("test", "accuracy", "cloud", 24),
    ]
    network = NET.build(3, (5,), torch.Generator())
    network.load_state_dict(dict(net.tensors))
    test = cloud().split("test")
    by_hand = float((network(test.inputs).argmax(1) == test.labels).float().mean())
    assert rows[1].value == pytest.approx(by_hand)
    assert by_hand > 0.6 and not place.flags
    steps, losses = zip(*place.curves["train/loss"], strict=True)
    assert steps == tuple(range(6, 61, 6)) and losses[-1] < 0.5 * losses[0]


def test_the_best_weights_are_those_that_were_best_on_validation() -> None:
    """Follow the same training step by step: the kept weights are its weights at the best look."""
    rule = CheckpointRule(keep="best", every=3)
    settings = {"task": cloud(width=2), "backbone": NET, "optimiser": Optimiser(lr=0.5, schedule="constant")}
    place = Place()
    kept = train(**settings, budget=Budget(steps=20), rule=rule, ctx=place)
    looks = dict(place.curves["val/accuracy"])
    assert list(looks) == [3, 6, 9, 12, 15, 18, 20]
    val = cloud(width=2).split("val")
    for step, seen in looks.items():
        shorter = train(**settings, budget=Budget(steps=step), ctx=Place())
        network = NET.build(3, (2,), torch.Generator())
        network.load_state_dict(dict(shorter.tensors))
        logits = network(val.inputs).detach()
        assert seen == pytest.approx(float(accuracy(logits[None], val.labels[None])))
        if step == kept.header["kept_step"]:
            assert same_bits(shorter.tensors, kept.tensors)
    assert looks[kept.header["kept_step"]] == max(looks.values())
    assert kept.header["kept_step"] == min(step for step, seen in looks.items() if seen == max(looks.values()))


def test_the_best_by_loss_is_the_lowest() -> None:
    place = Place()
    rule = CheckpointRule(keep="best", metric="loss", every=2)
    kept = train(task=cloud(width=2), backbone=NET, budget=Budget(steps=30), rule=rule, ctx=place)
    looks = dict(place.curves["val/loss"])
    assert looks[kept.header["kept_step"]] == min(looks.values())


def test_an_infinite_loss_is_diverged() -> None:
    with pytest.raises(Diverged, match="poison: the training loss is not finite from step 1 on"):
        train(task=poison(), backbone=NET, budget=Budget(steps=5), ctx=Place())
    with pytest.raises(Diverged, match="cloud: the training loss is not finite"):
        train(task=cloud(), backbone=NET, budget=Budget(steps=30), optimiser=Optimiser(lr=1e30), ctx=Place())


def test_a_training_that_goes_nowhere_is_flagged_in_the_row_too() -> None:
    place = Place()
    net = train(task=cloud(), backbone=NET, budget=Budget(steps=10), optimiser=Optimiser(lr=0.0), ctx=place)
    assert place.flags == ["not_trained"]
    (row,) = evaluate(task=cloud(), weights=net, backbone=NET, ctx=Place()).rows
    assert row.flags == ("not_trained",)


def test_adapting_begins_where_the_source_ended() -> None:
    source = train(task=cloud("source"), backbone=NET, budget=Budget(steps=20), ctx=Place())
    still = {"task": cloud(), "backbone": NET, "optimiser": Optimiser(lr=0.0), "budget": Budget(steps=1), "seed": 3}
    begun = initialise(backbone=NET, input_shape=(5,), n_classes=3, seed=3, ctx=Place())
    fresh_head = adapt(**still, init=source, ctx=Place())
    own_head = adapt(**still, init=source, head="kept", ctx=Place())
    for name, tensor in source.tensors.items():
        head = name.startswith("head.")
        assert torch.equal(fresh_head.tensors[name], begun.tensors[name] if head else tensor)
        assert torch.equal(own_head.tensors[name], tensor)


def test_every_source_meets_the_same_fresh_head() -> None:
    heads = []
    for source in ("one", "two"):
        init = train(task=cloud(source), backbone=NET, budget=Budget(steps=5), ctx=Place())
        frozen = Optimiser(lr=0.0)
        net = adapt(task=cloud(), init=init, backbone=NET, optimiser=frozen, budget=Budget(steps=1), ctx=Place())
        heads.append({name: tensor for name, tensor in net.tensors.items() if name.startswith("head.")})
    assert same_bits(*heads)


def test_adapting_from_initial_weights_is_training() -> None:
    init = initialise(backbone=NET, input_shape=(5,), n_classes=3, seed=2, ctx=Place())
    trained = train(task=cloud(), backbone=NET, budget=Budget(steps=15), seed=2, ctx=Place())
    adapted = adapt(task=cloud(), init=init, backbone=NET, budget=Budget(steps=15), seed=2, ctx=Place())
    assert same_bits(trained.tensors, adapted.tensors)


def test_an_init_that_does_not_fit_names_where_it_is_from() -> None:
    other = Weights(
        initialise(backbone=Mlp(hidden=9), input_shape=(5,), n_classes=3, ctx=Place()).tensors, {"task": "t"}
    )
    with pytest.raises(HarnessError, match="the weights of t have"):
        adapt(task=cloud(), init=other, backbone=NET, ctx=Place())


def test_bfloat16_learns_too() -> None:
    rough = Numerics(precision="bfloat16")
    net = train(task=cloud(), backbone=NET, budget=Budget(steps=60), numerics=rough, ctx=Place())
    (row,) = evaluate(task=cloud(), weights=net, backbone=NET, numerics=rough, ctx=Place()).rows
    assert row.value > 0.6 and all(tensor.dtype == torch.float32 for tensor in net.tensors.values())
