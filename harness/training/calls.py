"""From a call of a training stage to a member of a tensor program and back: data, initial weights, steps, result."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from harness.backbones.base import Backbone
from harness.backbones.pretrained import Pretrained
from harness.errors import HarnessError
from harness.graph import BatchContext, Features, StageContext, Weights
from harness.tasks.base import Split, Task
from harness.tasks.sampling import Shots
from harness.training.augmentation import Augmentation, check_augment
from harness.training.data import Order, chosen, count, in_memory, load_split, sample, sample_flags
from harness.training.frozen import frozen_layers
from harness.training.loop import Member, Program, Trained, train_members
from harness.training.networks import fresh, layers_below, shape_above, stacked_network, transplant
from harness.training.numerics import parameter_type
from harness.training.rules import CheckpointRule, Numerics, Watch
from harness.training.settings import Budget, Optimiser

if TYPE_CHECKING:
    from torch import Tensor

Head = Literal["fresh", "kept"]

UNCACHED: Final = "uncached"
"""Flag of what was trained above frozen layers that had to be run at every step, because the pictures changed."""

WITHOUT_WEIGHTS: Final = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
"""Backbones with weights that can also be had without."""


@dataclass(frozen=True)
class Call:
    """The arguments of one call of a training stage.

    init: weights to begin from; None begins from nothing.  head: whether these come with their head.  copied: how many
    layers are taken from `init`; all (and the head as `head` says) when None.  frozen: how many layers from the input
    on stay as they are.  features: outputs of the last frozen layer, one for each of `splits`; computed from `init` at
    every step when empty.  watched: the same for each split of `watch`.  choosing: the same for the split that chooses
    the best weights.  augment: how pictures are changed at every step, in turn.
    """

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
    watch: Watch | None = None
    copied: int | None = None
    frozen: int = 0
    features: tuple[Features, ...] | None = None
    watched: tuple[Features, ...] | None = None
    choosing: Features | None = None
    augment: tuple[Augmentation, ...] = ()

    def __post_init__(self) -> None:
        if self.copied is not None and not 0 <= self.frozen <= self.copied:
            raise HarnessError(f"{self.frozen} layers cannot be frozen where {self.copied} are copied")


def group(arguments: Mapping[str, Any]) -> Hashable:
    """What trainings of one batch share: everything that shapes the tensor program. Rates and seeds may differ.

    arguments: those of a described call, whose inputs are not known yet.
    """
    task, budget, optimiser, rule = (arguments[name] for name in ("task", "budget", "optimiser", "rule"))
    examples, watch = count(task, arguments["splits"], arguments["shots"]), arguments.get("watch")
    return (
        arguments["backbone"],
        task.n_classes,
        task.targets,
        task.input_shape,
        examples,
        budget.batch_of(examples),
        budget.length(examples),
        (optimiser.name, optimiser.schedule, optimiser.milestones, optimiser.decay),
        (rule, task.metric, task.sizes.get(rule.on)) if rule.keep == "best" else rule.every,
        None if watch is None else (watch, task.metric, *(task.sizes.get(split) for split in watch.splits)),
        (arguments.get("frozen", 0), bool(arguments.get("features"))),
        arguments["numerics"],
    )


def run_calls(calls: Sequence[Call], ctx: BatchContext) -> list[Weights | Exception]:
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


def initial_weights(
    backbone: Backbone,
    n_classes: int,
    input_shape: tuple[int, ...],
    seed: int,
    ctx: StageContext,
    *serves: str | int,
) -> dict[str, Tensor]:
    """Initial parameters: they depend on the seed and the network's shape, so that every source gets the same head."""
    identity = json.dumps(backbone.identity(), sort_keys=True)
    return fresh(
        backbone, n_classes, input_shape, ctx.generator("initialisation", seed, identity, *input_shape, *serves)
    )


def _prepare(call: Call, ctx: StageContext) -> Member:
    task, rule = call.task, call.rule
    check_augment(task, call.augment)
    if call.augment and call.features:
        raise HarnessError("augment changes the pictures at every step, so that no features can be kept of them")
    for flag in _cache_flags(call):
        ctx.flag(flag)
    data = _data(call, ctx)
    order = Order(len(data), call.budget.batch_of(len(data)), call.seed, task.name)
    chooses = in_memory(_split_of(call, rule.on, call.choosing, ctx)) if rule.keep == "best" else None
    begin, scored, before = _begin(call, ctx), _scored(call, ctx), _before(call, ctx)
    return Member(task, data, chooses, begin, call.optimiser, order, ctx, scored, before, call.augment)


