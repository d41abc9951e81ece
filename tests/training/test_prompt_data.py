"""Few examples of several tasks, and those kept for choosing, against counts written down by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from harness.errors import HarnessError
from harness.graph import Features
from harness.tasks.base import Split, Task
from harness.training.data import sample
from harness.training.prompt_data import carved, few_of_several, gather, starts_of
from tests.training.places import Place
from tests.training.prompt_toys import squares


@pytest.mark.parametrize(("shots", "kept", "learned"), [(1, 1, 1), (2, 1, 1), (5, 1, 4), (20, 4, 16)])
def test_a_fifth_of_each_class_rounded_up_is_kept(shots: int, kept: int, learned: int) -> None:
    """ELEVATER: five shots are four and one, twenty are sixteen and four, one serves both."""
    labels = torch.arange(3).repeat(shots)
    chosen, rest = carved(labels, 0.2)
    assert labels[chosen].bincount().tolist() == [kept] * 3
    assert labels[rest].bincount().tolist() == [learned] * 3
    both = set(chosen.tolist()) & set(rest.tolist())
    assert (len(both) == 3) if shots == 1 else not both


def test_the_first_examples_of_a_class_are_kept() -> None:
    kept, learned = carved(torch.tensor([1, 0, 1, 0, 1, 0, 1, 1, 0, 0]), 0.2)
    assert kept.tolist() == [0, 1] and learned.tolist() == [2, 3, 4, 5, 6, 7, 8, 9]


def test_examples_are_those_of_every_other_training_of_the_same_seed() -> None:
    task = squares()
    data = gather([task], (), ("train",), 5, 0.2, None, 3, Place())
    whole = sample(task, ("train",), 5, 3, Place())
    both = torch.cat([data.inputs, data.watched[0].inputs]).flatten(1)
    assert sorted(both.sum(1).tolist()) == pytest.approx(sorted(whole.inputs[:].flatten(1).sum(1).tolist()))
    other = gather([task], (), ("train",), 5, 0.2, None, 4, Place())
    assert not torch.equal(other.inputs, data.inputs)


def test_classes_of_several_tasks_are_numbered_through() -> None:
    tasks = [squares("one", 3), squares("two", 4), squares("six", 2)]
    assert starts_of(tasks) == [0, 3, 7, 9]
    data = gather(tasks, (), ("train",), 2, 0.2, None, 0, Place())
    assert len(data) == 9
    for number, (task, start) in enumerate(zip(tasks, starts_of(tasks), strict=False)):
        own = data.wanted[data.task_of == number]
        assert own.sum(1).tolist() == [1.0] * len(own)
        assert sorted(own.argmax(1).tolist()) == list(range(start, start + task.n_classes))
        assert sorted(data.watched[number].labels.tolist()) == list(range(task.n_classes))


def test_embeddings_stand_for_pictures_where_they_are_given() -> None:
    task = squares()
    labels = task.split("train").labels
    numbered = Features(
        {"features": torch.arange(len(labels)).float()[:, None], "labels": labels},
        {"task": task.name, "split": "train", "flags": ["off_size"]},
    )
    data = gather([task], (numbered,), ("train",), 5, 0.2, None, 3, Place())
    plain = gather([task], (), ("train",), 5, 0.2, None, 3, Place())
    torch.testing.assert_close(task.split("train").inputs[data.inputs[:, 0].long()], plain.inputs)
    assert data.flags == ("off_size",)


def test_with_nothing_kept_another_split_chooses_or_none() -> None:
    task = squares()
    chosen = gather([task], (), ("train",), 5, 0.0, "val", 0, Place())
    assert len(chosen) == 15 and torch.equal(chosen.watched[0].labels, task.split("val").labels)
    assert gather([task], (), ("train",), 5, 0.0, None, 0, Place()).watched == ()


def test_a_class_with_few_examples_gives_all_and_says_so() -> None:
    place = Place()
    data = gather([squares()], (), ("train",), 20, 0.2, None, 0, place)
    assert len(data) + len(data.watched[0].labels) == 24
    assert "fewer_than_shots" in data.flags


def several(examples: int = 12) -> Task:
    """Pictures of one or two of three classes."""
    return Task(
        "several", 3, ("a", "b", "c"), (3, 8, 8), {"train": examples}, {"several": True}, load_several,
        multi_label=True, metric="map_11",
    )  # fmt: skip


def load_several(_split: str) -> Split:
    memberships = torch.tensor([[1, 0, 0], [0, 1, 0], [1, 1, 0], [1, 0, 1]] * 3)
    return Split(torch.zeros(12, 3, 8, 8), memberships)


@pytest.mark.parametrize("shots", [1, 2, 3])
def test_pictures_of_several_classes_are_taken_until_each_class_has_enough(shots: int) -> None:
    memberships = several().split("train").labels
    taken = few_of_several(memberships, shots, torch.Generator().manual_seed(0))
    have = memberships[taken].sum(0)
    assert bool((have >= torch.tensor([shots, shots, min(shots, 3)])).all())
    for number in range(len(taken)):  # none is taken that no class needed
        before = memberships[taken[:number]].sum(0)
        assert bool((before[memberships[taken[number]] > 0] < shots).any())


def test_pictures_of_several_classes_ask_for_each_alike() -> None:
    data = gather([squares("one", 3), several()], (), ("train",), 2, 0.0, None, 0, Place())
    own = data.wanted[data.task_of == 1]
    assert own.sum(1).tolist() == pytest.approx([1.0] * len(own))
    assert {tuple(row) for row in own[:, 3:].tolist()} <= {(1, 0, 0), (0, 1, 0), (0.5, 0.5, 0), (0.5, 0, 0.5)}
    assert not own[:, :3].any()


def test_the_first_of_several_are_kept() -> None:
    kept, learned = carved(torch.ones(7, 3, dtype=torch.int64), 0.2)
    assert kept.tolist() == [0, 1] and learned.tolist() == [2, 3, 4, 5, 6]


def load_numbers(_split: str) -> Split:
    return Split(torch.zeros(4, 3, 8, 8), torch.ones(4, 2))


def test_numbers_are_refused() -> None:
    task = replace(
        several(4), metric="relative_l2", multi_label=False, regression=True, load=load_numbers, higher_is_better=False
    )
    with pytest.raises(HarnessError, match="asks for numbers"):
        gather([task], (), ("train",), "all", 0.2, None, 0, Place())
