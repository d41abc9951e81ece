"""What a precision means through a whole chain of stages, against plain torch in that precision."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn

from harness.backbones.base import Backbone
from harness.backbones.small import Mlp, SmallCnn
from harness.errors import HarnessError
from harness.graph import Weights
from harness.registry import TASKS
from harness.tasks.base import Split, Task
from harness.training.data import Order, sample
from harness.training.evaluation import cross_entropy
from harness.training.loop import Program
from harness.training.networks import StackedNetwork, stack, stacked_network
from harness.training.numerics import applied
from harness.training.rules import CheckpointRule, Numerics
from harness.training.settings import Budget, Optimiser
from harness.training.stages import adapt, average_weights, evaluate, initialise, train
from tests.training.places import Place, same_bits
from tests.training.toys import cloud

NET = Mlp(hidden=6)
DOUBLE = Numerics(precision="float64")
ROUGH = Numerics(precision="bfloat16")


def plain_steps(network: nn.Module, data: Split, order: Order, budget: Budget, how: Optimiser) -> None:
    """Train a network on with torch's own optimiser."""
    own = (
        torch.optim.AdamW(network.parameters(), how.lr, weight_decay=how.weight_decay)
        if how.name == "adam"
        else torch.optim.SGD(network.parameters(), how.lr, how.momentum, weight_decay=how.weight_decay)
    )
    for step in range(budget.steps_for(len(data))):
        rate = 0.5 * (1 + math.cos(math.pi * step / budget.steps_for(len(data))))
        for group in own.param_groups:
            group["lr"] = how.lr * (rate if how.schedule == "cosine" else 1.0)
        chosen = order.at(step)
        loss = nn.functional.cross_entropy(network(data.inputs[chosen].double()), data.labels[chosen])
        own.zero_grad()
        loss.backward()
        if how.clip is not None:
            nn.utils.clip_grad_norm_(network.parameters(), how.clip)
        own.step()


@pytest.mark.parametrize(
    ("budget", "how"),
    [
        (Budget(steps=15, batch_size=7), Optimiser(lr=0.05, weight_decay=0.02)),
        (Budget(epochs=2, batch_size=5), Optimiser("adam", lr=0.01, weight_decay=0.1, schedule="constant")),
        (Budget(epochs=3, batch_size=9), Optimiser(lr=0.1, momentum=0.0, clip=0.4, schedule="constant")),
        (Budget(steps=9, batch_size=1), Optimiser("adam", lr=0.02, clip=0.1)),
    ],
    ids=["sgd", "adam in passes", "clipped in passes", "one example a step"],
)
@pytest.mark.parametrize("shots", [3, "all"])
def test_a_chain_in_double_precision_is_a_plain_torch_one(budget: Budget, how: Optimiser, shots: int | str) -> None:
    """Source, then target with a fresh head: nothing on the way is rounded to single precision."""
    settings = {"backbone": NET, "budget": budget, "optimiser": how, "shots": shots, "numerics": DOUBLE}
    source = train(task=cloud("source"), **settings, seed=1, ctx=Place())
    network = NET.build(3, (5,), torch.Generator())
    network.load_state_dict(dict(initialise(backbone=NET, input_shape=(5,), n_classes=3, seed=1, ctx=Place()).tensors))
    network.double()
    for task, seed in ((cloud("source"), 1), (cloud("target"), 2)):
        if seed == 2:
            begun = initialise(backbone=NET, input_shape=(5,), n_classes=3, seed=2, ctx=Place()).tensors
            head = {name: tensor.double() for name, tensor in begun.items() if name.startswith("head.")}
            network.load_state_dict({**network.state_dict(), **head})
        data = sample(task, ("train",), shots, seed, Place())  # type: ignore[arg-type]  # a parametrised literal
        plain_steps(network, data, Order(len(data), budget.batch_of(len(data)), seed, task.name), budget, how)
    got = adapt(task=cloud("target"), init=source, **settings, seed=2, ctx=Place())
    for name, parameter in network.named_parameters():
        assert got.tensors[name].dtype == torch.float64
        torch.testing.assert_close(got.tensors[name], parameter.detach(), rtol=1e-9, atol=1e-12)


