"""The stages that train and measure networks: `train` from nothing, `adapt` from a source, `evaluate`, and helpers.

`train` and `adapt` are two kinds because their weights live differently: a network trained from nothing is a source
for many targets (and, where settings and seed agree, the baseline of its own task: the same key), an adapted one is
read by its own evaluation only.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from harness.backbones.base import Backbone
from harness.backbones.pretrained import Pretrained
from harness.errors import HarnessError
from harness.graph import BatchContext, Measurement, Measurements, StageContext, Weights, stage
from harness.tasks.base import Task
from harness.tasks.sampling import Shots
from harness.training.alone import Alone, one_by_one, only, without_padding
from harness.training.data import Order, count, in_memory, load_split, sample
from harness.training.evaluation import metric, predict_split
from harness.training.loop import Member, Program, Trained, train_members
from harness.training.networks import fresh, stack, stacked_network, transplant
from harness.training.numerics import applied, parameter_type
from harness.training.rules import KEEP_LAST, STANDARD_NUMERICS, CheckpointRule, Numerics
from harness.training.settings import STANDARD_BUDGET, STANDARD_OPTIMISER, Budget, Optimiser

if TYPE_CHECKING:
    from torch import Tensor

Head = Literal["fresh", "kept"]

WIDTH: Final = 8


@dataclass(frozen=True)
class _Call:
    """The arguments of one call of `train` or `adapt`; `init` None starts from nothing."""

    task: Task
    backbone: Backbone
    budget: Budget
    optimiser: Optimiser
    shots: Shots
    splits: tuple[str, ...]
    rule: CheckpointRule
    numerics: Numerics
    seed: int
    init: Weights | None = None
    head: Head = "fresh"


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
    *,
    ctx: StageContext,
) -> Weights:
    """Train a backbone from its initial weights on `shots` examples a class of `splits`; cross-entropy loss.

    Raises Diverged when the loss is not finite, Stopped when the slot is to be given up.
    """
    call = _Call(task, backbone, budget, optimiser, shots, splits, rule, numerics, seed)
    return only(_train_all([call], Alone(ctx)))


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
    *,
    ctx: StageContext,
) -> Weights:
    """Train on from the weights `init`, as `train` does; the head is a fresh one or, with as many classes, its own."""
    call = _Call(task, backbone, budget, optimiser, shots, splits, rule, numerics, seed, init, head)
    return only(_train_all([call], Alone(ctx)))


def _group(arguments: Mapping[str, Any]) -> Hashable:
    """What trainings of one batch share: everything that shapes the tensor program. Rates and seeds may differ."""
    task, budget, optimiser, rule = (arguments[name] for name in ("task", "budget", "optimiser", "rule"))
    examples = count(task, arguments["splits"], arguments["shots"])
    return (
        arguments["backbone"],
        task.n_classes,
        task.input_shape,
        examples,
        budget.batch_of(examples),
        budget.steps_for(examples),
        (optimiser.name, optimiser.schedule),
        (rule, task.metric, task.sizes.get(rule.on)) if rule.keep == "best" else rule.every,
        arguments["numerics"],
    )


@train.batched(width=WIDTH, group=_group)
def train_batch(members: Sequence[Mapping[str, Any]], ctx: BatchContext) -> Sequence[Weights | Exception]:
    """Train several networks at once, none of which sees another; large ones, which fill a slot, one by one."""
    if isinstance(members[0]["backbone"], Pretrained):
        return one_by_one(train, members, ctx)
    return _train_all([_Call(**member) for member in members[: without_padding(members)]], ctx)


@adapt.batched(width=WIDTH, group=_group)
def adapt_batch(members: Sequence[Mapping[str, Any]], ctx: BatchContext) -> Sequence[Weights | Exception]:
    """Adapt several networks at once, none of which sees another; large ones, which fill a slot, one by one."""
    if isinstance(members[0]["backbone"], Pretrained):
        return one_by_one(adapt, members, ctx)
    return _train_all([_Call(**member) for member in members[: without_padding(members)]], ctx)


def _train_all(calls: Sequence[_Call], ctx: BatchContext) -> list[Weights | Exception]:
    """Prepare each call by itself, so that one with bad data fails alone, and train the others in one batch.

    The batch has a place for each context; what comes back for those that have no call is the last call's.
    """
    prepared: list[Member | Exception] = []
    for call, own in zip(calls, ctx.members, strict=False):
        try:
            prepared.append(_prepare(call, own))
        except Exception as error:
            prepared.append(error)
    good = [place for place, member in enumerate(prepared) if isinstance(member, Member)]
    results: list[Weights | Exception] = [item if isinstance(item, Exception) else Weights({}) for item in prepared]
    if good:
        members = [member for member in prepared if isinstance(member, Member)]
        outcomes = train_members(_program(calls[good[0]]), members, len(ctx.members), ctx)
        for place, outcome in zip(good, outcomes, strict=True):
            results[place] = _weights(calls[place], outcome) if isinstance(outcome, Trained) else outcome
    return results + results[-1:] * (len(ctx.members) - len(calls))


def _prepare(call: _Call, ctx: StageContext) -> Member:
    task, rule = call.task, call.rule
    data = sample(task, call.splits, call.shots, call.seed, ctx)
    drawn = _initial(call.backbone, task.n_classes, task.input_shape, call.seed, ctx)
    initial = {name: tensor.to(parameter_type(call.numerics)) for name, tensor in drawn.items()}
    if call.init is not None:
        origin = str(call.init.header.get("task", "the source"))
        initial = transplant(call.init.tensors, initial, head=call.head == "kept", origin=origin)
    order = Order(len(data), call.budget.batch_of(len(data)), call.seed, task.name)
    watched = in_memory(load_split(task, rule.on, ctx)) if rule.keep == "best" else None
    return Member(task, data, watched, initial, call.optimiser, order, ctx)


def _program(call: _Call) -> Program:
    return Program(
        backbone=call.backbone,
        n_classes=call.task.n_classes,
        input_shape=call.task.input_shape,
        steps=call.budget.steps_for(count(call.task, call.splits, call.shots)),
        metric=call.rule.metric or call.task.metric,
        rule=call.rule,
        numerics=call.numerics,
    )


def _initial(
    backbone: Backbone, n_classes: int, input_shape: tuple[int, ...], seed: int, ctx: StageContext
) -> dict[str, Tensor]:
    """Initial parameters: they depend on the seed and the network's shape, so that every source gets the same head."""
    serves = json.dumps(backbone.identity(), sort_keys=True)
    return fresh(backbone, n_classes, input_shape, ctx.generator("initialisation", seed, serves, *input_shape))


def _weights(call: _Call, outcome: Trained) -> Weights:
    header = {
        "task": call.task.name,
        "classes": list(call.task.class_names),
        "backbone": dict(call.backbone.identity()),
        "kept_step": outcome.kept_step,
        "flags": list(outcome.flags),
    }
    return Weights(outcome.parameters, header)


@stage(version=1, keep="transient")
def initialise(
    backbone: Backbone, input_shape: tuple[int, ...], n_classes: int, seed: int = 0, *, ctx: StageContext
) -> Weights:
    """Return the initial weights of a backbone: the source that was never trained."""
    header = {"task": "untrained", "backbone": dict(backbone.identity()), "flags": []}
    return Weights(_initial(backbone, n_classes, input_shape, seed, ctx), header)


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
