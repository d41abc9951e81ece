"""What all prompt methods do with a source: learn a prompt on it, then adapt it, use it as it is, or learn jointly."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from harness.backbones.base import Checkpoint, Untrained
from harness.backbones.clip import TinyClip, VisionLanguage
from harness.errors import HarnessError
from harness.graph import Stage
from harness.methods.base import Trial
from harness.methods.sources import over_seeds, refuse_peeking
from harness.tasks.base import Task, TaskSet
from harness.tasks.pairs import PairSet
from harness.tasks.sampling import Shots
from harness.training.checkpoints import checkpoint_weights
from harness.training.prompt_features import class_features, picture_features
from harness.training.prompt_pretraining import pretrain_clip
from harness.training.prompt_settings import Prompt, PromptBudget, Softmax
from harness.training.prompt_stages import adapt_prompt, evaluate_prompt, learn_prompt
from harness.training.settings import Optimiser

TransferMode = Literal["init_then_adapt", "zero_shot", "joint_pair"]


@dataclass(frozen=True)
class PromptTraining:
    """How a prompt is learned: on how many examples a class, what share of them chooses, how long, by what."""

    shots: Shots
    carve: float
    budget: PromptBudget
    optimiser: Optimiser
    softmax: Softmax


@functools.lru_cache(maxsize=4096)
def prompt_training(
    shots: Shots,
    carve: float,
    epochs: int,
    batch_size: int,
    lr: float,
    momentum: float,
    weight_decay: float,
    warm_up: int,
    warm_up_lr: float,
    softmax: Softmax,
) -> PromptTraining:
    """Gather a recipe's parameters; equal ones give the same object, so that its keys are worked out once."""
    if not 0 <= carve < 1:
        raise HarnessError(f"carve must be at least 0 and below 1, not {carve}")
    return PromptTraining(
        shots,
        carve,
        PromptBudget(epochs, batch_size, warm_up, warm_up_lr),
        Optimiser("sgd", lr, momentum, weight_decay, "constant"),
        softmax,
    )


def of_source(how: PromptTraining, shots: Shots | None, epochs: int | None, lr: float | None) -> PromptTraining:
    """Return how a source's prompt is learned: as the target's, but for what is given."""
    return _of_source(how, shots, epochs, lr)


@functools.lru_cache(maxsize=4096)
def _of_source(how: PromptTraining, shots: Shots | None, epochs: int | None, lr: float | None) -> PromptTraining:
    return replace(
        how,
        shots=how.shots if shots is None else shots,
        budget=how.budget if epochs is None else replace(how.budget, epochs=epochs),
        optimiser=how.optimiser if lr is None else replace(how.optimiser, lr=lr),
    )


def clip_weights(trial: Trial) -> Stage | None:
    """Describe the weights of the trial's vision-language model; None where the backbone comes with its own.

    Raises HarnessError for any other backbone.
    """
    if isinstance(trial.backbone, TinyClip):
        return pretrain_clip.bind(backbone=trial.backbone, pairs=PairSet(trial.backbone.resolution))
    if not isinstance(trial.backbone, VisionLanguage):
        raise HarnessError(
            f"{trial.backbone.name} has no text tower: prompts need a vision-language model: clip or tiny_clip"
        )
    return None


def pictures_of(trial: Trial, tasks: Sequence[Task], splits: Sequence[str]) -> tuple[Stage, ...]:
    """Describe the embeddings of the tasks' splits under the frozen model."""
    clip = clip_weights(trial)
    return tuple(
        picture_features.bind(task=task, split=split, backbone=trial.backbone, clip=clip, numerics=trial.numerics)
        for task in tasks
        for split in dict.fromkeys(splits)
    )


def texts_of(trial: Trial, tasks: Sequence[Task], template: str) -> tuple[Stage, ...]:
    """Describe the embeddings of the tasks' class names, one stage a task."""
    clip = clip_weights(trial)
    return tuple(
        class_features.bind(
            names=task.class_names, template=template, backbone=trial.backbone, clip=clip, numerics=trial.numerics
        )
        for task in tasks
    )


