"""The stages of a linear probe on features: a logistic regression, and its measurement."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

from harness.backbones.base import HEAD
from harness.errors import HarnessError
from harness.graph import BatchContext, Features, Measurement, Measurements, Stage, StageContext, Weights, stage
from harness.tasks.base import Task, one_class_each
from harness.training.alone import Alone, one_by_one, only
from harness.training.data import chosen, count, sample_flags
from harness.training.evaluation import metric
from harness.training.logistic import fit_logistic

if TYPE_CHECKING:
    from torch import Tensor

WIDTH: Final = 16

NOT_CONVERGED: Final = "not_converged"


@stage(version=1, keep="transient")
def fit_probe(
    task: Task,
    features: tuple[Features, ...],
    shots: int | Literal["all"] = "all",
    l2: float = 0.01,
    seed: int = 0,
    *,
    ctx: StageContext,
) -> Weights:
    """Fit a linear map from features to classes by multinomial logistic regression, to its optimum.

    features: one for each split to learn from; `shots` examples a class are taken from each.
    l2: see :mod:`harness.training.logistic`. Flags `not_converged` when the optimum was not reached.
    """
    call = {"task": task, "features": features, "shots": shots, "l2": l2, "seed": seed}
    fitted: Weights = only(fit_batch([call], Alone(ctx)))
    return fitted


def _fit_group(arguments: Mapping[str, Any]) -> Hashable:
    """Probes of one batch have as many examples, classes and features."""
    task, shots = arguments["task"], arguments["shots"]
    described: tuple[Stage, ...] = arguments["features"]
    origin = [stage.arguments for stage in described]
    examples = tuple(count(task, (one["split"],), shots) for one in origin)
    return task.n_classes, task.input_shape, examples, tuple(one["backbone"] for one in origin)


@fit_probe.batched(width=WIDTH, group=_fit_group)
def fit_batch(members: Sequence[Mapping[str, Any]], ctx: BatchContext) -> Sequence[Weights | Exception]:
    """Fit several probes at once, none of which sees another."""
    import torch

    prepared: list[tuple[Tensor, Tensor] | Exception] = []
    for member, own in zip(members, ctx.members, strict=True):
        try:
            prepared.append(sample_features(member, own))
        except Exception as error:
            prepared.append(error)
    good = [place for place, item in enumerate(prepared) if not isinstance(item, Exception)]
    if not good:
        return [item for item in prepared if isinstance(item, Exception)]
    filled = [item for item in (prepared[place] for place in good) if not isinstance(item, Exception)]
    filled += filled[-1:] * (len(members) - len(filled))
    rates = [float(members[place]["l2"]) for place in good]
    rates += rates[-1:] * (len(members) - len(rates))
    fit = fit_logistic(
        torch.stack([inputs for inputs, _ in filled]).to(ctx.device),
        torch.stack([labels for _, labels in filled]).to(ctx.device),
        members[good[0]]["task"].n_classes,
        torch.tensor(rates, dtype=torch.float64, device=ctx.device),
    )
    results: list[Weights | Exception] = [item if isinstance(item, Exception) else Weights({}) for item in prepared]
    for row, place in enumerate(good):
        flags = probe_flags(members[place])
        if not bool(fit.converged[row]):
            ctx.members[place].flag(NOT_CONVERGED)
            flags.append(NOT_CONVERGED)
        tensors = {f"{HEAD}.weight": fit.weight[row].cpu().clone(), f"{HEAD}.bias": fit.bias[row].cpu().clone()}
        results[place] = Weights(tensors, {"task": members[place]["task"].name, "flags": flags})
    return results


def sample_features(member: Mapping[str, Any], ctx: StageContext) -> tuple[Tensor, Tensor]:
    """The examples a probe may use: the same as a training of the same task, shots and seed gets."""
    import torch

    task, inputs, labels = member["task"], [], []
    one_class_each(task, "a probe")
    for one in member["features"]:
        known, split = one.tensors["labels"], str(one.header["split"])
        positions = chosen(task, split, known, member["shots"], member["seed"], ctx)
        inputs.append(one.tensors["features"][positions])
        labels.append(known[positions])
    if not all(bool(each.isfinite().all()) for each in inputs):
        raise HarnessError(f"a feature of {task.name} is not finite")
    return torch.cat(inputs), torch.cat(labels)


def probe_flags(member: Mapping[str, Any]) -> list[str]:
    """What is known of a probe before it is fitted: against its features, and of the sample it learns from."""
    splits = tuple(str(one.header["split"]) for one in member["features"])
    known = member["features"][0].header.get("flags", ())
    return [*known, *sample_flags(member["task"], splits, member["shots"])]


@stage(version=1, keep="durable")
def evaluate_probe(task: Task, probe: Weights, features: tuple[Features, ...], *, ctx: StageContext) -> Measurements:
    """Measure a probe on the splits whose features are given, by the task's own metric."""
    measure, _ = metric(task.metric)
    rows = []
    for one in features:
        wide, labels = one.tensors["features"].double(), one.tensors["labels"]
        logits = wide @ probe.tensors[f"{HEAD}.weight"].T + probe.tensors[f"{HEAD}.bias"]
        value = float(measure(logits.unsqueeze(0), labels.unsqueeze(0)))
        flags = tuple(probe.header.get("flags", ()))
        rows.append(Measurement(task.metric, value, str(one.header["split"]), task.name, len(labels), flags=flags))
    return Measurements(tuple(rows))


def _probe_group(arguments: Mapping[str, Any]) -> Hashable:
    classes: int = arguments["task"].n_classes
    return classes


@evaluate_probe.batched(width=WIDTH, group=_probe_group)
def evaluate_probe_batch(members: Sequence[Mapping[str, Any]], ctx: BatchContext) -> Sequence[Measurements | Exception]:
    """Measure several probes in one call, one after the other."""
    return one_by_one(evaluate_probe, members, ctx)
