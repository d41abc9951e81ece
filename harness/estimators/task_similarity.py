"""How alike two tasks are under a frozen vision-language model: their pictures, and the names of their classes.

No source is trained: these tell in advance which source's prompt may help. Every score is higher for tasks more alike.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

from harness.errors import HarnessError
from harness.estimators.base import estimator
from harness.graph import BatchContext, Features, Measurement, Measurements, Stage, StageContext, stage
from harness.methods.base import Trial
from harness.methods.prompt_recipes import pictures_of, texts_of
from harness.tasks.base import Task, TaskSet
from harness.training.alone import one_by_one
from harness.training.prompt_settings import PHOTO

if TYPE_CHECKING:
    from torch import Tensor

READS: Final = ("source", "target", "backbone")
WIDTH: Final = 20
SPLIT: Final = ("train",)

PictureMeasure = Literal["cosine", "distance", "alignment", "centred_alignment"]
NameMeasure = Literal["nearest", "mean"]


@estimator("visual_mean", reads=READS)
def visual_mean(trial: Trial, *, measure: Literal["cosine", "distance"] = "cosine") -> Stage:
    """Likeness of the mean embeddings of source and target pictures: their cosine, or minus their distance."""
    return _of_pictures(trial, measure)


@estimator("visual_alignment", reads=READS)
def visual_alignment(trial: Trial, *, centred: bool = True) -> Stage:
    """Alignment of the second moments of source and target embeddings, between 0 and 1.

    With X_s [n_s, d] and X_t [n_t, d], less their own means where `centred`, it is
    |X_s X_t'|^2 / (|X_s X_s'| |X_t X_t'|) with Frobenius norms: the alignment (Cristianini et al. 2002) of the two
    kernels X' X over the d dimensions. It is large where pictures of both vary along the same directions.
    """
    return _of_pictures(trial, "centred_alignment" if centred else "alignment")


@estimator("label_text", reads=READS)
def label_text(trial: Trial, *, match: NameMeasure = "nearest", template: str = PHOTO) -> Stage:
    """Likeness of class names in the model's text embeddings.

    match: `nearest` is the mean over target classes of the largest cosine with a source class; `mean` the cosine of
    the two sets' mean embeddings.
    """
    return name_similarity.bind(
        task=trial.target,
        source=texts_of(trial, source_tasks(trial, "label_text"), template),
        target=texts_of(trial, (trial.target,), template)[0],
        match=match,
    )


def _of_pictures(trial: Trial, measure: PictureMeasure) -> Stage:
    name = "visual_mean" if measure in ("cosine", "distance") else "visual_alignment"
    return picture_similarity.bind(
        task=trial.target,
        source=pictures_of(trial, source_tasks(trial, name), SPLIT),
        target=pictures_of(trial, (trial.target,), SPLIT)[0],
        measure=measure,
    )


def source_tasks(trial: Trial, name: str) -> tuple[Task, ...]:
    """Return the source's tasks. Raises HarnessError for a source that has none, and so nothing to compare."""
    if isinstance(trial.source, Task):
        return (trial.source,)
    if isinstance(trial.source, TaskSet):
        return trial.source.tasks
    raise HarnessError(f"{name} compares tasks and needs a source that is one, not {trial.source or 'none'}")


@stage(version=1, keep="durable")
def picture_similarity(
    task: Task, source: tuple[Features, ...], target: Features, measure: PictureMeasure = "cosine", *, ctx: StageContext
) -> Measurements:
    """Compare the embeddings of the training pictures of the source's tasks, taken together, with the target's."""
    import torch

    mine = torch.cat([one.tensors["features"] for one in source]).double()
    theirs = target.tensors["features"].double()
    if measure == "cosine":
        value = torch.nn.functional.cosine_similarity(mine.mean(0), theirs.mean(0), dim=0)
    elif measure == "distance":
        value = -torch.linalg.vector_norm(mine.mean(0) - theirs.mean(0))
    elif measure == "alignment":
        value = alignment(mine, theirs)
    else:
        value = alignment(mine - mine.mean(0), theirs - theirs.mean(0))
    return _measured(task, float(value), len(theirs), (*source, target))


@stage(version=1, keep="durable")
def name_similarity(
    task: Task, source: tuple[Features, ...], target: Features, match: NameMeasure = "nearest", *, ctx: StageContext
) -> Measurements:
    """Compare the unit embeddings of the class names of the source's tasks, taken together, with the target's."""
    import torch

    mine = torch.cat([one.tensors["features"] for one in source]).double()
    theirs = target.tensors["features"].double()
    if match == "nearest":
        value = (theirs @ mine.T).amax(1).mean()
    else:
        value = torch.nn.functional.cosine_similarity(mine.mean(0), theirs.mean(0), dim=0)
    return _measured(task, float(value), len(theirs), (*source, target))


def alignment(first: Tensor, second: Tensor) -> Tensor:
    """Cosine of the second moments of two sets of examples [n, d] and [m, d]; 0 where one of them does not vary."""
    import torch

    one, other = (part.T @ part / len(part) for part in (first, second))
    size = one.norm() * other.norm()
    return (one * other).sum() / size if float(size) > 0 else torch.zeros((), dtype=first.dtype)


def _measured(task: Task, value: float, examples: int, inputs: Sequence[Features]) -> Measurements:
    flags = tuple(dict.fromkeys(flag for one in inputs for flag in one.header.get("flags", ())))
    return Measurements((Measurement("score", value, SPLIT[0], task.name, n_eval=examples, flags=flags),))


def _group(_arguments: Mapping[str, Any]) -> Hashable:
    return None


@picture_similarity.batched(width=WIDTH, group=_group)
def picture_batch(members: Sequence[Mapping[str, Any]], ctx: BatchContext) -> Sequence[Measurements | Exception]:
    """Compare several pairs of tasks in one call, one after the other."""
    return one_by_one(picture_similarity, members, ctx)


@name_similarity.batched(width=WIDTH, group=_group)
def name_batch(members: Sequence[Mapping[str, Any]], ctx: BatchContext) -> Sequence[Measurements | Exception]:
    """Compare several pairs of class names in one call, one after the other."""
    return one_by_one(name_similarity, members, ctx)
