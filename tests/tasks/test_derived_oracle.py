"""Derived tasks, nested at random, against dictionaries of examples; and what never crosses a split."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import HarnessError
from harness.registry import TASKS
from harness.tasks.base import Split, Task, TaskSet
from harness.tasks.derived import half, merge, per_class, subset
from tests.training.toys import cloud

SPLITS = ("train", "val", "test")
Table = Mapping[str, list[tuple[int, str]]]
"""For each split its examples in order: (number of the example, name of its class)."""


def load_numbered(name: str, classes: int, split: str) -> Split:
    labels = torch.arange(6 * classes).mul(7).remainder(classes)
    offset = 1000 * SPLITS.index(split) + 10_000 * sum(map(ord, name))
    return Split((torch.arange(len(labels)) + offset).float().unsqueeze(1), labels)


def numbered(name: str = "n", classes: int = 5, names: tuple[str, ...] | None = None) -> Task:
    """A task whose examples are numbers that occur nowhere else; six of each class in each split."""
    sizes = dict.fromkeys(SPLITS, 6 * classes)
    return Task(
        name=name,
        n_classes=classes,
        class_names=names or tuple(f"c{label}" for label in range(classes)),
        input_shape=(1,),
        sizes=sizes,
        class_sizes=dict.fromkeys(SPLITS, (6,) * classes),
        data={"numbered": name},
        load=functools.partial(load_numbered, name, classes),
        attributes={"family": "numbers"},
    )


def table(task: Task) -> Table:
    found = {}
    for split in task.sizes:
        loaded = task.split(split)
        names = [task.class_names[label] for label in loaded.labels.tolist()]
        found[split] = list(zip(loaded.inputs.flatten().int().tolist(), names, strict=True))
    return found


def check_sizes(task: Task) -> None:
    """What a task says of itself without loading is so."""
    for split, size in task.sizes.items():
        loaded = task.split(split)
        assert len(loaded) == size
        if split in task.class_sizes:
            counts = loaded.labels.bincount(minlength=task.n_classes).tolist()
            assert counts == list(task.class_sizes[split])
        assert set(loaded.labels.tolist()) <= set(range(task.n_classes))


steps = st.lists(
    st.one_of(
        st.tuples(st.just("half"), st.integers(0, 5), st.sampled_from(["a", "b"])),
        st.tuples(st.just("subset"), st.lists(st.integers(0, 4), min_size=1, max_size=4, unique=True)),
        st.tuples(st.just("per_class"), st.integers(1, 6), st.integers(0, 3)),
    ),
    max_size=3,
)


@settings(max_examples=60, deadline=None)
@given(steps)
def test_nested_derivations_keep_examples_their_classes_and_their_splits(chain: list[Any]) -> None:
    task = numbered()
    for kind, *arguments in chain:
        before, known = table(task), task
        try:
            task = {"half": half, "subset": subset, "per_class": per_class}[kind](task, *map(as_argument, arguments))
        except HarnessError:
            too_many = kind == "per_class" and arguments[0] > min(known.class_sizes["train"])
            unknown = kind == "subset" and max(arguments[0]) >= known.n_classes
            assert too_many or unknown or (kind == "half" and known.n_classes == 1)
            continue
        after = table(task)
        check_sizes(task)
        kept = set(task.class_names)
        for split in SPLITS:
            whole = [item for item in before[split] if item[1] in kept]
            if kind == "per_class" and split == "train":
                assert set(after[split]) <= set(whole)
                for name in kept:
                    assert sum(one == name for _, one in after[split]) == arguments[0]
            else:
                assert after[split] == whole, "in their own order"
        assert len(set(itertools.chain(*after.values()))) == sum(map(len, after.values())), (
            "no example is in two splits"
        )
        assert task.attributes["of"] == known.name and task.attributes["family"] == "numbers"
        if kind == "subset":
            assert task.class_names == tuple(known.class_names[label] for label in sorted(arguments[0]))


def as_argument(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=4, unique=True), min_size=1, max_size=4))
def test_joined_tasks_hold_every_example_under_the_name_of_its_class(classes: list[list[str]]) -> None:
    """The classes of a set are the union of its tasks' classes by name, each numbered where it is first met."""
    members = tuple(numbered(f"task{i}", len(names), tuple(names)) for i, names in enumerate(classes))
    joined = merge(TaskSet(members))
    assert joined.class_names == tuple(dict.fromkeys(itertools.chain(*classes)))
    check_sizes(joined)
    for split in SPLITS:
        assert table(joined)[split] == [item for member in members for item in table(member)[split]]


