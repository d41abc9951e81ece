"""k nearest neighbours: how well the target's classes hang together in the source's features."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from harness.errors import HarnessError
from harness.estimators.base import estimator
from harness.estimators.inputs import Inputs
from harness.estimators.nearest import nearest_others
from harness.estimators.scorers import scorer
from harness.graph import BatchContext, Features, Measurement, Measurements, Stage, StageContext, stage
from harness.methods.base import Trial
from harness.methods.features import features_of
from harness.methods.sources import source_weights, training
from harness.methods.views import as_seen
from harness.tasks.base import Task
from harness.training import data
from harness.training.alone import one_by_one
from harness.training.augmentation import Augmentation
from harness.training.settings import Schedule

if TYPE_CHECKING:
    from torch import Tensor


@estimator("knn", reads=("source", "target", "backbone", "seed", "source_seed"))
def knn(
    trial: Trial,
    *,
    k: int = 5,
    shots: int | Literal["all"] = "all",
    source_shots: int | Literal["all"] = "all",
    source_steps: int = 200,
    source_epochs: int | None = None,
    source_batch_size: int = 64,
    source_optimiser: Literal["sgd", "adam"] = "sgd",
    source_lr: float = 0.1,
    source_momentum: float = 0.9,
    source_weight_decay: float = 0.0,
    source_schedule: Schedule = "cosine",
    source_milestones: tuple[float, ...] = (),
    source_decay: float = 0.1,
    source_clip: float | None = None,
    source_augment: tuple[Augmentation, ...] = (),
) -> Stage:
    """Leave-one-out accuracy of k nearest neighbours on the target's training examples, in the source's features."""
    trial = as_seen(trial)
    weights = source_weights(
        trial,
        training(
            source_shots,
            source_steps,
            source_epochs,
            source_batch_size,
            source_optimiser,
            source_lr,
            source_momentum,
            source_weight_decay,
            source_schedule,
            source_clip,
            milestones=source_milestones,
            decay=source_decay,
            augment=source_augment,
        ),
    )
    features = features_of(trial, weights, "train")
    return knn_score.bind(task=trial.target, features=features, k=k, shots=shots, seed=trial.seed)


@scorer(
    "knn",
    needs=("features", "labels"),
    cost="N^2 D",
    paper="leave-one-out as in Bolya et al. 2021, arXiv 2111.06977",
    in_studies=False,
)
def knn_of(inputs: Inputs, *, k: int = 5) -> float:
    """Share of examples whose k nearest others (Euclidean) vote for their own class; higher is better.

    Among classes with as many votes, the one of the nearest voter wins. One class gives 1.
    """
    import torch

    labels = torch.from_numpy(inputs.labels)
    return leave_one_out(torch.from_numpy(inputs.features), labels, k, int(labels.max()) + 1)


@stage(version=1, keep="durable")
def knn_score(
    task: Task, features: Features, k: int = 5, shots: int | Literal["all"] = "all", seed: int = 0, *, ctx: StageContext
) -> Measurements:
    """Score features by the k nearest neighbours of each of the examples that a training would get."""
    split = str(features.header["split"])
    labels = features.tensors["labels"]
    chosen = data.chosen(task, split, labels, shots, seed, ctx)
    value = leave_one_out(features.tensors["features"][chosen], labels[chosen], k, task.n_classes)
    flags = tuple(features.header.get("flags", ()))
    return Measurements((Measurement("score", value, split, task.name, n_eval=len(chosen), flags=flags),))


def _group(arguments: Mapping[str, Any]) -> Hashable:
    classes: int = arguments["task"].n_classes
    return classes


@knn_score.batched(width=8, group=_group)
def knn_batch(members: Sequence[Mapping[str, Any]], ctx: BatchContext) -> Sequence[Measurements | Exception]:
    """Score several in one call, one after the other."""
    return one_by_one(knn_score, members, ctx)


def leave_one_out(features: Tensor, labels: Tensor, k: int, n_classes: int) -> float:
    """Share of examples whose k nearest others (Euclidean) vote for their own class.

    features [n, width], labels [n]. Among classes with as many votes, the one of the nearest voter wins.
    Raises HarnessError when there are not k others, and when all features are the same.
    """
    import torch

    examples = features.shape[0]
    if not 1 <= k < examples:
        raise HarnessError(f"knn: k must be at least 1 and below the number of examples, {examples}, not {k}")
    if bool((features == features[:1]).all()):
        raise HarnessError("knn: all examples have the same features, so that none is nearer than another")
    voters = labels[nearest_others(features.double(), k)]
    votes = torch.nn.functional.one_hot(voters, n_classes).sum(1)
    most = votes.gather(1, voters) == votes.amax(1, keepdim=True)
    winner = voters.gather(1, most.int().argmax(1, keepdim=True)).squeeze(1)
    return int((winner == labels).sum()) / examples
