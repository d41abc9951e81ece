"""Which examples a training sees, and in which order."""

from __future__ import annotations

import torch

from harness.training.data import Order, count, load_split, sample
from tests.training.places import Place
from tests.training.toys import cloud


def test_a_split_is_loaded_once() -> None:
    assert load_split(cloud("once"), "val", Place()) is load_split(cloud("once"), "val", Place())
    assert load_split(cloud("other"), "val", Place()) is not load_split(cloud("once"), "val", Place())


def test_a_sample_depends_on_seed_and_task_only() -> None:
    first = sample(cloud(), ("train",), 4, 7, Place())
    again = sample(cloud(), ("train",), 4, 7, Place())
    assert torch.equal(first.inputs, again.inputs)
    assert not torch.equal(first.inputs, sample(cloud(), ("train",), 4, 8, Place()).inputs)
    assert torch.bincount(first.labels).tolist() == [4, 4, 4]


def test_several_splits_give_so_many_each() -> None:
    both = sample(cloud(), ("train", "val"), 2, 0, Place())
    alone = sample(cloud(), ("train",), 2, 0, Place())
    assert torch.equal(both.inputs[: len(alone)], alone.inputs)
    assert len(both) == count(cloud(), ("train", "val"), 2) == 12
    assert len(sample(cloud(), ("train", "val"), "all", 0, Place())) == count(cloud(), ("train", "val"), "all") == 36


def test_every_pass_shows_every_example_once() -> None:
    order = Order(examples=10, batch=4, seed=0, task="cloud")
    shown = [place for step in range(15) for place in order.at(step)]
    passes = [shown[start : start + 10] for start in range(0, 60, 10)]
    assert all(sorted(one) == list(range(10)) for one in passes)
    assert len({tuple(one) for one in passes}) == 6, "each in another order"


def test_any_step_can_be_found_without_the_ones_before() -> None:
    walked = Order(examples=10, batch=4, seed=0, task="cloud")
    steps = [walked.at(step) for step in range(40)]
    assert Order(examples=10, batch=4, seed=0, task="cloud").at(37) == steps[37]
    assert walked.at(3) == steps[3], "also backwards"
    assert Order(examples=10, batch=4, seed=1, task="cloud").at(37) != steps[37]
    assert Order(examples=10, batch=4, seed=0, task="other").at(37) != steps[37]


def test_a_batch_of_everything_is_in_the_datas_own_order() -> None:
    assert Order(examples=10, batch=10, seed=0, task="cloud").whole
    assert not Order(examples=10, batch=9, seed=0, task="cloud").whole
