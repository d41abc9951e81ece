"""What every method does with a source: the stage that gives its weights. And how a network is trained on a task."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

from harness.backbones.base import Checkpoint, Untrained
from harness.errors import HarnessError
from harness.graph import Stage
from harness.methods.base import Trial
from harness.tasks.base import Task
from harness.tasks.derived import merge
from harness.tasks.sampling import Shots
from harness.training.augmentation import Augmentation, check_augment
from harness.training.checkpoints import checkpoint_weights
from harness.training.rules import Watch
from harness.training.settings import Budget, Optimiser, OptimiserName, Schedule
from harness.training.stages import average_weights, initialise, train


@dataclass(frozen=True)
class Training:
    """How a network is trained: on how many examples a class, how long, by what, and how pictures are changed."""

    shots: Shots
    budget: Budget
    optimiser: Optimiser
    augment: tuple[Augmentation, ...] = ()


@functools.lru_cache(maxsize=4096)
def training(
    shots: Shots,
    steps: int,
    epochs: int | None,
    batch_size: int,
    optimiser: OptimiserName,
    lr: float,
    momentum: float,
    weight_decay: float,
    schedule: Schedule,
    clip: float | None,
    *,
    flops: float | None = None,
    milestones: tuple[float, ...] = (),
    decay: float = 0.1,
    bias_lr: float = 1.0,
    decay_biases: bool = True,
    augment: tuple[Augmentation, ...] = (),
) -> Training:
    """Gather a recipe's parameters; equal ones give the same object, so that its keys are worked out once."""
    return Training(
        shots,
        Budget(steps, epochs, batch_size, flops),
        Optimiser(optimiser, lr, momentum, weight_decay, schedule, clip, milestones, decay, bias_lr, decay_biases),
        augment,
    )


def source_weights(trial: Trial, how: Training, watch: Watch | None = None) -> Stage | None:
    """Describe the weights of the trial's source, or return None when it has none.

    A task is trained on; a set of tasks is joined and trained on together (classes of one name are one class); a
    checkpoint is loaded; `untrained` is the initial network. With several source seeds the weights are averaged.
    watch: what is measured while it is trained.
    Raises HarnessError when source and target have inputs of different shapes.
    """
    source, target, backbone = trial.source, trial.target, trial.backbone
    if source is None:
        return None
    if isinstance(source, Checkpoint):
        return checkpoint_weights(source, backbone)
    if isinstance(source, Untrained):
        shape, classes = target.input_shape, target.n_classes
        return over_seeds(
            trial, lambda seed: initialise.bind(backbone=backbone, input_shape=shape, n_classes=classes, seed=seed)
        )
    task = source if isinstance(source, Task) else merge(source)
    if task.input_shape != target.input_shape:
        raise HarnessError(f"{task.name} has inputs of shape {task.input_shape}, {target.name} of {target.input_shape}")
    return over_seeds(trial, lambda seed: trained(trial, task, how, ("train",), seed, watch))


def over_seeds(trial: Trial, describe: Callable[[int], Stage]) -> Stage:
    """Describe the source's weights for its seed; for several seeds, the mean of the weights."""
    seeds = trial.source_seed
    if isinstance(seeds, int):
        return describe(seeds)
    return average_weights.bind(weights=tuple(describe(seed) for seed in seeds))


def trained(
    trial: Trial, task: Task, how: Training, splits: tuple[str, ...], seed: int, watch: Watch | None = None
) -> Stage:
    """Describe the training of the trial's backbone on a task from its initial weights.

    The same call for a source and for a baseline: with equal settings and seed they are one stage.
    """
    refuse_peeking(trial, splits)
    check_augment(task, how.augment)
    return train.bind(
        task=task,
        backbone=trial.backbone,
        budget=how.budget,
        optimiser=how.optimiser,
        shots=how.shots,
        splits=splits,
        rule=trial.checkpoint,
        numerics=trial.numerics,
        seed=seed,
        watch=watch,
        augment=how.augment,
    )


def refuse_peeking(trial: Trial, splits: tuple[str, ...]) -> None:
    """Raise HarnessError when the best weights would be chosen on examples that are trained on."""
    if trial.checkpoint.keep == "best" and trial.checkpoint.on in splits:
        raise HarnessError(
            f"checkpoint: the best weights cannot be chosen on {trial.checkpoint.on!r}, which is trained on; "
            "use keep: last with this refit"
        )
