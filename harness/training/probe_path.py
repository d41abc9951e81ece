"""A linear probe whose regularisation is chosen on validation: one stage fits every strength and keeps the best.

Selection sees the features of training and validation only. No strength but the chosen one is ever measured on test:
the other fits do not leave the stage.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from harness.backbones.base import HEAD
from harness.errors import HarnessError
from harness.graph import BatchContext, Features, Stage, StageContext, Weights, stage
from harness.tasks.base import Task
from harness.training.alone import Alone, only, without_padding
from harness.training.data import count
from harness.training.evaluation import metric
from harness.training.logistic_path import LogisticPath, fit_path
from harness.training.probe import NOT_CONVERGED, probe_flags, sample_features

if TYPE_CHECKING:
    from torch import Tensor

WIDTH: Final = 8

STRENGTHS: Final = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 1e-1)
"""l2 in units of the features' total variance; see :mod:`harness.training.logistic_path`."""


@stage(version=1, keep="transient")
def fit_probe_path(
    task: Task,
    features: tuple[Features, ...],
    validation: Features,
    shots: int | Literal["all"] = "all",
    strengths: tuple[float, ...] = STRENGTHS,
    seed: int = 0,
    *,
    ctx: StageContext,
) -> Weights:
    """Fit a linear map from features to classes at every strength; return the one that is best on `validation`.

    features: one for each split to learn from; `shots` examples a class are taken from each.  Among equals the
    strongest regularisation wins. The header tells strength, l2 and validation value of all. Flags `not_converged`
    when the optimum of the chosen one was not reached.
    """
    call = {
        "task": task,
        "features": features,
        "validation": validation,
        "shots": shots,
        "strengths": strengths,
        "seed": seed,
    }
    fitted: Weights = only(fit_path_batch([call], Alone(ctx)))
    return fitted


def _group(arguments: Mapping[str, Any]) -> Hashable:
    """Probes of one batch have as many examples, classes and features, and the same strengths."""
    task, shots = arguments["task"], arguments["shots"]
    described: tuple[Stage, ...] = arguments["features"]
    origin = [stage.arguments for stage in described]
    examples = tuple(count(task, (one["split"],), shots) for one in origin)
    networks = tuple((one["backbone"], one["layer"]) for one in origin)
    return task.n_classes, task.input_shape, examples, networks, arguments["strengths"]


@fit_probe_path.batched(width=WIDTH, group=_group)
def fit_path_batch(members: Sequence[Mapping[str, Any]], ctx: BatchContext) -> Sequence[Weights | Exception]:
    """Fit several probes at all their strengths at once, none of which sees another."""
    import torch

    prepared: list[tuple[Tensor, Tensor] | Exception] = []
    for member, own in zip(members, ctx.members, strict=True):
        try:
            prepared.append(_sample(member, own))
        except Exception as error:
            prepared.append(error)
    good = [place for place, item in enumerate(prepared) if not isinstance(item, Exception)]
    if not good:
        return [item for item in prepared if isinstance(item, Exception)]
    filled = [item for item in (prepared[place] for place in good) if not isinstance(item, Exception)]
    filled += filled[-1:] * (len(members) - len(filled))
    path = fit_path(
        torch.stack([inputs for inputs, _ in filled]).to(ctx.device),
        torch.stack([labels for _, labels in filled]).to(ctx.device),
        members[good[0]]["task"].n_classes,
        torch.tensor(members[good[0]]["strengths"], dtype=torch.float64, device=ctx.device),
        needed=sum(place < without_padding(members) for place in good),
    )
    results: list[Weights | Exception] = [item if isinstance(item, Exception) else Weights({}) for item in prepared]
    for row, place in enumerate(good):
        there = min(row, len(path.l2) - 1)
        results[place] = _chosen(members[place], path, there, ctx.members[place])
    return results


def _sample(member: Mapping[str, Any], ctx: StageContext) -> tuple[Tensor, Tensor]:
    learnt = [str(one.header["split"]) for one in member["features"]]
    watched = str(member["validation"].header["split"])
    if watched in learnt:
        raise HarnessError(f"a probe's regularisation cannot be chosen on {watched!r}, which it learns from")
    return sample_features(member, ctx)


@dataclass(frozen=True)
class _Candidate:
    strength: float
    l2: float
    value: float


def _chosen(member: Mapping[str, Any], path: LogisticPath, row: int, ctx: StageContext) -> Weights:
    task, validation = member["task"], member["validation"]
    measure, more_is_better = metric(task.metric)
    inputs = validation.tensors["features"].to(path.weight.device).double()
    labels = validation.tensors["labels"].to(path.weight.device)
    candidates = []
    for place, strength in enumerate(member["strengths"]):
        logits = inputs @ path.weight[row, place].T + path.bias[row, place]
        value = float(measure(logits.unsqueeze(0), labels.unsqueeze(0)))
        candidates.append(_Candidate(strength, float(path.l2[row, place]), value))
        ctx.curve(f"{validation.header['split']}/{task.metric}", place, value)
    sign = 1.0 if more_is_better else -1.0
    best = max(range(len(candidates)), key=lambda place: (sign * candidates[place].value, candidates[place].strength))
    flags = probe_flags(member)
    if not bool(path.converged[row, best]):
        ctx.flag(NOT_CONVERGED)
        flags.append(NOT_CONVERGED)
    tensors = {
        f"{HEAD}.weight": path.weight[row, best].cpu().clone(),
        f"{HEAD}.bias": path.bias[row, best].cpu().clone(),
    }
    header = {
        "task": task.name,
        "flags": flags,
        "strength": candidates[best].strength,
        "path": [[one.strength, one.l2, one.value] for one in candidates],
    }
    return Weights(tensors, header)
