"""Halves, subsets, fewer examples and joined tasks hold exactly the examples that they should."""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from harness.errors import HarnessError
from harness.registry import TASKS
from harness.tasks.base import Split, Task, TaskSet
from harness.tasks.derived import PARTINGS, half, merge, named_half, per_class, subset
from harness.tasks.inputs import Pictures
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
        "parting": "random",
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
    with pytest.raises(HarnessError, match="does not say how many examples each class has"):
        half(dataclasses.replace(upright(), class_sizes={}), 0, "a")


# --- what else a task is ----------------------------------------------------------------------------------------------


def several(name: str = "several", names: tuple[str, ...] = ("a", "b", "c"), metric: str = "map_11") -> Task:
    """A task of four examples with several classes each; the labels of an example are the bits of its number."""

    def load(split: str) -> Split:
        numbers = torch.arange(4)
        return Split(numbers.float().unsqueeze(1), torch.stack([numbers >> bit & 1 for bit in range(3)], 1))

    sizes = {"train": 4, "test": 4}
    return Task(name, 3, names, (1,), sizes, {"several": name}, load, metric=metric, multi_label=True)


def numbers() -> Task:
    def load(split: str) -> Split:
        return Split(torch.zeros(4, 1), torch.zeros(4, 2))

    return Task("numbers", 2, ("x", "y"), (1,), {"train": 4}, {}, load, metric="relative_l2", regression=True)


@pytest.mark.parametrize(
    "make", [lambda of: half(of, 0, "a"), lambda of: subset(of, (0,)), lambda of: per_class(of, 1)], ids=repr
)
def test_what_does_not_fall_into_classes_is_not_cut(make: Callable[[Task], Task]) -> None:
    with pytest.raises(HarnessError, match="several has several classes an example"):
        make(several())
    with pytest.raises(HarnessError, match="numbers has numbers instead of classes"):
        make(numbers())


def test_tasks_of_several_classes_are_joined_only_by_equal_classes() -> None:
    joined = merge(TaskSet((several("one"), several("two", ("c", "a", "b")))))
    assert joined.multi_label and joined.metric == "map_11" and joined.sizes["train"] == 8
    labels = joined.split("train").labels
    assert labels[:4].tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]]
    assert labels[4:].tolist() == [[0, 0, 0], [0, 0, 1], [1, 0, 0], [1, 0, 1]], "its c, a, b as a, b, c"
    for other in (several("two", ("a", "b", "d")), several("two", metric="auroc"), cloud(width=1)):
        with pytest.raises(HarnessError, match=r"one and .* cannot be joined"):
            merge(TaskSet((several("one"), other)))
    with pytest.raises(HarnessError, match="cannot be joined"):
        merge(TaskSet((numbers(), dataclasses.replace(numbers(), name="more"))))


def test_derived_tasks_keep_metric_and_attributes() -> None:
    whole = dataclasses.replace(cloud(), metric="mean_per_class", attributes={"family": "clouds", "domain": "d"})
    for made in (half(whole, 0, "a"), subset(whole, (0, 1)), per_class(whole, 2)):
        assert made.metric == "mean_per_class" and made.higher_is_better
        assert {"family": "clouds", "domain": "d", "of": "cloud"}.items() <= made.attributes.items()


def test_joined_tasks_keep_what_they_share() -> None:
    one = dataclasses.replace(cloud("one"), attributes={"family": "clouds", "domain": "d"}, metric="mean_per_class")
    two = dataclasses.replace(cloud("two"), attributes={"family": "clouds", "domain": "e"}, metric="mean_per_class")
    joined = merge(TaskSet((one, two)))
    assert joined.attributes == {"family": "clouds"} and joined.metric == "mean_per_class"
    assert joined.class_sizes["train"] == (8,) * 6
    assert merge(TaskSet((one, dataclasses.replace(two, metric="auroc")))).metric == "accuracy"
    silent = dataclasses.replace(two, class_sizes={})
    assert merge(TaskSet((one, silent))).class_sizes == {}