def test_adapting_without_a_step_worth_its_name_keeps_every_digit() -> None:
    source = train(task=cloud("source"), backbone=NET, budget=Budget(steps=5), numerics=DOUBLE, ctx=Place())
    assert any(not torch.equal(tensor, tensor.float().double()) for tensor in source.tensors.values())
    still = {"budget": Budget(steps=1), "optimiser": Optimiser(lr=0.0), "head": "kept"}
    double, single = (
        adapt(task=cloud(), init=source, backbone=NET, **still, numerics=how, ctx=Place())
        for how in (DOUBLE, Numerics())
    )
    assert same_bits(double.tensors, source.tensors)
    assert same_bits(single.tensors, {name: tensor.float() for name, tensor in source.tensors.items()})


def test_evaluation_in_double_precision_sees_what_single_cannot() -> None:
    """Two logits that differ in the tenth digit: equal in single precision, where the first class wins."""
    tensors = dict(initialise(backbone=NET, input_shape=(5,), n_classes=3, ctx=Place()).tensors)
    tensors = {name: torch.zeros_like(tensor, dtype=torch.float64) for name, tensor in tensors.items()}
    tensors["head.bias"] = torch.tensor([1.0, 1.0 + 1e-10, 0.0], dtype=torch.float64)
    values = [
        evaluate(task=cloud(), weights=Weights(tensors), backbone=NET, numerics=how, ctx=Place()).rows[0].value
        for how in (DOUBLE, Numerics())
    ]
    labels = cloud().split("test").labels
    assert values == [float((labels == 1).double().mean()), float((labels == 0).double().mean())]
    assert values[0] == values[1] == 1 / 3, "the classes are balanced, so look at one only"
    lopsided = cloud(classes=2)
    two = {name: tensor[:2] if name.startswith("head.") else tensor for name, tensor in tensors.items()}
    kept = labels_of(lopsided)
    predicted = [predicted_class(two, lopsided.input_shape, how) for how in (DOUBLE, Numerics())]
    assert predicted == [1, 0] and kept == {0, 1}


def labels_of(task: Task) -> set[int]:
    return set(task.split("test").labels.tolist())


def predicted_class(tensors: dict[str, Tensor], shape: tuple[int, ...], how: Numerics) -> int:
    """The class that a network predicts for everything, found by measuring it on one class at a time."""

    class OneClass:
        def __init__(self, label: int) -> None:
            self.label = label

        def __call__(self, split: str) -> Split:
            return Split(torch.zeros(4, *shape), torch.full((4,), self.label))

    for label in range(2):
        one = replace(
            cloud(f"only{label}", classes=2),
            sizes={"test": 4},
            class_sizes={},
            data={"only": label},
            load=OneClass(label),
        )
        (row,) = evaluate(task=one, weights=Weights(tensors), backbone=NET, numerics=how, ctx=Place()).rows
        if row.value == 1.0:
            return label
    raise AssertionError("it predicts several classes")


@pytest.mark.parametrize(
    ("backbone", "shape"), [(NET, (5,)), (SmallCnn(width=4, groups=2), (1, 8, 8))], ids=["mlp", "small_cnn"]
)
def test_rough_logits_are_torchs_own_under_autocast(backbone: Backbone, shape: tuple[int, ...]) -> None:
    """And every layer with a matrix or a kernel computes roughly: its numbers are not those of single precision."""
    generator = torch.Generator().manual_seed(0)
    whole = backbone.build(3, shape, generator)
    inputs = torch.randn(16, *shape, generator=generator)
    for n_classes, network in ((3, whole), (None, whole[:-1])):
        parameters = stack([dict(network.named_parameters())])
        with torch.no_grad():
            single = network(inputs).flatten(1)
            with torch.autocast("cpu", torch.bfloat16):
                expected = network(inputs).flatten(1)
            with applied(ROUGH, "cpu"):
                got = stacked_network(backbone, shape, n_classes)(parameters, inputs[None])[0]
        scale = float(single.abs().max())
        torch.testing.assert_close(got.float(), expected.float(), rtol=0, atol=0.03 * scale)
        assert float((got.float() - single).abs().max()) > 1e-5 * scale