def _begin(call: Call, ctx: StageContext) -> dict[str, Tensor]:
    """The parameters that are trained, as they are before the first step.

    Layers that were neither copied nor frozen are drawn anew, not as they were before the source was trained: else
    copying from a network of the same task and seed would give its upper layers their first weights back. They depend
    on the task's shape, the seed and the number of layers, so that every source and treatment has the same.
    """
    task = call.task
    cut = () if call.copied is None else ("above", call.copied)
    anew = call.backbone if call.copied is None else untaught(call.backbone)
    drawn = initial_weights(anew, task.n_classes, task.input_shape, call.seed, ctx, *cut)
    initial = {name: tensor.to(parameter_type(call.numerics)) for name, tensor in drawn.items()}
    if call.init is not None:
        origin = str(call.init.header.get("task", "the source"))
        below = None if call.copied is None else layers_below(call.backbone, call.copied)
        initial = transplant(call.init.tensors, initial, head=call.head == "kept", origin=origin, layers=below)
    fixed = layers_below(call.backbone, call.frozen)
    return {name: tensor for name, tensor in initial.items() if name.split(".", 1)[0] not in fixed}


def untaught(backbone: Backbone) -> Backbone:
    """Return the backbone without the weights that it comes with. Raises HarnessError when there is no such thing."""
    if not isinstance(backbone, Pretrained) or backbone.options.get("weights") == "none":
        return backbone
    if backbone.name not in WITHOUT_WEIGHTS:
        raise HarnessError(f"{backbone.name} always comes with weights: none of its layers can be drawn anew")
    plain: Backbone = dataclasses.replace(cast(Any, backbone), weights="none")
    return plain


def _data(call: Call, ctx: StageContext) -> Split:
    """The examples to learn from; with features given, what the frozen layers make of them."""
    import torch

    if not call.features:
        return sample(call.task, call.splits, call.shots, call.seed, ctx)
    inputs, labels = [], []
    for split, made in zip(call.splits, call.features, strict=True):
        own = made.tensors["labels"]
        positions = chosen(call.task, split, own, call.shots, call.seed, ctx)
        inputs.append(made.tensors["features"][positions])
        labels.append(own[positions])
    return Split(torch.cat(inputs), torch.cat(labels))


def _scored(call: Call, ctx: StageContext) -> dict[str, Split]:
    """What the training is watched on, by split."""
    if call.watch is None:
        return {}
    made = call.watched or (None,) * len(call.watch.splits)
    return {split: _split_of(call, split, one, ctx) for split, one in zip(call.watch.splits, made, strict=True)}


def _split_of(call: Call, split: str, made: Features | None, ctx: StageContext) -> Split:
    """A split of the task as the data of this call are: what the frozen layers made of it, where that is given."""
    return (
        load_split(call.task, split, ctx) if made is None else Split(made.tensors["features"], made.tensors["labels"])
    )


def _before(call: Call, ctx: StageContext) -> Callable[[Tensor], Tensor] | None:
    """What runs the frozen layers on a batch, where their outputs are not given."""
    if not call.frozen or call.features:
        return None
    return frozen_layers(call.backbone, call.task.input_shape, call.frozen, call.init, call.numerics, ctx)


def _program(call: Call) -> Program:
    task = call.task
    examples = count(task, call.splits, call.shots)
    return Program(
        backbone=call.backbone,
        n_classes=task.n_classes,
        input_shape=task.input_shape,
        steps=call.budget.steps_for(examples, _step_flops(call, examples) if call.budget.flops is not None else None),
        metric=call.rule.metric or task.metric,
        rule=call.rule,
        numerics=call.numerics,
        watch=call.watch,
        score=task.metric,
        below=call.frozen,
    )


def _step_flops(call: Call, examples: int) -> float:
    """Floating-point operations of one step: forward through all, twice as much back through what is trained."""
    return call.budget.batch_of(examples) * example_flops(
        call.backbone, call.task.input_shape, call.task.n_classes, call.frozen
    )


@functools.cache
def example_flops(backbone: Backbone, input_shape: tuple[int, ...], n_classes: int, frozen: int) -> float:
    """Floating-point operations of training on one example, of matrix products and convolutions.

    One pass forward through the whole network, and twice that of the layers above the `frozen` ones for gradients.
    """
    whole = stacked_network(backbone, input_shape, n_classes).operations(input_shape)
    above = stacked_network(backbone, input_shape, n_classes, False, frozen)
    return float(whole + 2 * above.operations(shape_above(backbone, input_shape, frozen)))


def _cache_flags(call: Call) -> tuple[str, ...]:
    return (UNCACHED,) if call.frozen and call.augment else ()


def _weights(call: Call, outcome: Trained) -> Weights:
    header: dict[str, Any] = {
        "task": call.task.name,
        "classes": list(call.task.class_names),
        "backbone": dict(call.backbone.identity()),
        "kept_step": outcome.kept_step,
        "flags": [*outcome.flags, *sample_flags(call.task, call.splits, call.shots), *_cache_flags(call)],
    }
    if call.watch is not None:
        sizes = {split: call.task.sizes[split] for split in call.watch.splits}
        header |= {"metric": call.task.metric, "curves": outcome.curves, "kept": outcome.kept, "n_eval": sizes}
    return Weights(outcome.parameters, header)
