"""The stages that train and measure networks: `train` from nothing, `adapt` from a source, `evaluate`, and helpers.

`train` and `adapt` are two kinds because their weights live differently: a network trained from nothing is a source
for many targets (and, where settings and seed agree, the baseline of its own task: the same key), an adapted one is
read by its own evaluation only.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Final, Literal

from harness.backbones.base import Backbone
from harness.backbones.pretrained import Pretrained
from harness.errors import HarnessError
from harness.graph import BatchContext, Measurement, Measurements, StageContext, Weights, stage
from harness.tasks.base import Task
from harness.training.alone import Alone, one_by_one, only, without_padding
from harness.training.augmentation import Augmentation
from harness.training.calls import Call, group, initial_weights, run_calls
from harness.training.data import load_split
from harness.training.evaluation import metric, predict_split
from harness.training.networks import fresh, stack, stacked_network, transplant
from harness.training.numerics import applied, parameter_type
from harness.training.rules import KEEP_LAST, STANDARD_NUMERICS, CheckpointRule, Numerics, Watch
from harness.training.settings import STANDARD_BUDGET, STANDARD_OPTIMISER, Budget, Optimiser

WIDTH: Final = 8


@stage(version=1, keep="durable", accumulates=True)
def train(
    task: Task,
    backbone: Backbone,
    budget: Budget = STANDARD_BUDGET,
    optimiser: Optimiser = STANDARD_OPTIMISER,
    shots: int | Literal["all"] = "all",
    splits: tuple[str, ...] = ("train",),
    rule: CheckpointRule = KEEP_LAST,
    numerics: Numerics = STANDARD_NUMERICS,
    seed: int = 0,
    watch: Watch | None = None,
    augment: tuple[Augmentation, ...] = (),
    *,
    ctx: StageContext,
) -> Weights:
    """Train a backbone from its initial weights on `shots` examples a class of `splits`; cross-entropy loss.

    Binary cross-entropy where examples have several classes, squared error where they have numbers.
    watch: what is measured on the way; the header then has the curves.  augment: how pictures are changed at each step.
    Raises Diverged when the loss is not finite, Stopped when the slot is to be given up.
    """
    call = Call(task, backbone, budget, optimiser, shots, splits, rule, numerics, seed, watch=watch, augment=augment)
    return only(run_calls([call], Alone(ctx)))


@stage(version=1, keep="transient", needs_trained=("init",), accumulates=True)
def adapt(
    task: Task,
    init: Weights,
    backbone: Backbone,
    budget: Budget = STANDARD_BUDGET,
    optimiser: Optimiser = STANDARD_OPTIMISER,
    shots: int | Literal["all"] = "all",
    splits: tuple[str, ...] = ("train",),
    head: Literal["fresh", "kept"] = "fresh",
    rule: CheckpointRule = KEEP_LAST,
    numerics: Numerics = STANDARD_NUMERICS,
    seed: int = 0,
    augment: tuple[Augmentation, ...] = (),
    *,
    ctx: StageContext,
) -> Weights:
    """Train on from the weights `init`, as `train` does; the head is a fresh one or, with as many classes, its own."""
    call = Call(task, backbone, budget, optimiser, shots, splits, rule, numerics, seed, init, head, augment=augment)
    return only(run_calls([call], Alone(ctx)))


@train.batched(width=WIDTH, group=group)
def train_batch(members: Sequence[Mapping[str, Any]], ctx: BatchContext) -> Sequence[Weights | Exception]:
    """Train several networks at once, none of which sees another; large ones, which fill a slot, one by one."""
    if isinstance(members[0]["backbone"], Pretrained):
        return one_by_one(train, members, ctx)
    return run_calls([Call(**member) for member in members[: without_padding(members)]], ctx)


@adapt.batched(width=WIDTH, group=group)
def adapt_batch(members: Sequence[Mapping[str, Any]], ctx: BatchContext) -> Sequence[Weights | Exception]:
    """Adapt several networks at once, none of which sees another; large ones, which fill a slot, one by one."""
    if isinstance(members[0]["backbone"], Pretrained):
        return one_by_one(adapt, members, ctx)
    return run_calls([Call(**member) for member in members[: without_padding(members)]], ctx)


@stage(version=1, keep="transient")
def initialise(
    backbone: Backbone, input_shape: tuple[int, ...], n_classes: int, seed: int = 0, *, ctx: StageContext
) -> Weights:
    """Return the initial weights of a backbone: the source that was never trained."""
    header = {"task": "untrained", "backbone": dict(backbone.identity()), "flags": []}
    return Weights(initial_weights(backbone, n_classes, input_shape, seed, ctx), header)


@stage(version=1, keep="durable", needs_trained=("weights",))
def average_weights(weights: tuple[Weights, ...], *, ctx: StageContext) -> Weights:
    """Return the mean of several networks' parameters, tensor by tensor, in double precision."""
    import torch

    first = weights[0]
    for other in weights[1:]:
        if {name: t.shape for name, t in other.tensors.items()} != {name: t.shape for name, t in first.tensors.items()}:
            raise HarnessError("only weights of one network shape can be averaged")
    tensors = {
        name: torch.stack([one.tensors[name].double() for one in weights]).mean(0).to(tensor.dtype)
        for name, tensor in first.tensors.items()
    }
    return Weights(tensors, {**first.header, "averaged": len(weights)})


@stage(version=1, keep="durable")
def evaluate(
    task: Task,
    weights: Weights,
    backbone: Backbone,
    splits: tuple[str, ...] = ("test",),
    numerics: Numerics = STANDARD_NUMERICS,
    *,
    ctx: StageContext,
) -> Measurements:
    """Measure a network on splits of a task, by the task's own metric."""
    kind = parameter_type(numerics)
    drawn = fresh(backbone, task.n_classes, task.input_shape, ctx.generator("initialisation", 0))
    shapes = {name: tensor.to(kind) for name, tensor in drawn.items()}
    parameters = transplant(weights.tensors, shapes, head=True, origin=str(weights.header.get("task", "the network")))
    stacked = {name: tensor.to(ctx.device) for name, tensor in stack([parameters]).items()}
    network = stacked_network(backbone, task.input_shape, task.n_classes)
    measure, _ = metric(task.metric)
    rows = []
    with applied(numerics, ctx.device):
        for name in splits:
            data = load_split(task, name, ctx)
            logits = predict_split(network, stacked, data.inputs, ctx.device, kind)
            value = float(measure(logits, data.labels.unsqueeze(0).to(ctx.device)))
            flags = tuple(weights.header.get("flags", ()))
            rows.append(Measurement(task.metric, value, name, task.name, n_eval=len(data), flags=flags))
    return Measurements(tuple(rows))


def _evaluation_group(arguments: Mapping[str, Any]) -> Hashable:
    return arguments["backbone"], arguments["task"].input_shape, arguments["numerics"]


@evaluate.batched(width=WIDTH, group=_evaluation_group)
def evaluate_batch(members: Sequence[Mapping[str, Any]], ctx: BatchContext) -> Sequence[Measurements | Exception]:
    """Measure several networks in one call, one after the other: a forward pass is short, a call is not."""
    return one_by_one(evaluate, members, ctx)
