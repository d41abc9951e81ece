"""The stages of prompt learning: `learn_prompt` from nothing, `adapt_prompt` from a source's prompt, `evaluate_prompt`.

A prompt learned from nothing is a source for many targets and the baseline of its own task: one key. An adapted one is
read by its own evaluations only.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from harness.backbones.base import Backbone
from harness.backbones.clip import Clip
from harness.errors import HarnessError
from harness.graph import BatchContext, Features, Measurement, Measurements, StageContext, Weights, stage
from harness.tasks.base import Task
from harness.tasks.sampling import Shots
from harness.training.alone import Alone, one_by_one, only, without_padding
from harness.training.data import Order, load_split
from harness.training.evaluation import metric
from harness.training.numerics import applied, parameter_type
from harness.training.prompt_data import gather
from harness.training.prompt_features import checked, load_clip, pieces
from harness.training.prompt_forward import LaidOut, classifier, initial, lay_out
from harness.training.prompt_loop import LearnedPrompt, PromptMember, PromptProgram, train_prompts
from harness.training.prompt_settings import Prompt, PromptBudget
from harness.training.rules import KEEP_LAST, STANDARD_NUMERICS, CheckpointRule, Numerics
from harness.training.settings import Optimiser
from harness.training.waiting import Waiting

if TYPE_CHECKING:
    from torch import Tensor

WIDTH: Final = 10
LEARN_WIDTH: Final = 1
"""Few trainings from nothing share a task, and filling a batch up costs as much as its members do."""

STANDARD_PROMPT_BUDGET: Final = PromptBudget()
STANDARD_PROMPT_OPTIMISER: Final = Optimiser("sgd", 0.002, 0.9, 5e-4, "constant")
CHOSEN_BY: Final = "chosen_by"
"""Between the name of a task and that of a tensor: the prompt that this task's own validation chose."""


@dataclass(frozen=True)
class _Call:
    """The arguments of one call of `learn_prompt` or `adapt_prompt`; `init` None starts from nothing."""

    tasks: tuple[Task, ...]
    prompt: Prompt
    backbone: Backbone
    clip: Weights | None
    images: tuple[Features, ...] | None
    texts: tuple[Features, ...] | None
    shots: Shots
    splits: tuple[str, ...]
    carve: float
    budget: PromptBudget
    optimiser: Optimiser
    softmax: Literal["union", "per_task"]
    rule: CheckpointRule
    numerics: Numerics
    seed: int
    init: Weights | None = None


@stage(version=1, keep="durable", accumulates=True)
def learn_prompt(
    tasks: tuple[Task, ...],
    prompt: Prompt,
    backbone: Backbone,
    clip: Weights | None = None,
    images: tuple[Features, ...] | None = None,
    texts: tuple[Features, ...] | None = None,
    shots: int | Literal["all"] = "all",
    splits: tuple[str, ...] = ("train",),
    carve: float = 0.2,
    budget: PromptBudget = STANDARD_PROMPT_BUDGET,
    optimiser: Optimiser = STANDARD_PROMPT_OPTIMISER,
    softmax: Literal["union", "per_task"] = "union",
    rule: CheckpointRule = KEEP_LAST,
    numerics: Numerics = STANDARD_NUMERICS,
    seed: int = 0,
    *,
    ctx: StageContext,
) -> Weights:
    """Learn one prompt on a task, or on several together; the model stays frozen, the loss is cross-entropy.

    images: embeddings of the splits' pictures, where the prompt leaves these as they are.  texts: embeddings of the
    tasks' class names, one for each task, where it leaves those.  softmax: over the classes of all tasks together
    (union, as MVLPT), or of each example's own task.  carve: see :func:`harness.training.prompt_data.gather`.
    Raises Diverged when the loss is not finite, Stopped when the slot is to be given up.
    """
    call = _Call(
        tasks, prompt, backbone, clip, images, texts, shots, splits, carve, budget, optimiser, softmax, rule, numerics,
        seed,
    )  # fmt: skip
    return only(_learn_all([call], Alone(ctx)))