def transferred(
    trial: Trial,
    prompt: Prompt,
    how: PromptTraining,
    source: PromptTraining,
    mode: TransferMode,
    group: TaskSet | None,
    select_by: Literal["mean", "target"],
) -> Stage:
    """Describe a prompt method's trial: its prompt, and the measurement of it on the target.

    mode: the source's prompt is where the target's begins, or is used as it is (`zero_shot`), or one prompt is learned
    on source and target together.  group: tasks, the target among them, that the prompt is adapted to jointly.
    select_by: which task's validation chooses a prompt learned on several.
    Raises HarnessError for a group without the target.
    """
    _check_shapes(trial, group)
    if group is not None and trial.target not in group.tasks:
        raise HarnessError(f"the group {group} does not have the target {trial.target}")
    targets = (trial.target,) if group is None else _sorted(group.tasks)
    learned = _prompt_of(trial, targets, prompt, how, source, mode)
    return evaluate_prompt.bind(
        task=trial.target,
        weights=learned,
        prompt=prompt,
        backbone=trial.backbone,
        clip=clip_weights(trial),
        images=None if prompt.of_pictures else pictures_of(trial, (trial.target,), trial.eval_splits),
        texts=None if prompt.of_text else texts_of(trial, (trial.target,), prompt.template),
        splits=trial.eval_splits,
        chosen_by_task=select_by == "target",
        numerics=trial.numerics,
    )


def _prompt_of(
    trial: Trial,
    targets: tuple[Task, ...],
    prompt: Prompt,
    how: PromptTraining,
    source: PromptTraining,
    mode: TransferMode,
) -> Stage:
    if mode == "joint_pair" and isinstance(trial.source, (Task, TaskSet)):
        together = _sorted((*_tasks_of(trial.source), *targets))
        return _learned(trial, together, prompt, how, trial.fit_splits, trial.seed)
    init = _source_prompt(trial, prompt, source)
    if init is None:
        untouched = isinstance(trial.source, Untrained) and mode == "zero_shot"
        begun = replace(how, budget=replace(how.budget, epochs=0)) if untouched else how
        return _learned(trial, targets, prompt, begun, trial.fit_splits, trial.seed)
    if mode == "zero_shot":
        return init
    refuse_peeking(trial, trial.fit_splits)
    return adapt_prompt.bind(init=init, **_arguments(trial, targets, prompt, how, trial.fit_splits, trial.seed))


def _source_prompt(trial: Trial, prompt: Prompt, how: PromptTraining) -> Stage | None:
    """Describe the source's prompt; several source seeds are averaged. None for a source that has none."""
    if isinstance(trial.source, Checkpoint):
        return checkpoint_weights(trial.source)
    if isinstance(trial.source, (Task, TaskSet)):
        tasks = _tasks_of(trial.source)
        return over_seeds(trial, lambda seed: _learned(trial, tasks, prompt, how, ("train",), seed))
    return None


def _learned(
    trial: Trial, tasks: tuple[Task, ...], prompt: Prompt, how: PromptTraining, splits: tuple[str, ...], seed: int
) -> Stage:
    """Describe a prompt learned from nothing: the same call for a source and for a baseline, and so the same stage."""
    refuse_peeking(trial, splits)
    return learn_prompt.bind(**_arguments(trial, tasks, prompt, how, splits, seed))


def _arguments(
    trial: Trial, tasks: tuple[Task, ...], prompt: Prompt, how: PromptTraining, splits: tuple[str, ...], seed: int
) -> dict[str, object]:
    watched = (trial.checkpoint.on,) if trial.checkpoint.keep == "best" and not how.carve else ()
    return {
        "tasks": tasks,
        "prompt": prompt,
        "backbone": trial.backbone,
        "clip": clip_weights(trial),
        "images": None if prompt.of_pictures else pictures_of(trial, tasks, (*splits, *watched)),
        "texts": None if prompt.of_text else texts_of(trial, tasks, prompt.template),
        "shots": how.shots,
        "splits": splits,
        "carve": how.carve,
        "budget": how.budget,
        "optimiser": how.optimiser,
        "softmax": how.softmax,
        "rule": trial.checkpoint,
        "numerics": trial.numerics,
        "seed": seed,
    }


def _tasks_of(source: Task | TaskSet) -> tuple[Task, ...]:
    return (source,) if isinstance(source, Task) else _sorted(source.tasks)


def _sorted(tasks: Sequence[Task]) -> tuple[Task, ...]:
    """Tasks taken together, each once, in one order whoever names them: {A, B} and {B, A} are one training."""
    return tuple(sorted(dict.fromkeys(tasks), key=lambda task: task.name))


def _check_shapes(trial: Trial, group: TaskSet | None) -> None:
    """Refuse pictures that the model does not read, where that is known without fetching the model."""
    backbone = trial.backbone
    if isinstance(backbone, VisionLanguage) and backbone.known_here:
        sources = _tasks_of(trial.source) if isinstance(trial.source, (Task, TaskSet)) else ()
        for task in (trial.target, *sources, *(() if group is None else group.tasks)):
            backbone.check(task.input_shape)
