"""The examples that a prompt is learned from: a few of each class of one task or several, some kept for choosing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError
from harness.graph import Features, StageContext
from harness.tasks.base import Task
from harness.tasks.sampling import Shots
from harness.training.data import chosen, load_split, sample_flags

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class Part:
    """Examples of one task: inputs (embeddings or pictures) [n, ...]; labels [n] within the task, or memberships
    [n, classes] where an example may have several."""

    inputs: Tensor
    labels: Tensor


@dataclass(frozen=True)
class PromptData:
    """Examples of one member. wanted: how probable each class of all tasks is to be for each example, [n, classes];
    an example of several classes asks for each of them alike.  task_of: [n], the number of the task of each example.
    watched: for each task, what chooses among the prompts of a training; empty when nothing is kept for that.
    """

    inputs: Tensor
    wanted: Tensor
    task_of: Tensor
    watched: tuple[Part, ...]
    flags: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.wanted)


def starts_of(tasks: Sequence[Task]) -> list[int]:
    """Return the number of the first class of each task when all are numbered through, and how many there are."""
    starts = [0]
    for task in tasks:
        starts.append(starts[-1] + task.n_classes)
    return starts


def gather(
    tasks: Sequence[Task],
    images: Sequence[Features],
    splits: tuple[str, ...],
    shots: Shots,
    carve: float,
    watch: str | None,
    seed: int,
    ctx: StageContext,
) -> PromptData:
    """Sample each task as every other training of the same task, split, shots and seed does, and put them together.

    images: embeddings of the splits; pictures themselves where there are none.  carve: share of each class's sample,
    rounded up, that is kept for choosing (ELEVATER: .2; with one example a class it serves both); 0 chooses on the
    split `watch`, if any.
    """
    import torch

    found = {(str(one.header["task"]), str(one.header["split"])): one for one in images}
    inputs, wanted, task_of, watched = [], [], [], []
    starts = starts_of(tasks)
    flags: dict[str, None] = dict.fromkeys(flag for one in images for flag in one.header.get("flags", ()))
    for number, task in enumerate(tasks):
        if task.targets == "numbers":
            raise HarnessError(f"{task.name} asks for numbers; a prompt chooses among classes")
        sample = _sampled(task, splits, shots, seed, found, ctx)
        flags |= dict.fromkeys(sample_flags(task, splits, shots))
        kept, learned = carved(sample.labels, carve)
        inputs.append(sample.inputs[learned])
        wanted.append(_shares(sample.labels[learned], starts[number], task.n_classes, starts[-1]))
        task_of.append(torch.full((len(learned),), number))
        if carve:
            watched.append(Part(sample.inputs[kept], sample.labels[kept]))
        elif watch is not None:
            watched.append(_whole(task, watch, found, ctx))
    return PromptData(torch.cat(inputs), torch.cat(wanted), torch.cat(task_of), tuple(watched), tuple(flags))


def carved(labels: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Return the positions kept for choosing, the first of each class, and those to learn from.

    A class of one example has it in both. Of examples of several classes the first ones are kept, whatever they are.
    """
    import torch

    if labels.ndim > 1:
        cut = math.ceil(share * len(labels))
        return torch.arange(cut), torch.arange(cut if cut < len(labels) else 0, len(labels))
    kept, learned = [], []
    for label in sorted(set(labels.tolist())):
        members = (labels == label).nonzero().flatten()
        cut = math.ceil(share * len(members))
        kept.append(members[:cut])
        learned.append(members[cut:] if cut < len(members) else members)
    return torch.cat(kept).sort().values, torch.cat(learned).sort().values


def few_of_several(memberships: Tensor, shots: int, generator: torch.Generator) -> Tensor:
    """Return positions of examples, in random order, until each class [n, classes] has `shots` or all that it has.

    As ELEVATER samples pictures of several classes: one is taken when any of its classes still needs it.
    """
    import torch

    have = torch.zeros(memberships.shape[1], dtype=torch.int64)
    taken = []
    for place in torch.randperm(len(memberships), generator=generator).tolist():
        own = memberships[place] > 0
        if bool((have[own] < shots).any()):
            taken.append(place)
            have += own
    return torch.tensor(taken, dtype=torch.int64)


def _shares(labels: Tensor, start: int, classes: int, total: int) -> Tensor:
    """Labels as probabilities over the classes of all tasks [n, total]; zero where an example has no class."""
    import torch

    own = torch.nn.functional.one_hot(labels, classes) if labels.ndim == 1 else labels
    result = torch.zeros(len(own), total)
    result[:, start : start + classes] = own / own.sum(1, keepdim=True).clamp_min(1)
    return result


def _sampled(
    task: Task,
    splits: tuple[str, ...],
    shots: Shots,
    seed: int,
    found: Mapping[tuple[str, str], Features],
    ctx: StageContext,
) -> Part:
    import torch

    inputs, labels = [], []
    for split in splits:
        whole, known = _inputs(task, split, found, ctx)
        if known.ndim > 1 and shots != "all":
            positions = few_of_several(known, shots, ctx.generator("few_shot", seed, task.name, split))
        else:
            positions = chosen(task, split, known, shots, seed, ctx)
        inputs.append(whole[positions])
        labels.append(known[positions])
    return Part(torch.cat(inputs), torch.cat(labels))


def _whole(task: Task, split: str, found: Mapping[tuple[str, str], Features], ctx: StageContext) -> Part:
    inputs, labels = _inputs(task, split, found, ctx)
    return Part(inputs[:], labels)


def _inputs(task: Task, split: str, found: Mapping[tuple[str, str], Features], ctx: StageContext) -> tuple[Any, Tensor]:
    one = found.get((task.name, split))
    if one is not None:
        return one.tensors["features"], one.tensors["labels"]
    data = load_split(task, split, ctx)
    return data.inputs, data.labels
