"""Tasks and recipes that compute nothing, for studies whose plans are counted by hand.

``toy(index=i)`` is a task of ten classes. The prompt recipes, ``toy_layer_transfer``, ``base_network`` and ``fit_head``
describe the stages that the real ones would have; what those stages return is a number made of their arguments.
"""

from __future__ import annotations

import functools
import zlib
from typing import Any, Literal

from harness.backbones.base import Backbone, Checkpoint, Untrained
from harness.graph import Measurement, Measurements, Stage, Value, stage
from harness.methods.base import Source, Trial, method
from harness.tasks.base import Split, Task, TaskSet, task

CLASSES = tuple(f"class_{index}" for index in range(10))
PER_CLASS = {"train": (1300,) * 10, "val": (10,) * 10, "test": (10,) * 10}


@task("toy", family="toy")
def toy(index: int) -> Task:
    """One of many small tasks without data."""
    return Task(
        name="toy",
        n_classes=len(CLASSES),
        class_names=CLASSES,
        input_shape=(2,),
        sizes={name: sum(sizes) for name, sizes in PER_CLASS.items()},
        class_sizes=PER_CLASS,
        data={"toy": index},
        load=functools.partial(_load, index),
        attributes={"index": index},
    )


def _load(index: int, split: str) -> Split:
    import torch

    labels = torch.arange(len(CLASSES)).repeat_interleave(PER_CLASS[split][0])
    return Split(torch.full((len(labels), 2), float(index)), labels)


def number(*parts: object) -> float:
    """A number from 0 to 1 made of its arguments."""
    return zlib.crc32("|".join(map(str, parts)).encode()) / 2**32


def measure(target: Task, splits: tuple[str, ...], *parts: object) -> Measurements:
    """Return one row a split with a number made of ``parts``."""
    rows = [Measurement(target.metric, number(*parts, split), split, target.name, n_eval=100) for split in splits]
    return Measurements(tuple(rows))


# --- prompts ----------------------------------------------------------------------------------------------------------

Kind = Literal["text", "visual", "unified"]


@stage(version=1)
def learn_toy_prompt(task: Task, kind: Kind, shots: int | Literal["all"], seed: int) -> Value:
    """Stand for a prompt learnt from nothing: a source training, or a baseline's."""
    return Value({"number": number("learn", task.name, kind, shots, seed)})


@stage(version=1)
def adapt_toy_prompt(init: Value, task: Task, kind: Kind, shots: int | Literal["all"], seed: int) -> Value:
    """Stand for a prompt that goes on from a source's."""
    return Value({"number": number("adapt", init.data["number"], task.name, kind, shots, seed)})


@stage(version=1)
def evaluate_toy_prompt(prompt: Value, task: Task, splits: tuple[str, ...] = ("test",)) -> Measurements:
    """Stand for the evaluation of a prompt."""
    return measure(task, splits, prompt.data["number"], task.name)


def _prompt(trial: Trial, kind: Kind, shots: Any, source_shots: Any) -> Stage:
    if trial.source is None:
        prompt = learn_toy_prompt.bind(task=trial.target, kind=kind, shots=shots, seed=trial.seed)
    else:
        base = learn_toy_prompt.bind(task=trial.source, kind=kind, shots=source_shots, seed=trial.source_seed)
        prompt = adapt_toy_prompt.bind(init=base, task=trial.target, kind=kind, shots=shots, seed=trial.seed)
    return evaluate_toy_prompt.bind(prompt=prompt, task=trial.target, splits=trial.eval_splits)


@method("text_prompt")
def text_prompt(
    trial: Trial, *, shots: int | Literal["all"] = "all", source_shots: int | Literal["all"] = "all"
) -> Stage:
    """A prompt of words."""
    return _prompt(trial, "text", shots, source_shots)


@method("visual_prompt")
def visual_prompt(
    trial: Trial, *, shots: int | Literal["all"] = "all", source_shots: int | Literal["all"] = "all"
) -> Stage:
    """A prompt of image tokens."""
    return _prompt(trial, "visual", shots, source_shots)


@method("unified_prompt")
def unified_prompt(
    trial: Trial, *, shots: int | Literal["all"] = "all", source_shots: int | Literal["all"] = "all"
) -> Stage:
    """A prompt of both."""
    return _prompt(trial, "unified", shots, source_shots)


# --- layers -----------------------------------------------------------------------------------------------------------


@stage(version=1)
def train_base(task: Task, backbone: Backbone, seed: int) -> Value:
    """Stand for a network trained from nothing."""
    return Value({"number": number("base", task.name, backbone.name, seed)})


@stage(version=1)
def random_base(backbone: Backbone, seed: int) -> Value:
    """Stand for a network with its initial weights."""
    return Value({"number": number("random", backbone.name, seed)})


@stage(version=1)
def transfer_layers(init: Value, task: Task, n: int, frozen: bool, seed: int) -> Value:
    """Stand for a network whose first ``n`` layers come from another, frozen or tuned."""
    return Value({"number": number("transfer", init.data["number"], task.name, n, frozen, seed)})


@stage(version=1)
def evaluate_network(network: Value, task: Task, splits: tuple[str, ...] = ("test",)) -> Measurements:
    """Stand for the evaluation of a network."""
    return measure(task, splits, network.data["number"], task.name)


def _base(source: Source, backbone: Backbone, seed: int | tuple[int, ...]) -> Stage:
    if isinstance(source, Untrained):
        return random_base.bind(backbone=backbone, seed=seed)
    return train_base.bind(task=source, backbone=backbone, seed=seed)


@method("toy_layer_transfer")
def toy_layer_transfer(trial: Trial, *, n: int, frozen: bool = True) -> Stage:
    """Take the first ``n`` layers of the source's network and train the rest on the target."""
    base = _base(trial.source, trial.backbone, trial.source_seed)
    network = transfer_layers.bind(init=base, task=trial.target, n=n, frozen=frozen, seed=trial.seed)
    return evaluate_network.bind(network=network, task=trial.target, splits=trial.eval_splits)


@method("base_network", reads=("target", "backbone", "seed"))
def base_network(trial: Trial) -> Stage:
    """Train on the target from nothing."""
    base = train_base.bind(task=trial.target, backbone=trial.backbone, seed=trial.seed)
    return evaluate_network.bind(network=base, task=trial.target, splits=trial.eval_splits)


# --- model selection --------------------------------------------------------------------------------------------------


@stage(version=1)
def fit_head(
    model: Task | TaskSet | Checkpoint | Untrained,
    task: Task,
    lr: float,
    weight_decay: float,
    seed: int,
    splits: tuple[str, ...] = ("train",),
) -> Value:
    """Stand for a head fitted on the features of a model."""
    return Value({"number": number("head", model, task.name, lr, weight_decay, seed, splits)})


@stage(version=1)
def evaluate_head(head: Value, task: Task, splits: tuple[str, ...] = ("test",)) -> Measurements:
    """Stand for the evaluation of a head."""
    return measure(task, splits, head.data["number"], task.name)


@method("head")
def head(trial: Trial, *, lr: float = 0.1, weight_decay: float = 0.0) -> Stage:
    """Fit a head on a frozen model."""
    fitted = fit_head.bind(
        model=trial.source,
        task=trial.target,
        lr=lr,
        weight_decay=weight_decay,
        seed=trial.seed,
        splits=trial.fit_splits,
    )
    return evaluate_head.bind(head=fitted, task=trial.target, splits=trial.eval_splits)
