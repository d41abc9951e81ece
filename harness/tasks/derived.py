"""Tasks made of other tasks: half of the classes, chosen classes, fewer training examples, several tasks joined.

A derived task keeps each example in the split in which it was, so that what held for the originals (no test example
in any training split) still holds.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Literal

from harness.errors import HarnessError, suggest
from harness.graph import derive_seed
from harness.tasks.base import Split, Task, TaskSet, task
from harness.tasks.sampling import few_shot

_HERE: Final = (__name__, "harness.tasks.sampling")


@task("half")
def half(of: Task, split: int, side: Literal["a", "b"]) -> Task:
    """A random half of the classes of a task; with an odd number side a has one more.

    split: which random division, any integer; the two sides of one division share no class. The division depends on
    the class names alone, so tasks with the same classes are divided alike.
    """
    if of.n_classes < 2:
        raise HarnessError(f"half: {of.name} has one class, which cannot be divided")
    by_chance = sorted(range(of.n_classes), key=lambda label: derive_seed(split, "split", of.class_names[label]))
    middle = (of.n_classes + 1) // 2
    chosen = by_chance[:middle] if side == "a" else by_chance[middle:]
    made = _restricted(of, sorted(chosen))
    return replace(made, attributes={**of.attributes, "of": of.name, "split": split, "side": side})


@task("subset")
def subset(of: Task, classes: tuple[int | str, ...]) -> Task:
    """Some classes of a task, by name or by label, renumbered in the order of the original."""
    labels = sorted(_label(of, chosen) for chosen in classes)
    if len(set(labels)) != len(labels):
        raise HarnessError(f"subset of {of.name}: a class is named twice")
    return replace(_restricted(of, labels), attributes={**of.attributes, "of": of.name})


@task("per_class")
def per_class(of: Task, n: int, seed: int = 0) -> Task:
    """A task with only `n` training examples of each class; validation and test stay whole.

    With one seed, fewer examples are among the more.
    """
    counts = _counts(of)
    if not 1 <= n <= min(counts["train"]):
        raise HarnessError(f"per_class: {of.name} has {min(counts['train'])} training examples in a class, not {n}")
    class_sizes = {**counts, "train": (n,) * of.n_classes}
    return Task(
        name=f"per_class(of={of.name}, n={n})",
        n_classes=of.n_classes,
        class_names=of.class_names,
        input_shape=of.input_shape,
        sizes={name: sum(sizes) for name, sizes in class_sizes.items()},
        class_sizes=class_sizes,
        data={"of": dict(of.identity()), "per_class": n, "seed": seed},
        load=functools.partial(_load_per_class, of, n, seed),
        attributes={**of.attributes, "of": of.name, "per_class": n},
        metric=of.metric,
        higher_is_better=of.higher_is_better,
        code=(*of.code, *_HERE),
    )


def merge(tasks: TaskSet) -> Task:
    """Join a set of tasks into one whose classes are the union of theirs by name: all examples of all tasks.

    A set of one is that task itself. Raises HarnessError when the inputs have different shapes.
    """
    first = tasks.tasks[0]
    if len(tasks.tasks) == 1:
        return first
    for other in tasks.tasks[1:]:
        if other.input_shape != first.input_shape:
            raise HarnessError(
                f"{first.name} with inputs {first.input_shape} and {other.name} with {other.input_shape} "
                "cannot be joined"
            )
    names = tuple(dict.fromkeys(name for member in tasks.tasks for name in member.class_names))
    splits = [split for split in first.sizes if all(split in member.sizes for member in tasks.tasks)]
    return Task(
        name=tasks.name,
        n_classes=len(names),
        class_names=names,
        input_shape=first.input_shape,
        sizes={split: sum(member.sizes[split] for member in tasks.tasks) for split in splits},
        data={"joined": [dict(member.identity()) for member in tasks.tasks]},
        load=functools.partial(_load_merged, tasks, names),
        metric=first.metric,
        higher_is_better=first.higher_is_better,
        code=(*tasks.modules(), *_HERE),
    )


def _restricted(of: Task, labels: Sequence[int]) -> Task:
    counts = _counts(of)
    class_sizes = {name: tuple(sizes[label] for label in labels) for name, sizes in counts.items()}
    return Task(
        name=f"subset(of={of.name}, classes={list(labels)})",
        n_classes=len(labels),
        class_names=tuple(of.class_names[label] for label in labels),
        input_shape=of.input_shape,
        sizes={name: sum(sizes) for name, sizes in class_sizes.items()},
        class_sizes=class_sizes,
        data={"of": dict(of.identity()), "labels": list(labels)},
        load=functools.partial(_load_restricted, of, tuple(labels)),
        metric=of.metric,
        higher_is_better=of.higher_is_better,
        code=(*of.code, *_HERE),
    )


def _counts(of: Task) -> dict[str, tuple[int, ...]]:
    missing = [split for split in of.sizes if split not in of.class_sizes]
    if missing:
        raise HarnessError(f"task {of.name!r} does not say how many examples each class has in split {missing[0]!r}")
    return dict(of.class_sizes)


def _label(of: Task, chosen: int | str) -> int:
    if isinstance(chosen, str):
        if chosen not in of.class_names:
            raise HarnessError(f"task {of.name!r} has no class {chosen!r}{suggest(chosen, of.class_names)}")
        return of.class_names.index(chosen)
    if not 0 <= chosen < of.n_classes:
        raise HarnessError(f"task {of.name!r} has classes 0 to {of.n_classes - 1}, not {chosen}")
    return chosen


def _load_restricted(of: Task, labels: tuple[int, ...], split: str) -> Split:
    import torch

    whole = of.split(split)
    wanted = torch.isin(whole.labels, torch.tensor(labels))
    return Split(whole.inputs[wanted], torch.searchsorted(torch.tensor(labels), whole.labels[wanted]))


def _load_per_class(of: Task, n: int, seed: int, split: str) -> Split:
    import torch

    whole = of.split(split)
    if split != "train":
        return whole
    generator = torch.Generator().manual_seed(derive_seed(seed, "few_shot", of.name))
    chosen = few_shot(whole.labels, n, generator)
    return Split(whole.inputs[chosen], whole.labels[chosen])


def _load_merged(tasks: TaskSet, names: tuple[str, ...], split: str) -> Split:
    import torch

    parts = [(member, member.split(split)) for member in tasks.tasks]
    renumbered = [
        torch.tensor([names.index(name) for name in member.class_names])[part.labels] for member, part in parts
    ]
    return Split(torch.cat([part.inputs for _, part in parts]), torch.cat(renumbered))