def test_class_sizes_of_a_join_are_counts_of_its_labels() -> None:
    joined = merge(TaskSet((subset(upright(), (1, 3)), subset(upright(), (3, 5)))))
    for split in joined.sizes:
        assert torch.bincount(joined.split(split).labels).tolist() == list(joined.class_sizes[split])


def test_pictures_stay_unread_through_derived_tasks(tmp_path: Path) -> None:
    np.save(tmp_path / "p.npy", np.arange(12, dtype=np.uint8).reshape(12, 1, 1, 1))

    def load(split: str) -> Split:
        return Split(Pictures(tmp_path / "p.npy", range(12), 1), torch.arange(12) % 3)

    sizes, counts = {"train": 12, "test": 12}, {"train": (4,) * 3, "test": (4,) * 3}
    whole = Task("drawn", 3, ("a", "b", "c"), (3, 1, 1), sizes, {}, load, counts)
    some = subset(whole, (0, 2)).split("train")
    assert isinstance(some.inputs, Pictures)
    assert (some.inputs[:][:, 0, 0, 0] * 255).round().int().tolist() == [0, 2, 3, 5, 6, 8, 9, 11]
    assert isinstance(per_class(whole, 2).split("train").inputs, Pictures)
    joined = merge(TaskSet((whole, dataclasses.replace(whole, name="again")))).split("test")
    assert not isinstance(joined.inputs, torch.Tensor) and len(joined) == 24
    assert (joined.inputs[[13, 2]][:, 0, 0, 0] * 255).round().int().tolist() == [1, 2]


def test_a_named_half_and_the_rest_share_the_classes_between_them() -> None:
    """Digits with a loop in them against the others; labels count from 0 on either side."""
    looped, plain = (named_half(upright(), "loops", side, ("0", 6, 8, 9)) for side in ("a", "b"))
    assert looped.class_names == ("0", "6", "8", "9")
    assert plain.class_names == ("1", "2", "3", "4", "5", "7")
    assert looped.attributes["split"] == plain.attributes["split"] == "loops"
    assert {looped.attributes["side"], plain.attributes["side"]} == {"a", "b"}
    assert looped.attributes["parting"] == "natural" and looped.attributes["of"] == "digits_upright"
    whole, part = upright().split("test"), looped.split("test")
    assert len(part) == int(torch.isin(whole.labels, torch.tensor([0, 6, 8, 9])).sum())
    assert sorted(set(part.labels.tolist())) == [0, 1, 2, 3]


def test_partings_that_are_known_by_name() -> None:
    """Fashion-MNIST's clothes are 5 of 10; ImageNet's natural things 449 of 1,000 (Yosinski et al. 2014)."""
    fashion = TASKS.get("fashion_mnist")(size=28)
    made = TASKS.get("named_half")(of=fashion, split="clothes", side="b")
    assert made.class_names == ("trousers", "sandal", "sneaker", "bag", "ankle boot")
    assert made.name == "named_half(of=fashion_mnist(size=28), split=clothes, side=b)"
    natural = PARTINGS["natural"]
    assert len(set(natural)) == len(natural) == 449 and 0 in natural and 999 not in natural
    assert 971 not in natural, "bubble"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            {"split": "cloths"},
            r"needs the classes of its side a \(did you mean 'clothes'\?\); known are clothes, natural",
        ),
        ({"split": "all", "classes": tuple(range(10))}, "side b of 'all' would have no class"),
        ({"split": "one", "classes": (10,)}, "has classes 0 to 9, not 10"),
    ],
)
def test_a_parting_that_cannot_be_is_one_sentence(arguments: dict, sentence: str) -> None:
    with pytest.raises(HarnessError, match=sentence):
        named_half(of=upright(), side="a", **arguments)
