"""Tasks made of other tasks: half of the classes, chosen classes, fewer training examples, several tasks joined.

A derived task keeps each example in the split in which it was, so that what held for the originals (no test example
in any training split) still holds.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal

from harness.errors import HarnessError, suggest
from harness.graph import derive_seed
from harness.tasks.base import Split, Task, TaskSet, choose, one_class_each, task
from harness.tasks.joined import join
from harness.tasks.sampling import few_shot

if TYPE_CHECKING:
    from torch import Tensor

PARTINGS: Final[Mapping[str, tuple[int | str, ...]]] = {
    "clothes": ("T-shirt", "pullover", "dress", "coat", "shirt"),
    # Of the 1,000 classes of ILSVRC 2012 in the order of their synsets, the 449 that Yosinski et al. (2014) counted as
    # natural.
    "natural": (*range(398), *range(936, 959), 970, *range(972, 999)),
}
"""Side a of divisions by meaning, by name."""

_HERE: Final = (__name__, "harness.tasks.sampling", "harness.tasks.joined")


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
    made = _restricted(of, sorted(chosen), "half")
    return replace(made, attributes={**_side(of, split, side), "parting": "random"})


@task("named_half")
def named_half(of: Task, split: str, side: Literal["a", "b"], classes: tuple[int | str, ...] = ()) -> Task:
    """One side of a division of the classes of a task that follows what they mean, not chance.

    split: `clothes` (Fashion-MNIST: what is worn on the trunk, against trousers, shoes and bags) or `natural`
    (ImageNet: animals, plants, landscapes and the like, against things made by people), or any other with `classes`.
    classes: those of side a, by name or by label; side b has the rest.
    """
    first = classes or PARTINGS.get(split)
    if not first:
        known = f"{suggest(split, PARTINGS)}; known are {', '.join(PARTINGS)}"
        raise HarnessError(f"named_half: {split!r} needs the classes of its side a{known}")
    labels = {_label(of, chosen) for chosen in first}
    if len(labels) == of.n_classes:
        raise HarnessError(f"named_half: side b of {split!r} would have no class of {of.name}")
    chosen = [label for label in range(of.n_classes) if (label in labels) == (side == "a")]
    made = _restricted(of, chosen, "named_half")
    return replace(made, attributes={**_side(of, split, side), "parting": "natural"})


def _side(of: Task, split: int | str, side: str) -> dict[str, str | int]:
    return {**of.attributes, "of": of.name, "split": split, "side": side}


@task("subset")
def subset(of: Task, classes: tuple[int | str, ...]) -> Task:
    """Some classes of a task, by name or by label, renumbered in the order of the original."""
    labels = sorted(_label(of, chosen) for chosen in classes)
    if len(set(labels)) != len(labels):
        raise HarnessError(f"subset of {of.name}: a class is named twice")
    return replace(_restricted(of, labels, "subset"), attributes={**of.attributes, "of": of.name})


@task("per_class")
def per_class(of: Task, n: int, seed: int = 0) -> Task:
    """A task with only `n` training examples of each class; validation and test stay whole.

    With one seed, fewer examples are among the more.
    """
    one_class_each(of, "per_class")
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

    A set of one is that task itself. The metric is theirs when it is one, else accuracy; attributes are those that all
    share. Raises HarnessError when the inputs have different shapes, for tasks of numbers, and for tasks with several
    classes an example unless all have the same classes: whether a picture of one shows a class of another is not known.
    """
    first = tasks.tasks[0]
    if len(tasks.tasks) == 1:
        return first
    for other in tasks.tasks[1:]:
        _refuse_to_join(first, other)
    names = tuple(dict.fromkeys(name for member in tasks.tasks for name in member.class_names))
    splits = [split for split in first.sizes if all(split in member.sizes for member in tasks.tasks)]
    return Task(
        name=tasks.name,
        n_classes=len(names),
        class_names=names,
        input_shape=first.input_shape,
        sizes={split: sum(member.sizes[split] for member in tasks.tasks) for split in splits},
        class_sizes=_joined_sizes(tasks, names, splits),
        data={"joined": [dict(member.identity()) for member in tasks.tasks]},
        load=functools.partial(_load_merged, tasks, names),
        attributes={
            name: value
            for name, value in first.attributes.items()
            if all(member.attributes.get(name) == value for member in tasks.tasks)
        },
        metric=first.metric if len({member.metric for member in tasks.tasks}) == 1 else "accuracy",
        higher_is_better=first.higher_is_better,
        multi_label=first.multi_label,
        code=(*tasks.modules(), *_HERE),
    )


def _refuse_to_join(first: Task, other: Task) -> None:
    pair = f"{first.name} and {other.name}"
    if other.input_shape != first.input_shape:
        raise HarnessError(
            f"{first.name} with inputs {first.input_shape} and {other.name} with {other.input_shape} cannot be joined"
        )
    if first.targets != other.targets or first.regression:
        raise HarnessError(f"{pair} cannot be joined: one of them has numbers, or several classes an example")
    if first.multi_label and set(first.class_names) != set(other.class_names):
        raise HarnessError(f"{pair} cannot be joined: with several classes an example, the classes must be the same")
    if first.multi_label and first.metric != other.metric:
        raise HarnessError(f"{pair} cannot be joined: they are measured by {first.metric} and {other.metric}")


def _joined_sizes(tasks: TaskSet, names: Sequence[str], splits: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Return the examples of each class of joined tasks, in those splits in which all say it."""
    found = {}
    for split in splits:
        if all(split in member.class_sizes for member in tasks.tasks):
            sizes = dict.fromkeys(names, 0)
            for member in tasks.tasks:
                for name, size in zip(member.class_names, member.class_sizes[split], strict=True):
                    sizes[name] += size
            found[split] = tuple(sizes.values())
    return found


def _restricted(of: Task, labels: Sequence[int], what: str) -> Task:
    one_class_each(of, what)
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
        attributes=of.attributes,
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
    return Split(choose(whole.inputs, wanted), torch.searchsorted(torch.tensor(labels), whole.labels[wanted]))


def _load_per_class(of: Task, n: int, seed: int, split: str) -> Split:
    import torch

    whole = of.split(split)
    if split != "train":
        return whole
    generator = torch.Generator().manual_seed(derive_seed(seed, "few_shot", of.name))
    chosen = few_shot(whole.labels, n, generator)
    return Split(choose(whole.inputs, chosen), whole.labels[chosen])


def _load_merged(tasks: TaskSet, names: tuple[str, ...], split: str) -> Split:
    import torch

    parts = [(member, member.split(split)) for member in tasks.tasks]
    labels = [_renumbered(member, part.labels, names) for member, part in parts]
    return Split(join([part.inputs for _, part in parts]), torch.cat(labels))


def _renumbered(member: Task, labels: Tensor, names: Sequence[str]) -> Tensor:
    """Return a task's labels [n], or [n, classes] of zeros and ones, by the classes of what it was joined into."""
    import torch

    places = torch.tensor([names.index(name) for name in member.class_names])
    return places[labels] if labels.ndim == 1 else labels[:, places.argsort()]
