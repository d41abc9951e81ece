"""Tasks and recipes for the tests of expansion: every kind of parameter, nothing computed."""

from __future__ import annotations

import functools
from typing import Literal

from harness.backbones.base import Backbone
from harness.estimators.base import estimator
from harness.graph import Measurement, Measurements, Stage, stage
from harness.methods.base import Source, Trial, method
from harness.tasks.base import Split, Task, TaskSet, task


def _task(index: int) -> Task:
    names = ("no", "yes")
    return Task(
        name="sample",
        n_classes=2,
        class_names=names,
        input_shape=(1,),
        sizes={"train": 2, "val": 2, "test": 2},
        data={"sample": index},
        load=functools.partial(_load, index),
    )


def _load(index: int, split: str) -> Split:
    import torch

    return Split(torch.full((2, 1), float(index)), torch.tensor([0, 1]))


@task("ape", family="animal", domain="land")
def ape() -> Task:
    """An animal of the land."""
    return _task(1)


@task("bee", family="animal", domain="air")
def bee() -> Task:
    """An animal of the air."""
    return _task(2)


@task("cod", family="animal", domain="water")
def cod() -> Task:
    """An animal of the water."""
    return _task(3)


@task("dill", family="plant", domain="land")
def dill() -> Task:
    """A plant."""
    return _task(4)


@task("grown", family="plant")
def grown(age: int, of: Task | None = None, soil: str = "clay") -> Task:
    """A plant with parameters."""
    return _task(100 + age)


@stage(version=1)
def sample_outcome(source: Source, target: Task, seed: int = 0) -> Measurements:
    """Measure nothing."""
    return Measurements((Measurement(target.metric, 0.5, "test", target.name),))


def _outcome(trial: Trial) -> Stage:
    return sample_outcome.bind(source=trial.source, target=trial.target, seed=trial.seed)


@method("move")
def move(
    trial: Trial,
    *,
    shots: int | Literal["all"] = "all",
    steps: int = 200,
    lr: float = 0.1,
    source_steps: int = 400,
    source_lr: float = 0.1,
) -> Stage:
    """A method with parameters of both stages."""
    return _outcome(trial)


@method("probe")
def probe(trial: Trial, *, shots: int | Literal["all"] = "all", source_steps: int = 400) -> Stage:
    """A method with fewer of them."""
    return _outcome(trial)


@method("afresh", reads=("target", "backbone", "seed"))
def afresh(trial: Trial, *, shots: int | Literal["all"] = "all", steps: int = 200) -> Stage:
    """A method that reads no source."""
    return _outcome(trial)


@method("taught")
def taught(
    trial: Trial,
    *,
    teacher: Backbone,
    helpers: TaskSet | None = None,
    widths: tuple[int, ...] = (8,),
    cold: bool = False,
    name: str = "x",
) -> Stage:
    """A method with parameters that are no numbers, one of them needed."""
    return _outcome(trial)


@estimator("closeness", reads=("source", "target"))
def closeness(trial: Trial, *, k: int = 5) -> Stage:
    """A score of source and target."""
    return _outcome(trial)


@estimator("ease", reads=("target",))
def ease(trial: Trial) -> Stage:
    """A score of the target alone."""
    return _outcome(trial)
