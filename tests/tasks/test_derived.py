"""Halves, subsets, fewer examples and joined tasks hold exactly the examples that they should."""

from __future__ import annotations

import pickle

import pytest
import torch
from torch import Tensor

from harness.errors import HarnessError
from harness.registry import TASKS
from harness.tasks.base import Task, TaskSet
from harness.tasks.derived import half, merge, per_class, subset
from tests.training.toys import cloud


def upright() -> Task:
    made: Task = TASKS.get("digits_upright")()
    return made


def rows(inputs: Tensor) -> set[bytes]:
    return {row.numpy().tobytes() for row in inputs}


@pytest.mark.parametrize("split", [0, 1, 2])
def test_the_two_halves_share_the_classes_and_the_examples_between_them(split: int) -> None:
    first, second = half(upright(), split, "a"), half(upright(), split, "b")
    assert sorted(first.class_names + second.class_names) == sorted(upright().class_names)
    assert first.n_classes == second.n_classes == 5
    for name in ("train", "val", "test"):
        whole, one, other = upright().split(name), first.split(name), second.split(name)
        assert len(one) + len(other) == len(whole)
        assert rows(one.inputs) | rows(other.inputs) == rows(whole.inputs)
        assert set(one.labels.tolist()) == set(range(5)), "labels are renumbered"


def test_labels_of_a_half_stand_for_the_class_names() -> None:
    part, whole = half(upright(), 0, "a"), upright().split("val")
    loaded = part.split("val")
    for image, label in zip(loaded.inputs[:20], loaded.labels[:20], strict=True):
        position = (whole.inputs == image).flatten(1).all(1).nonzero().flatten()[0]
        assert str(int(whole.labels[position])) == part.class_names[int(label)]


def test_halves_differ_between_divisions_and_agree_between_domains() -> None:
    divisions = {half(upright(), split, "a").class_names for split in range(8)}
    assert len(divisions) > 4
    other = TASKS.get("digits_invert")()
    assert half(upright(), 3, "b").class_names == half(other, 3, "b").class_names


def test_an_odd_number_of_classes_leaves_one_more_on_side_a() -> None:
    assert half(cloud(classes=3), 0, "a").n_classes == 2
    assert half(cloud(classes=3), 0, "b").n_classes == 1


def test_a_half_can_be_matched_by_what_it_is() -> None:
    made = half(upright(), 2, "b")
    assert made.name == "half(of=digits_upright, split=2, side=b)"
    assert made.attributes == {
        "family": "digits", "domain": "upright", "of": "digits_upright", "split": 2, "side": "b",
    }  # fmt: skip
    assert set(made.modules()) >= {"harness.tasks.digits", "harness.tasks.derived"}


def test_a_subset_is_named_by_names_or_labels() -> None:
    by_label, by_name = subset(upright(), (7, 2)), subset(upright(), ("7", "2"))
    assert by_label.class_names == by_name.class_names == ("2", "7")
    assert by_label.name == "subset(of=digits_upright, classes=[7, 2])"
    loaded, whole = by_label.split("test"), upright().split("test")
    expected = whole.inputs[(whole.labels == 2) | (whole.labels == 7)]
    assert torch.equal(loaded.inputs, expected)
    assert by_label.sizes["test"] == len(loaded) == 108


@pytest.mark.parametrize(
    ("classes", "sentence"),
    [
        (("ten",), "has no class 'ten'"),
        ((10,), "has classes 0 to 9, not 10"),
        ((1, "1"), "a class is named twice"),
    ],
)
def test_a_wrong_class_is_one_sentence(classes: tuple[int | str, ...], sentence: str) -> None:
    with pytest.raises(HarnessError, match=sentence):
        subset(upright(), classes)


def test_a_reduced_task_has_fewer_training_examples_only() -> None:
    small, smaller = per_class(upright(), n=20), per_class(upright(), n=5)
    assert small.sizes == {"train": 200, "val": 360, "test": 540}
    assert torch.bincount(small.split("train").labels).tolist() == [20] * 10
    assert torch.equal(small.split("test").inputs, upright().split("test").inputs)
    assert (
        rows(smaller.split("train").inputs) < rows(small.split("train").inputs) < rows(upright().split("train").inputs)
    )
    assert rows(per_class(upright(), n=5, seed=1).split("train").inputs) != rows(smaller.split("train").inputs)


def test_more_than_there_are_is_refused_before_loading() -> None:
    with pytest.raises(HarnessError, match="has 84 training examples in a class, not 85"):
        per_class(upright(), n=85)


def test_derived_tasks_nest_and_travel() -> None:
    nested = per_class(half(upright(), 0, "a"), n=3)
    assert nested.name == "per_class(of=half(of=digits_upright, split=0, side=a), n=3)"
    sent = pickle.loads(pickle.dumps(nested))  # noqa: S301  (its own bytes)
    assert torch.equal(sent.split("train").inputs, nested.split("train").inputs)
    assert len(nested.split("train")) == 15


def test_identities_of_derived_tasks_differ() -> None:
    made = [half(upright(), 0, "a"), half(upright(), 0, "b"), half(upright(), 1, "a"), per_class(upright(), n=4),
            per_class(upright(), n=4, seed=1), subset(upright(), (1, 3, 5, 7, 8))]  # fmt: skip
    assert len({str(task.identity()) for task in made}) == len(made)


def test_tasks_with_equal_classes_are_joined_class_by_class() -> None:
    names = ("digits_upright", "digits_invert")
    joined = merge(TaskSet(tuple(TASKS.get(name)() for name in names)))
    assert joined.n_classes == 10 and joined.name == "digits_upright + digits_invert"
    parts = [TASKS.get(name)().split("val") for name in names]
    assert torch.equal(joined.split("val").inputs, torch.cat([part.inputs for part in parts]))
    assert torch.equal(joined.split("val").labels, torch.cat([part.labels for part in parts]))


def test_tasks_with_other_classes_are_joined_side_by_side() -> None:
    joined = merge(TaskSet((subset(upright(), (1, 3)), subset(upright(), (3, 5)))))
    assert joined.class_names == ("1", "3", "5")
    assert torch.bincount(joined.split("test").labels).tolist() == [54, 108, 54]


def test_a_set_of_one_is_that_task() -> None:
    assert merge(TaskSet((upright(),))) == upright()


def test_tasks_of_different_shapes_cannot_be_joined() -> None:
    with pytest.raises(HarnessError, match="cannot be joined"):
        merge(TaskSet((cloud("a", width=5), cloud("b", width=6))))


def test_a_task_that_hides_its_class_sizes_cannot_be_cut() -> None:
    import dataclasses

    with pytest.raises(HarnessError, match="does not say how many examples each class has"):
        half(dataclasses.replace(upright(), class_sizes={}), 0, "a")