@pytest.mark.parametrize("bias", [True, False])
def test_convolutions_are_rounded_as_autocast_would(bias: bool) -> None:
    """One convolution alone: its inputs and kernel lose all but eight bits, its sums do not."""

    @dataclass(frozen=True)
    class OneKernel(Backbone):
        name: ClassVar[str] = "one_kernel"

        @property
        def layers(self) -> tuple[str, ...]:
            return ("conv", "head")

        def feature_width(self, input_shape: tuple[int, ...]) -> int:
            return 2 * input_shape[1] * input_shape[2]

        def build(self, n_classes: int, input_shape: tuple[int, ...], generator: torch.Generator) -> nn.Sequential:
            conv = nn.Conv2d(input_shape[0], 2, 3, padding=1, bias=bias)
            head = nn.Linear(self.feature_width(input_shape), n_classes)
            return nn.Sequential(OrderedDict(conv=conv, head=head))

    generator = torch.Generator().manual_seed(1)
    kernel = {"conv.weight": torch.randn(3, 2, 1, 3, 3, generator=generator)}
    if bias:
        kernel["conv.bias"] = torch.randn(3, 2, generator=generator)
    inputs = torch.randn(3, 4, 1, 6, 6, generator=generator)
    stacked = StackedNetwork(OneKernel(), (1, 6, 6), None)
    with applied(ROUGH, "cpu"):
        rough = stacked(kernel, inputs)
    plain = stacked(kernel, inputs)
    for member in range(3):
        own = {name.removeprefix("conv."): tensor[member] for name, tensor in kernel.items()}
        exact = nn.functional.conv2d(inputs[member], **own, padding=1).flatten(1)  # type: ignore[arg-type]  # tensors
        torch.testing.assert_close(plain[member], exact, rtol=1e-5, atol=1e-5)
        own = {name: tensor.bfloat16().float() for name, tensor in own.items()}
        rounded = nn.functional.conv2d(inputs[member].bfloat16().float(), **own, padding=1)  # type: ignore[arg-type]
        torch.testing.assert_close(rough[member], rounded.flatten(1).bfloat16(), rtol=0.01, atol=0.01)
        assert rough.dtype == torch.bfloat16 and not torch.equal(rough[member].float(), exact)


def test_a_rough_training_runs_beside_one_in_single_precision() -> None:
    net, places = SmallCnn(width=4, groups=2), (Place(), Place())
    settings = {"task": TASKS.get("digits_upright")(), "backbone": net, "budget": Budget(steps=6), "shots": 3}
    rule = CheckpointRule(every=1)
    rough, single = (
        train(**settings, optimiser=Optimiser(lr=0.02), rule=rule, numerics=how, ctx=place)
        for how, place in zip((ROUGH, Numerics()), places, strict=True)
    )
    losses = [torch.tensor([value for _, value in place.curves["train/loss"]]) for place in places]
    torch.testing.assert_close(losses[0], losses[1], rtol=0.03, atol=0)
    assert float(losses[0][-1]) < float(losses[0][0]) - 0.02 and not torch.equal(*losses)
    for name, tensor in single.tensors.items():
        assert float((rough.tensors[name] - tensor).abs().max()) < 0.02, name


def test_a_loss_of_rough_logits_is_summed_in_single_precision() -> None:
    """Of 4,096 equal examples a bfloat16 mean would be off in the third digit."""
    logits = torch.tensor([[[0.3, -0.2, 0.1]]]).expand(1, 4096, 3).bfloat16()
    labels = torch.ones(1, 4096, dtype=torch.int64)
    with applied(ROUGH, "cpu"):
        losses = cross_entropy(logits, labels)
        total = losses.sum(1) / 4096
    expected = -torch.log_softmax(logits[0, 0].double(), 0)[1]
    assert losses.dtype == torch.float32
    assert float(total) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("rough", [ROUGH, Numerics(), DOUBLE], ids=lambda how: how.precision)
def test_what_is_kept_has_the_type_of_the_parameters(rough: Numerics) -> None:
    wanted = torch.float64 if rough is DOUBLE else torch.float32
    rule = CheckpointRule(keep="best", every=2)
    kept = train(task=cloud(), backbone=NET, budget=Budget(steps=5), rule=rule, numerics=rough, ctx=Place())
    assert {tensor.dtype for tensor in kept.tensors.values()} == {wanted}
    mean = average_weights(weights=(kept, kept), ctx=Place())
    assert same_bits(mean.tensors, kept.tensors), "the mean of two equal numbers is that number"
    assert mean.header["averaged"] == 2