def test_a_split_that_one_task_lacks_is_in_no_set() -> None:
    whole = numbered("whole")
    without = replace(
        numbered("without"), sizes={"train": 30, "test": 30}, class_sizes=dict.fromkeys(("train", "test"), (6,) * 5)
    )
    for order in ((whole, without), (without, whole)):
        joined = merge(TaskSet(order))
        assert set(joined.sizes) == {"train", "test"}
        with pytest.raises(HarnessError, match="has no split 'val'"):
            joined.split("val")


def test_a_set_is_another_task_in_another_order_and_version() -> None:
    one, other = numbered("one"), numbered("other")
    identities = {
        str(merge(TaskSet(tasks)).identity())
        for tasks in ((one, other), (other, one), (one, replace(other, version=2)), (one,), (other,))
    }
    assert len(identities) == 5


@pytest.mark.parametrize("seed", range(5))
def test_halves_of_overlapping_tasks_are_divided_by_the_names_alone(seed: int) -> None:
    """Two tasks with the same classes in another order are divided alike."""
    names = tuple("abcdef")
    one, other = numbered("one", 6, names), numbered("other", 6, names[::-1])
    for side in ("a", "b"):
        assert set(half(one, seed, side).class_names) == set(half(other, seed, side).class_names)
    assert not set(half(one, seed, "a").class_names) & set(half(other, seed, "b").class_names)


@pytest.mark.parametrize("n", [1, 2, 6])
def test_a_reduced_task_depends_on_its_seed_and_not_on_who_asks(n: int) -> None:
    again = table(per_class(numbered(), n))["train"]
    assert table(per_class(numbered(), n))["train"] == again
    if n < 6:
        assert table(per_class(numbered(), n, seed=1))["train"] != again
    assert set(table(per_class(numbered(), n))["train"]) <= set(table(per_class(numbered(), 6))["train"])


def test_no_test_image_of_a_target_is_in_the_training_split_of_any_joined_or_derived_source() -> None:
    """Eight domains show the same pictures: compare them turned upright again."""
    undo = {
        "upright": lambda images: images,
        "rotate90": lambda images: images.rot90(-1, (1, 2)),
        "flip": lambda images: images.flip(2),
        "transpose": lambda images: images.transpose(1, 2),
        "invert": lambda images: 1 - images,
    }

    def pictures(domain: str, task: Task, split: str) -> set[bytes]:
        images = task.split(split).inputs.reshape(-1, 8, 8)
        return {image.contiguous().numpy().tobytes() for image in undo[domain](images)}

    made = {domain: TASKS.get(f"digits_{domain}")() for domain in undo}
    trained: set[bytes] = set()
    for domain, task in made.items():
        for derived in (task, half(task, 1, "a"), per_class(task, 20), subset(task, (1, 2))):
            trained |= pictures(domain, derived, "train")
    # The same drawing may stand twice in the package; such twins are no leak of the split.
    upright = made["upright"]
    twins = pictures("upright", upright, "train") & pictures("upright", upright, "test")
    for domain, task in made.items():
        assert pictures(domain, task, "test") & trained <= twins
        assert len(pictures(domain, task, "train") & trained) > 500, "and turning back finds them"


def test_a_wrong_declaration_of_a_derived_task_is_noticed_when_it_is_loaded() -> None:
    lying = replace(numbered(), class_sizes=dict.fromkeys(SPLITS, (5, 7, 6, 6, 6)))
    with pytest.raises(HarnessError, match="but the task declares"):
        subset(lying, (0,)).split("train")
    with pytest.raises(HarnessError, match="has 5 training examples in a class, not 6"):
        per_class(lying, 6)


@pytest.mark.parametrize("side", ["a", "b"])
def test_one_class_has_no_halves(side: Any) -> None:
    with pytest.raises(HarnessError, match="has one class, which cannot be divided"):
        half(subset(numbered(), (0,)), 0, side)


@pytest.mark.parametrize("n", [0, -1])
def test_fewer_than_one_example_is_refused(n: int) -> None:
    with pytest.raises(HarnessError, match=f"not {n}"):
        per_class(cloud(), n)
