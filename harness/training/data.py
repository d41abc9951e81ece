"""A task's examples as a stage sees them: loaded once a worker, sampled, in memory where they are few."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from harness.graph import StageContext, derive_seed
from harness.tasks.base import Inputs, Split, Task, choose
from harness.tasks.joined import join
from harness.tasks.sampling import FEWER_THAN_SHOTS, Shots, few_shot, sample_size

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")

MOST_IN_MEMORY: Final = 2**26
"""Bytes, as float32, up to which the examples of a training are read at once; larger ones are read batch by batch."""


class Cache(Protocol):
    """What keeps values in a worker's memory: a stage's context, alone or in a batch."""

    def cached(self, key: Hashable, make: Callable[[], T], nbytes: int | None = None) -> T:
        """Return what `make` gives, kept under `key`."""


def load_split(task: Task, split: str, cache: Cache) -> Split:
    """Return one split of a task from the worker's cache, loading it on first use; its tensors are for reading only."""
    key = ("split", json.dumps(task.identity(), sort_keys=True), split)
    return cache.cached(key, lambda: task.split(split))


def in_memory(split: Split) -> Split:
    """Return a split whose inputs are a tensor, read now where they are otherwise read when asked for.

    Those that would take more than `MOST_IN_MEMORY` stay unread.
    """
    return Split(split.inputs if streams(split.inputs) else split.inputs[:], split.labels)


def streams(inputs: Inputs) -> bool:
    """Say whether inputs are not in memory and too many to be read at once."""
    import torch

    return not isinstance(inputs, torch.Tensor) and 4 * math.prod(inputs.shape) > MOST_IN_MEMORY


def sample(task: Task, splits: tuple[str, ...], shots: Shots, seed: int, ctx: StageContext) -> Split:
    """Return the examples that a training may use: `shots` of each class from each of the splits, or all.

    Which ones depends on the seed, the task and the split only. Many pictures stay unread.
    """
    import torch

    inputs, labels = [], []
    for name in splits:
        whole = load_split(task, name, ctx)
        if shots == "all":
            inputs.append(whole.inputs)
            labels.append(whole.labels)
        else:
            positions = chosen(task, name, whole.labels, shots, seed, ctx)
            inputs.append(choose(whole.inputs, positions))
            labels.append(whole.labels[positions])
    return in_memory(Split(join(inputs), torch.cat(labels)))


def chosen(task: Task, split: str, labels: Tensor, shots: Shots, seed: int, ctx: StageContext) -> Tensor:
    """Return the positions in `labels` [n] of a split's examples that whoever learns from them may use.

    Everything that learns from a sample takes it from here, so that all methods and sources see the same examples.
    Where the task says how many examples each class has, a class with fewer than `shots` gives all of them (as few-shot
    benchmarks have it: min(shots, available)) and the call is flagged `fewer_than_shots`; where it does not, that is an
    error, because how many examples there will be must be known when the study is planned.
    """
    generator = ctx.generator("few_shot", seed, task.name, split)
    if shots != "all" and takes_fewer(task, (split,), shots):
        ctx.flag(FEWER_THAN_SHOTS)
        return few_shot(labels, shots, generator, task.n_classes, fewer="take_all")
    return few_shot(labels, shots, generator, task.n_classes)


def takes_fewer(task: Task, splits: tuple[str, ...], shots: Shots) -> bool:
    """Say whether a class has fewer than `shots` examples in one of the splits, without loading any."""
    if shots == "all" or task.targets != "class":
        return False
    return any(size < shots for split in splits for size in task.class_sizes.get(split, ()))


def sample_flags(task: Task, splits: tuple[str, ...], shots: Shots) -> tuple[str, ...]:
    """Return the flags of everything that is learnt from such a sample."""
    return (FEWER_THAN_SHOTS,) if takes_fewer(task, splits, shots) else ()


def count(task: Task, splits: tuple[str, ...], shots: Shots) -> int:
    """Return how many examples `sample` gives, without loading any."""
    if shots == "all":
        return sum(task.sizes[name] for name in splits)
    return sum(sample_size(task.class_sizes.get(name, (shots,) * task.n_classes), shots) for name in splits)


class Order:
    """The batches of one training: one random order a pass, the passes end to end, cut into equal batches.

    Derived from the seed and the task for each pass by itself, so that any step can be found without the ones before.
    """

    def __init__(self, examples: int, batch: int, seed: int, task: str) -> None:
        self.examples = examples
        self.batch = batch
        self.seed = seed
        self.task = task
        self._passes: dict[int, list[int]] = {}
        self._lock = threading.Lock()  # several threads may ask for batches

    @property
    def whole(self) -> bool:
        """Whether every batch is the whole data, in their own order."""
        return self.batch == self.examples

    def at(self, step: int) -> list[int]:
        """Return the positions of the examples of one step's batch."""
        found: list[int] = []
        while len(found) < self.batch:
            number, place = divmod(step * self.batch + len(found), self.examples)
            found += self._pass(number)[place : place + self.batch - len(found)]
        return found

    def _pass(self, number: int) -> list[int]:
        import torch

        with self._lock:
            if number not in self._passes:
                if len(self._passes) > 1:
                    self._passes.pop(min(self._passes))
                generator = torch.Generator().manual_seed(derive_seed(self.seed, "order", self.task, number))
                self._passes[number] = torch.randperm(self.examples, generator=generator).tolist()
            return self._passes[number]
