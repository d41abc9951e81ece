"""What a trained network says of a task, kept: logits from which any metric and any ensemble is measured later.

A fine-tuned network is large and read once; its logits are small. Stages that measure logits need no network, so that
a new metric, or an average of several networks, trains nothing again.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

from harness.backbones.base import Backbone
from harness.errors import HarnessError, suggest
from harness.graph import BatchContext, Measurement, Measurements, Predictions, StageContext, Weights, stage
from harness.tasks.base import Task
from harness.training.alone import one_by_one
from harness.training.data import load_split
from harness.training.evaluation import metric, predict_split
from harness.training.networks import fresh, stack, stacked_network, transplant
from harness.training.numerics import applied, parameter_type
from harness.training.rules import STANDARD_NUMERICS, Numerics

if TYPE_CHECKING:
    from torch import Tensor

WIDTH: Final = 8

Average = Literal["probabilities", "logits"]
"""What of several networks is averaged: their softmax probabilities (logistic ones of several classes), or logits."""


def predicted_splits(task: Task, learnt: tuple[str, ...], measured: tuple[str, ...]) -> tuple[str, ...]:
    """The splits whose predictions are kept: validation and test unless learnt from, and what is measured.

    A candidate and the outcome that it may become differ in the split they are measured on; both are measured on one
    artifact, so that the network itself need not outlive it.
    """
    kept = tuple(split for split in ("val", "test") if split in task.sizes and split not in learnt)
    return kept + tuple(split for split in measured if split not in kept)


@stage(version=1, keep="durable")
def predict(
    task: Task,
    weights: Weights,
    backbone: Backbone,
    splits: tuple[str, ...] = ("val", "test"),
    numerics: Numerics = STANDARD_NUMERICS,
    *,
    ctx: StageContext,
) -> Predictions:
    """Return a network's logits on splits of a task: `<split>/logits` [n, C] and `<split>/labels`.

    Logits are float32 (float64 where the network is): rounded further, two of them might become equal. Labels of
    classes are int32, memberships uint8, numbers as they are. Flags of the weights are handed on.
    """
    kind = parameter_type(numerics)
    drawn = fresh(backbone, task.n_classes, task.input_shape, ctx.generator("initialisation", 0))
    shapes = {name: tensor.to(kind) for name, tensor in drawn.items()}
    parameters = transplant(weights.tensors, shapes, head=True, origin=str(weights.header.get("task", "the network")))
    stacked = {name: tensor.to(ctx.device) for name, tensor in stack([parameters]).items()}
    network = stacked_network(backbone, task.input_shape, task.n_classes)
    tensors: dict[str, Tensor] = {}
    with applied(numerics, ctx.device):
        for name in splits:
            data = load_split(task, name, ctx)
            (logits,) = predict_split(network, stacked, data.inputs, ctx.device, kind)
            tensors[f"{name}/logits"] = (logits if numerics.precision == "float64" else logits.float()).cpu()
            tensors[f"{name}/labels"] = _narrow(data.labels)
    return Predictions(tensors, {"task": task.name, "flags": list(weights.header.get("flags", ()))})


def _group(arguments: Mapping[str, Any]) -> Hashable:
    return arguments["backbone"], arguments["task"].input_shape, arguments["numerics"]


@predict.batched(width=WIDTH, group=_group)
def predict_batch(members: Sequence[Mapping[str, Any]], ctx: BatchContext) -> Sequence[Predictions | Exception]:
    """Predict with several networks in one call, one after the other."""
    return one_by_one(predict, members, ctx)


@stage(version=1, keep="durable")
def measure(
    task: Task, predictions: Predictions, splits: tuple[str, ...] = ("test",), metrics: tuple[str, ...] = ()
) -> Measurements:
    """Measure a network on splits of a task by what it predicted, by the task's own metric and by further ones.

    Raises HarnessError for a split that was not predicted.
    """
    flags = tuple(predictions.header.get("flags", ()))
    rows = []
    for split in splits:
        logits, labels = predicted(predictions, split)
        rows += _measured(task, split, logits, labels, metrics, flags)
    return Measurements(tuple(rows))


@measure.batched(width=64, group=lambda arguments: None)
def measure_batch(members: Sequence[Mapping[str, Any]], ctx: BatchContext) -> Sequence[Measurements | Exception]:
    """Measure several networks in one call: a measurement is short, a call is not."""
    return _each(measure, members)


@stage(version=1, keep="durable")
def measure_ensemble(
    task: Task,
    members: tuple[Predictions, ...],
    splits: tuple[str, ...] = ("test",),
    average: Average = "probabilities",
    metrics: tuple[str, ...] = (),
) -> Measurements:
    """Measure an ensemble: what its members predict is averaged, example by example.

    Numbers are averaged as they are, whatever `average` says. Flags of any member are the ensemble's.
    Raises HarnessError for a split that a member did not predict, and for members of different tasks.
    """
    flags = tuple(dict.fromkeys(flag for one in members for flag in one.header.get("flags", ())))
    rows = []
    for split in splits:
        found = [predicted(one, split) for one in members]
        labels = found[0][1]
        if any(not _same(labels, other) for _, other in found[1:]):
            raise HarnessError(f"the members of an ensemble did not predict the same examples of {split}")
        logits = averaged([logits for logits, _ in found], task, average)
        rows += _measured(task, split, logits, labels, metrics, flags)
    return Measurements(tuple(rows))


@measure_ensemble.batched(width=64, group=lambda arguments: None)
def measure_ensemble_batch(
    members: Sequence[Mapping[str, Any]], ctx: BatchContext
) -> Sequence[Measurements | Exception]:
    """Measure several ensembles in one call."""
    return _each(measure_ensemble, members)


def _each(kind: Any, members: Sequence[Mapping[str, Any]]) -> list[Measurements | Exception]:
    """Call a stage without context for each member; padding, which is the last member again, is not computed again."""
    results: list[Measurements | Exception] = []
    for place, arguments in enumerate(members):
        if place and arguments is members[place - 1]:
            results.append(results[-1])
            continue
        try:
            results.append(kind(**arguments))
        except Exception as error:
            results.append(error)
    return results


def predicted(predictions: Predictions, split: str) -> tuple[Tensor, Tensor]:
    """Return logits [n, C] and labels of one split. Raises HarnessError when it was not predicted."""
    if f"{split}/logits" not in predictions.tensors:
        known = [name.removesuffix("/logits") for name in predictions.tensors if name.endswith("/logits")]
        raise HarnessError(f"there are no predictions of {split!r}{suggest(split, known)}")
    labels = predictions.tensors[f"{split}/labels"]
    return predictions.tensors[f"{split}/logits"], labels if labels.is_floating_point() else labels.long()


def averaged(logits: Sequence[Tensor], task: Task, average: Average) -> Tensor:
    """Average what several networks predict, [n, C] each; the result is again on the scale of logits, float64.

    Of mean probabilities the logarithm is returned (of several classes an example: the log odds).
    """
    import torch

    wide = torch.stack([one.double() for one in logits])
    if average == "logits" or task.targets == "numbers":
        return wide.mean(0)
    members = torch.tensor(float(len(logits)), dtype=torch.float64).log()
    if task.targets == "classes":
        yes, no = torch.nn.functional.logsigmoid(wide), torch.nn.functional.logsigmoid(-wide)
        return yes.logsumexp(0) - no.logsumexp(0)
    return wide.log_softmax(-1).logsumexp(0) - members


def _measured(
    task: Task, split: str, logits: Tensor, labels: Tensor, further: tuple[str, ...], flags: tuple[str, ...]
) -> list[Measurement]:
    rows = []
    for name in dict.fromkeys((task.metric, *further)):
        function, _ = metric(name)
        value = float(function(logits.unsqueeze(0), labels.unsqueeze(0)))
        rows.append(Measurement(name, value, split, task.name, n_eval=len(labels), flags=flags))
    return rows


def _narrow(labels: Tensor) -> Tensor:
    import torch

    if labels.is_floating_point():
        return labels
    return labels.to(torch.int32 if labels.ndim == 1 else torch.uint8)


def _same(one: Tensor, other: Tensor) -> bool:
    import torch

    return torch.equal(one, other)
