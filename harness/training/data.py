"""A task's examples as a stage sees them: loaded once a worker, sampled, on the right device."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable
from typing import Protocol, TypeVar

from harness.graph import StageContext, derive_seed
from harness.tasks.base import Split, Task
from harness.tasks.sampling import Shots, few_shot

T = TypeVar("T")


class Cache(Protocol):
    """What keeps values in a worker's memory: a stage's context, alone or in a batch."""

    def cached(self, key: Hashable, make: Callable[[], T], nbytes: int | None = None) -> T:
        """Return what `make` gives, kept under `key`."""


def load_split(task: Task, split: str, cache: Cache) -> Split:
    """Return one split of a task from the worker's cache, loading it on first use; its tensors are for reading only."""
    key = ("split", json.dumps(task.identity(), sort_keys=True), split)
    return cache.cached(key, lambda: task.split(split))


def in_memory(split: Split) -> Split:
    """Return a split whose inputs are a tensor, read now where they are otherwise read when asked for."""
    return Split(split.inputs[:], split.labels)


def sample(task: Task, splits: tuple[str, ...], shots: Shots, seed: int, ctx: StageContext) -> Split:
    """Return the examples that a training may use: `shots` of each class from each of the splits, or all.

    Which ones depends on the seed, the task and the split only.
    """
    import torch

    inputs, labels = [], []
    for name in splits:
        whole = load_split(task, name, ctx)
        chosen = few_shot(whole.labels, shots, ctx.generator("few_shot", seed, task.name, name), task.n_classes)
        inputs.append(whole.inputs[chosen])
        labels.append(whole.labels[chosen])
    return Split(torch.cat(inputs), torch.cat(labels))


def count(task: Task, splits: tuple[str, ...], shots: Shots) -> int:
    """Return how many examples `sample` gives, without loading any."""
    if shots == "all":
        return sum(task.sizes[name] for name in splits)
    return shots * task.n_classes * len(splits)


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

    @property
    def whole(self) -> bool:
        """Whether every batch is the whole data, in their own order."""
        return self.batch == self.examples

    def at(self, step: int) -> list[int]:
        """Return the positions of the examples of one step's batch."""
        start = step * self.batch
        return [self._pass(place // self.examples)[place % self.examples] for place in range(start, start + self.batch)]

    def _pass(self, number: int) -> list[int]:
        import torch

        if number not in self._passes:
            if len(self._passes) > 1:
                self._passes.pop(min(self._passes))
            generator = torch.Generator().manual_seed(derive_seed(self.seed, "order", self.task, number))
            self._passes[number] = torch.randperm(self.examples, generator=generator).tolist()
        return self._passes[number]