def test_an_average_is_worked_out_in_double_precision() -> None:
    """1e8 + 1 - 1e8 is lost in single precision."""
    three = tuple(Weights({"x": torch.tensor([value])}) for value in (1e8, 1.0, -1e8))
    assert float(average_weights(weights=three, ctx=Place()).tensors["x"]) == pytest.approx(1 / 3)


@pytest.fixture
def process_settings() -> Iterator[None]:
    """Put the process's own settings back after a test that changes them."""
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    yield
    torch.use_deterministic_algorithms(before[0], warn_only=before[1])


@pytest.mark.parametrize(("on", "warn_only"), [(True, True), (True, False), (False, False)])
@pytest.mark.parametrize("deterministic", [True, False])
@pytest.mark.usefixtures("process_settings")
def test_the_processs_own_determinism_is_put_back(on: bool, warn_only: bool, deterministic: bool) -> None:
    torch.use_deterministic_algorithms(on, warn_only=warn_only)
    benchmark = torch.backends.cudnn.benchmark
    with applied(Numerics(deterministic=deterministic, tf32=True), "cpu"):
        assert torch.are_deterministic_algorithms_enabled() is deterministic
        assert not torch.is_deterministic_algorithms_warn_only_enabled()
        assert torch.backends.cudnn.benchmark is not deterministic
        assert torch.backends.cudnn.allow_tf32
    assert torch.are_deterministic_algorithms_enabled() is on
    assert torch.is_deterministic_algorithms_warn_only_enabled() is warn_only
    assert torch.backends.cudnn.benchmark is benchmark


def test_a_nested_precision_is_put_back_to_the_outer_one() -> None:
    one = torch.ones(2, 2)
    with applied(ROUGH, "cpu"):
        with applied(Numerics(), "cpu"):
            assert (one @ one).dtype == torch.float32
        assert (one @ one).dtype == torch.bfloat16


# --- when a training is looked at -------------------------------------------------------------------------------------


def program(steps: int, every: int | None) -> Program:
    return Program(NET, 3, (5,), steps, "accuracy", CheckpointRule(every=every), Numerics())


@pytest.mark.parametrize(
    ("steps", "every", "looks"),
    [
        (20, None, [2, 4, 6, 8, 10, 12, 14, 16, 18, 20]),
        (25, None, [2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 25]),
        (9, None, [1, 2, 3, 4, 5, 6, 7, 8, 9]),
        (1, None, [1]),
        (10, 4, [4, 8, 10]),
        (10, 5, [5, 10]),
        (10, 10, [10]),
        (10, 11, [10]),
        (3, 1, [1, 2, 3]),
    ],
)
def test_looks_are_evenly_spaced_and_the_last_step_is_one(steps: int, every: int | None, looks: list[int]) -> None:
    assert program(steps, every).looks() == looks


def test_each_loss_is_in_exactly_one_point_of_the_curve() -> None:
    """Points are means over the steps since the last one, so that weighted by them they give the mean of all."""
    curves = {}
    for every in (1, 4):
        place = Place()
        budget, rule = Budget(steps=10, batch_size=7), CheckpointRule(every=every)
        train(task=cloud(), backbone=NET, budget=budget, rule=rule, ctx=place)
        curves[every] = dict(place.curves["train/loss"])
        assert set(place.curves) == {"train/loss"}, "nothing was watched"
    each = curves[1]
    means = {4: (1, 2, 3, 4), 8: (5, 6, 7, 8), 10: (9, 10)}
    assert curves[4] == pytest.approx({at: sum(each[s] for s in steps) / len(steps) for at, steps in means.items()})


def test_progress_is_told_at_every_look_and_to_every_real_member() -> None:
    told: list[tuple[int, int]] = []

    class Told(Place):
        def progress(self, done: int, total: int) -> None:
            told.append((done, total))

    rule = CheckpointRule(every=4)
    train(task=cloud(), backbone=NET, budget=Budget(steps=10), rule=rule, ctx=Told())
    assert told == [(4, 10), (8, 10), (10, 10)]


def test_an_unknown_split_to_choose_on_is_one_sentence() -> None:
    rule = CheckpointRule(keep="best", on="vall")
    with pytest.raises(HarnessError, match=r"has no split 'vall' \(did you mean 'val'\?\)"):
        train(task=cloud(), backbone=NET, budget=Budget(steps=2), rule=rule, ctx=Place())