@stage(version=1, keep="transient", needs_trained=("init",), accumulates=True)
def adapt_prompt(
    tasks: tuple[Task, ...],
    init: Weights,
    prompt: Prompt,
    backbone: Backbone,
    clip: Weights | None = None,
    images: tuple[Features, ...] | None = None,
    texts: tuple[Features, ...] | None = None,
    shots: int | Literal["all"] = "all",
    splits: tuple[str, ...] = ("train",),
    carve: float = 0.2,
    budget: PromptBudget = STANDARD_PROMPT_BUDGET,
    optimiser: Optimiser = STANDARD_PROMPT_OPTIMISER,
    softmax: Literal["union", "per_task"] = "union",
    rule: CheckpointRule = KEEP_LAST,
    numerics: Numerics = STANDARD_NUMERICS,
    seed: int = 0,
    *,
    ctx: StageContext,
) -> Weights:
    """Go on from the prompt `init`, as `learn_prompt` does."""
    call = _Call(
        tasks, prompt, backbone, clip, images, texts, shots, splits, carve, budget, optimiser, softmax, rule, numerics,
        seed, init,
    )  # fmt: skip
    return only(_learn_all([call], Alone(ctx)))


def _group(arguments: Mapping[str, Any]) -> Hashable:
    """What trainings of one batch share: everything but the seed and the prompt that they begin from."""
    return tuple(
        arguments[name] if name != "clip" or arguments[name] is None else arguments[name].key
        for name in (
            "tasks", "prompt", "backbone", "clip", "shots", "splits", "carve", "budget", "optimiser", "softmax",
            "rule", "numerics",
        )
    )  # fmt: skip


@learn_prompt.batched(width=LEARN_WIDTH, group=_group)
def learn_batch(members: Sequence[Mapping[str, Any]], ctx: BatchContext) -> Sequence[Weights | Exception]:
    """Learn several prompts at once, none of which sees another."""
    return _learn_all([_Call(**member) for member in members[: without_padding(members)]], ctx)


@adapt_prompt.batched(width=WIDTH, group=_group)
def adapt_batch(members: Sequence[Mapping[str, Any]], ctx: BatchContext) -> Sequence[Weights | Exception]:
    """Adapt several prompts at once, none of which sees another: sources and seeds onto one target."""
    return _learn_all([_Call(**member) for member in members[: without_padding(members)]], ctx)


def _learn_all(calls: Sequence[_Call], ctx: BatchContext) -> list[Weights | Exception]:
    """Prepare each call by itself, so that one with bad data fails alone, and train the others in one batch."""
    first, clock = calls[0], Waiting()
    with applied(first.numerics, ctx.device):
        clip = load_clip(first.backbone, first.clip, first.numerics, ctx.device, ctx)
        classes = _classes(first.prompt, clip, first.tasks, first.texts, first.numerics, ctx.device)
    prepared: list[PromptMember | Exception] = []
    for call, own in zip(calls, ctx.members, strict=False):
        try:
            prepared.append(_prepare(call, clip, own, clock))
        except Exception as error:
            prepared.append(error)
    results: list[Weights | Exception] = [item if isinstance(item, Exception) else Weights({}) for item in prepared]
    good = [place for place, item in enumerate(prepared) if isinstance(item, PromptMember)]
    if good:
        program = PromptProgram(
            first.prompt, clip, first.tasks, classes, first.softmax, first.budget, first.optimiser, first.rule,
            first.numerics,
        )  # fmt: skip
        members = [item for item in prepared if isinstance(item, PromptMember)]
        outcomes = train_prompts(program, members, len(ctx.members), ctx)
        for place, outcome in zip(good, outcomes, strict=True):
            results[place] = _weights(calls[place], outcome) if isinstance(outcome, LearnedPrompt) else outcome
    for _, own in zip(calls, ctx.members, strict=False):
        own.waited(clock.share())
    return results + results[-1:] * (len(ctx.members) - len(calls))


