"""What every score must beat: how large a network is, and how good it was on ImageNet."""

from __future__ import annotations

import csv
import functools
from collections.abc import Mapping
from importlib import resources

from harness.backbones.base import HEAD, Backbone
from harness.errors import HarnessError, suggest
from harness.estimators.base import estimator
from harness.estimators.inputs import Inputs
from harness.estimators.scorers import scorer
from harness.graph import Measurement, Measurements, Stage, StageContext, stage
from harness.methods.base import Trial
from harness.methods.views import as_seen
from harness.tasks.base import Task


@scorer("parameter_count", needs=("model",), cost="none", paper="a baseline", in_studies=False)
def parameters_of_model(inputs: Inputs) -> float:
    """Number of parameters of a network (a torch module as `model`); a larger one counts as better."""
    model = inputs.model
    if not hasattr(model, "parameters"):
        raise HarnessError(f"parameter_count needs a torch module as model, not {model!r}")
    return float(sum(parameter.numel() for parameter in model.parameters()))


@scorer("imagenet_accuracy", needs=("model",), cost="none", paper="a baseline", in_studies=False)
def imagenet_accuracy_of(inputs: Inputs) -> float:
    """Published top-1 accuracy on ImageNet of a known network (its name or backbone as `model`); higher is better.

    The figures and their sources are in `imagenet.csv` beside this module.
    """
    return known_accuracy(str(inputs.model))


def known_accuracy(name: str) -> float:
    """The accuracy of a network by name, however it is spelt; raises HarnessError for an unknown one."""
    known = imagenet_accuracies()
    plain = {_plain(one): value for one, value in known.items()}
    if _plain(name) not in plain:
        raise HarnessError(f"imagenet_accuracy: no figure is known for {name!r}{suggest(name, known)}")
    return plain[_plain(name)]


@functools.cache
def imagenet_accuracies() -> Mapping[str, float]:
    """Published top-1 accuracies by the name of the network."""
    text = resources.files("harness.estimators").joinpath("imagenet.csv").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {row["model"]: float(row["top1"]) for row in csv.DictReader(lines)}


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


@estimator("parameter_count", reads=("target", "backbone"))
def parameter_count(trial: Trial) -> Stage:
    """Number of the backbone's parameters below its head; knows nothing of the target but the size of its inputs."""
    trial = as_seen(trial)
    return count_parameters.bind(backbone=trial.backbone, task=trial.target)


@stage(version=1, keep="durable")
def count_parameters(backbone: Backbone, task: Task, *, ctx: StageContext) -> Measurements:
    """Count the parameters of a network for a task's inputs, without its head."""
    import torch

    network = backbone.build(task.n_classes, task.input_shape, torch.Generator().manual_seed(0))
    sizes = [one.numel() for name, one in network.named_parameters() if not name.startswith(f"{HEAD}.")]
    return _row(float(sum(sizes)), task)


@estimator("imagenet_accuracy", reads=("target", "backbone"))
def imagenet_accuracy(trial: Trial) -> Stage:
    """Published ImageNet accuracy of the backbone; knows nothing of the target.

    Of an adapter to a library, that of the network that it is told to adapt.
    """
    model = str(trial.backbone.options.get("model", trial.backbone.name))
    known_accuracy(model)
    return look_up_accuracy.bind(model=model, task=trial.target)


@stage(version=1, keep="durable")
def look_up_accuracy(model: str, task: Task, *, ctx: StageContext) -> Measurements:
    """Look a network's published ImageNet accuracy up."""
    return _row(known_accuracy(model), task)


def _row(value: float, task: Task) -> Measurements:
    return Measurements((Measurement("score", value, "train", task.name),))
