"""Training towards several classes an example, and towards numbers: against plain torch, and to what is known."""

from __future__ import annotations

import functools

import pytest
import torch
from torch import Tensor

from harness.backbones.small import Mlp
from harness.errors import HarnessError
from harness.graph import Stage
from harness.tasks.base import Split, Task
from harness.training.features import extract_features
from harness.training.probe import fit_probe
from harness.training.rules import CheckpointRule, Numerics
from harness.training.settings import Budget, Optimiser
from harness.training.stages import evaluate, train
from tests.training.places import Place, run_batch, run_stages, same_bits

NET = Mlp(hidden=16)
SIZES = {"train": 60, "val": 40, "test": 40}


def drawn(name: str, split: str) -> tuple[Tensor, Tensor]:
    """Inputs [n, 4] and a fixed linear map of them [n, 3]."""
    seed = 7 * list(SIZES).index(split) + sum(map(ord, name))
    inputs = torch.randn(SIZES[split], 4, generator=torch.Generator().manual_seed(seed))
    rule = torch.randn(4, 3, generator=torch.Generator().manual_seed(1))
    return inputs, inputs @ rule


def load_several(name: str, split: str) -> Split:
    inputs, scores = drawn(name, split)
    return Split(inputs, (scores > 0).long())


def load_numbers(name: str, split: str) -> Split:
    return Split(*drawn(name, split))


def several(name: str = "several", metric: str = "map_11") -> Task:
    load = functools.partial(load_several, name)
    return Task(name, 3, ("a", "b", "c"), (4,), SIZES, {"several": name}, load, metric=metric, multi_label=True)


def numbers(name: str = "numbers") -> Task:
    load = functools.partial(load_numbers, name)
    names = ("x", "y", "z")
    return Task(name, 3, names, (4,), SIZES, {"numbers": name}, load, metric="relative_l2", regression=True)


def loss_of(task: Task, network: torch.nn.Module) -> Tensor:
    """The loss that should be minimised, with torch's own functions."""
    whole = task.split("train")
    outputs = network(whole.inputs)
    if task.regression:
        return torch.nn.functional.mse_loss(outputs, whole.labels)
    return torch.nn.functional.binary_cross_entropy_with_logits(outputs, whole.labels.float())


@pytest.mark.parametrize("task", [several(), numbers()], ids=str)
def test_one_step_goes_down_the_gradient_of_the_right_loss(task: Task) -> None:
    """Plain descent on the whole data: begin - end is the rate times torch's gradient."""
    how = {"task": task, "backbone": NET, "budget": Budget(steps=1, batch_size=60), "seed": 2}
    begun = train(**how, optimiser=Optimiser(lr=0.0), ctx=Place()).tensors
    ended = train(**how, optimiser=Optimiser(lr=0.1, momentum=0.0, schedule="constant"), ctx=Place()).tensors
    network = NET.build(3, (4,), torch.Generator())
    network.load_state_dict(dict(begun))
    loss_of(task, network).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None
        torch.testing.assert_close(ended[name], begun[name] - 0.1 * parameter.grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("task", "good"), [(several(), 0.9), (several("several", "auroc"), 0.95), (numbers(), 0.35)], ids=str
)
def test_what_can_be_learnt_is_learnt_and_measured(task: Task, good: float) -> None:
    place, rule = Place(), CheckpointRule(keep="best", every=20)
    adam = Optimiser("adam", lr=0.02)
    net = train(task=task, backbone=NET, budget=Budget(steps=200), optimiser=adam, rule=rule, ctx=place)
    (row,) = evaluate(task=task, weights=net, backbone=NET, ctx=Place()).rows
    assert row.metric == task.metric and row.n_eval == 40 and not row.flags
    assert row.value > good if task.higher_is_better else row.value < good
    looks = dict(place.curves[f"val/{task.metric}"])
    best = max(looks.values()) if task.higher_is_better else min(looks.values())
    assert looks[net.header["kept_step"]] == best


@pytest.mark.parametrize("task", [several(), numbers()], ids=str)
def test_a_training_that_goes_nowhere_is_flagged(task: Task) -> None:
    place = Place()
    train(task=task, backbone=NET, budget=Budget(steps=30), optimiser=Optimiser(lr=0.0), ctx=place)
    assert place.flags == ["not_trained"]


@pytest.mark.parametrize("make", [several, numbers])
def test_members_of_a_batch_are_alone_with_their_targets(make: functools.partial) -> None:
    tasks = [make("one"), make("two")]
    stages = [train.bind(task=task, backbone=NET, budget=Budget(steps=9, batch_size=7)) for task in tasks]
    assert len({stage.group() for stage in stages}) == 1
    for stage, together in zip(stages, run_batch(stages, {}), strict=True):
        (alone,) = run_batch([stage], {})
        assert same_bits(alone.tensors, together.tensors)


def test_other_targets_are_other_batches() -> None:
    labels = Task("plain", 3, ("a", "b", "c"), (4,), SIZES, {}, load_numbers)

    def group(task: Task) -> object:
        stage: Stage = train.bind(task=task, backbone=NET, budget=Budget(steps=9, batch_size=7))
        return stage.group()

    assert len({group(several()), group(numbers()), group(labels)}) == 3, "their labels cannot be stacked"


def test_bfloat16_trains_towards_several_classes() -> None:
    rough = Numerics(precision="bfloat16")
    net = train(task=several(), backbone=NET, budget=Budget(steps=40), numerics=rough, ctx=Place())
    network = NET.build(3, (4,), torch.Generator())
    network.load_state_dict(dict(net.tensors))
    assert loss_of(several(), network).item() < 0.5


def test_what_needs_one_class_an_example_says_so() -> None:
    with pytest.raises(HarnessError, match="here an example may have several"):
        train(task=several(), backbone=NET, shots=3, ctx=Place())
    seen = extract_features.bind(task=several(), split="train")
    results = run_stages([seen])
    with pytest.raises(HarnessError, match="a probe: several has several classes an example"):
        fit_probe(task=several(), features=(results[seen.key],), ctx=Place())