def _prepare(call: _Call, clip: Clip, ctx: StageContext, clock: Waiting) -> PromptMember:
    for task in call.tasks:
        checked(call.backbone, task)
    chooses = call.rule.keep == "best"
    watch = call.rule.on if chooses and not call.carve else None
    with clock:
        data = gather(call.tasks, call.images or (), call.splits, call.shots, call.carve, watch, call.seed, ctx)
    classes = sum(task.n_classes for task in call.tasks)
    shape = (call.prompt.context, call.prompt.visual, clip.text_width, clip.vision_width, clip.vision_depth)
    drawn = initial(call.prompt, clip, classes, ctx.generator("initialisation", call.seed, "prompt", *shape))
    if call.init is not None:
        drawn = _begun(call.init, drawn)
    serves = " + ".join(task.name for task in call.tasks)
    return PromptMember(data, drawn, Order(len(data), call.budget.batch_of(len(data)), call.seed, serves), ctx)


def _begun(init: Weights, drawn: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the source's prompt, which must have the shapes of one drawn for the target."""
    origin = str(init.header.get("task", "the source"))
    for name, tensor in drawn.items():
        if name not in init.tensors:
            raise HarnessError(f"the prompt of {origin} has no {name!r}, which this method needs")
        if init.tensors[name].shape != tensor.shape:
            raise HarnessError(
                f"the prompt of {origin} has {name!r} of shape {tuple(init.tensors[name].shape)}, this one "
                f"{tuple(tensor.shape)}; class-specific context moves between equal numbers of classes only"
            )
    return {name: init.tensors[name].float() for name in drawn}


def _classes(
    prompt: Prompt, clip: Clip, tasks: Sequence[Task], texts: Sequence[Features] | None, numerics: Numerics, device: str
) -> LaidOut | Tensor:
    import torch

    if prompt.of_text:
        with torch.no_grad():
            return lay_out(clip, [name for task in tasks for name in task.class_names], prompt)
    if texts is None or len(texts) != len(tasks):
        raise HarnessError("a prompt beside pictures needs the embeddings of each task's class names")
    return torch.cat([one.tensors["features"] for one in texts]).to(device, parameter_type(numerics))


def _weights(call: _Call, outcome: LearnedPrompt) -> Weights:
    tensors = dict(outcome.kept["mean"])
    for task in call.tasks if len(call.tasks) > 1 else ():
        tensors |= {f"{task.name}/{CHOSEN_BY}/{name}": tensor for name, tensor in outcome.kept[task.name].items()}
    header = {
        "task": " + ".join(task.name for task in call.tasks),
        "kept_step": outcome.steps["mean"],
        "flags": list(outcome.flags),
    }
    return Weights(tensors, header)


@stage(version=1, keep="durable")
def evaluate_prompt(
    task: Task,
    weights: Weights,
    prompt: Prompt,
    backbone: Backbone,
    clip: Weights | None = None,
    images: tuple[Features, ...] | None = None,
    texts: tuple[Features, ...] | None = None,
    splits: tuple[str, ...] = ("test",),
    chosen_by_task: bool = False,
    numerics: Numerics = STANDARD_NUMERICS,
    *,
    ctx: StageContext,
) -> Measurements:
    """Measure a prompt on splits of a task, by the task's own metric and among its own classes.

    chosen_by_task: of a prompt learned on several tasks, take the one that this task's validation chose.
    """
    model = load_clip(backbone, clip, numerics, ctx.device, ctx)
    kind = parameter_type(numerics)
    tensors = _chosen(weights, task if chosen_by_task else None)
    stacked = {name: tensor.unsqueeze(0).to(ctx.device, kind) for name, tensor in tensors.items()}
    flags = dict.fromkeys((*weights.header.get("flags", ()), *checked(backbone, task)))
    embedded = {str(one.header["split"]): one.tensors for one in images or ()}
    rows = []
    with applied(numerics, ctx.device):
        classes = _classes(prompt, model, (task,), texts, numerics, ctx.device)
        for split in splits:
            inputs, labels = _examples(task, split, embedded, ctx)
            scores = _scores(prompt, model, stacked, classes, inputs, ctx, kind)
            value = float(metric(task.metric)[0](scores, labels.unsqueeze(0).to(ctx.device)))
            rows.append(Measurement(task.metric, value, split, task.name, len(labels), flags=tuple(flags)))
    return Measurements(tuple(rows))


def _examples(
    task: Task, split: str, embedded: Mapping[str, Mapping[str, Tensor]], ctx: StageContext
) -> tuple[Any, Tensor]:
    """Embeddings of a split's pictures where there are some, else the pictures; and the labels."""
    if split in embedded:
        return embedded[split]["features"], embedded[split]["labels"]
    data = load_split(task, split, ctx)
    return data.inputs, data.labels


def _chosen(weights: Weights, task: Task | None) -> dict[str, Tensor]:
    plain = {name: tensor for name, tensor in weights.tensors.items() if f"/{CHOSEN_BY}/" not in name}
    if task is None:
        return plain
    start = f"{task.name}/{CHOSEN_BY}/"
    own = {name.removeprefix(start): tensor for name, tensor in weights.tensors.items() if name.startswith(start)}
    return own or plain


def _scores(
    prompt: Prompt,
    model: Clip,
    stacked: Mapping[str, Tensor],
    classes: LaidOut | Tensor,
    inputs: Any,
    ctx: StageContext,
    kind: Any,
) -> Tensor:
    """Logits [1, n, classes] of pictures or their embeddings, some at a time."""
    import torch

    with torch.no_grad():
        classify = classifier(prompt, model, stacked, classes)
        found = []
        for some in pieces(inputs, ctx.device, kind):
            ready = model.tokens_of(some) if prompt.of_pictures else some
            found.append(classify(ready.unsqueeze(0)))
        return torch.cat(found, dim=1).float()


def _evaluation_group(arguments: Mapping[str, Any]) -> Hashable:
    return arguments["task"], arguments["prompt"], arguments["backbone"], arguments["numerics"]


@evaluate_prompt.batched(width=WIDTH, group=_evaluation_group)
def evaluate_batch(members: Sequence[Mapping[str, Any]], ctx: BatchContext) -> Sequence[Measurements | Exception]:
    """Measure several prompts in one call, one after the other: each fills the model with the pictures of a split."""
    return one_by_one(evaluate_prompt, members, ctx)


@stage(version=1, keep="durable")
def evaluate_zero_shot(task: Task, images: tuple[Features, ...], texts: Features, *, ctx: StageContext) -> Measurements:
    """Measure the frozen model on splits of a task: the class whose sentence lies nearest, by the task's metric."""
    measure, _ = metric(task.metric)
    rows = []
    for one in images:
        logits = texts.tensors["scale"] * one.tensors["features"] @ texts.tensors["features"].T
        labels = one.tensors["labels"]
        value = float(measure(logits.unsqueeze(0), labels.unsqueeze(0)))
        flags = tuple(one.header.get("flags", ()))
        rows.append(Measurement(task.metric, value, str(one.header["split"]), task.name, len(labels), flags=flags))
    return Measurements(tuple(rows))


def _zero_shot_group(_arguments: Mapping[str, Any]) -> Hashable:
    return None


@evaluate_zero_shot.batched(width=WIDTH, group=_zero_shot_group)
def zero_shot_batch(members: Sequence[Mapping[str, Any]], ctx: BatchContext) -> Sequence[Measurements | Exception]:
    """Measure several tasks in one call, one after the other."""
    return one_by_one(evaluate_zero_shot, members, ctx)
