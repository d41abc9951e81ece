"""Which examples a training sees, and in which order."""

from __future__ import annotations

import functools
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import HarnessError
from harness.tasks.base import Split, Task
from harness.tasks.inputs import Pictures
from harness.tasks.joined import Joined
from harness.training import data
from harness.training.data import Order, chosen, count, in_memory, load_split, sample, sample_flags, streams
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


# --- classes with fewer examples than asked for -----------------------------------------------------------------------


def load_uneven(sizes: dict[str, tuple[int, ...]], split: str) -> Split:
    labels = torch.repeat_interleave(torch.arange(3), torch.tensor(sizes[split]))
    return Split(torch.arange(float(len(labels))).unsqueeze(1), labels)


def uneven(train: tuple[int, ...] = (6, 2, 4), val: tuple[int, ...] = (1, 3, 5), told: bool = True) -> Task:
    """A task whose examples are numbered; `told`: whether it says how many there are of each class."""
    sizes = {"train": train, "val": val}
    return Task(
        "uneven", 3, ("a", "b", "c"), (1,), {split: sum(counts) for split, counts in sizes.items()}, {"uneven": True},
        functools.partial(load_uneven, sizes), sizes if told else {},
    )  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(
    shots=st.one_of(st.integers(1, 8), st.just("all")),
    splits=st.sampled_from([("train",), ("val", "train")]),
    seed=st.integers(0, 100),
)
def test_small_classes_give_all_and_the_call_is_flagged(shots: Any, splits: tuple[str, ...], seed: int) -> None:
    place = Place()
    drawn = sample(uneven(), splits, shots, seed, place)
    sizes = [uneven().class_sizes[split] for split in splits]
    wanted = [sum(size[label] if shots == "all" else min(size[label], shots) for size in sizes) for label in range(3)]
    assert [Counter(drawn.labels.tolist())[label] for label in range(3)] == wanted
    assert len(drawn) == count(uneven(), splits, shots) == sum(wanted)
    fewer = shots != "all" and any(size < shots for counts in sizes for size in counts)
    assert ("fewer_than_shots" in place.flags) == fewer
    assert sample_flags(uneven(), splits, shots) == (("fewer_than_shots",) if fewer else ())


def test_a_task_that_does_not_tell_its_class_sizes_is_refused_as_before() -> None:
    with pytest.raises(HarnessError, match="3 shots asked for, but class 1 has 2 examples"):
        sample(uneven(told=False), ("train",), 3, 0, Place())
    assert count(uneven(told=False), ("train",), 3) == 9


def test_all_that_learn_from_a_sample_take_the_same() -> None:
    task = uneven()
    labels = task.split("train").labels
    positions = chosen(task, "train", labels, 5, 3, Place())
    assert sample(task, ("train",), 5, 3, Place()).inputs.flatten().tolist() == positions.tolist()
    larger = chosen(task, "train", labels, 6, 3, Place())
    assert torch.equal(larger[: len(positions)], positions)


# --- what is too large for memory -------------------------------------------------------------------------------------


def load_drawn(folder: Path, size: int, split: str) -> Split:
    whole = np.load(folder / f"{split}.npy", mmap_mode="r")
    return Split(Pictures(folder / f"{split}.npy", range(len(whole)), size), torch.arange(len(whole)) % 2)


def drawn_task(folder: Path, count: int = 12, size: int = 4) -> Task:
    for number, split in enumerate(("train", "val")):
        values = np.random.default_rng(number).integers(0, 255, (count, 3, size, size), dtype=np.uint8)
        np.save(folder / f"{split}.npy", values)
    load = functools.partial(load_drawn, folder, size)
    half = (count // 2, count // 2)
    sizes = {"train": count, "val": count}
    return Task("drawn", 2, ("a", "b"), (3, size, size), sizes, {"drawn": True}, load, {"train": half, "val": half})


@pytest.mark.parametrize("shots", ["all", 3])
def test_many_pictures_stay_on_disk_and_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shots: Any
) -> None:
    task = drawn_task(tmp_path)
    splits = ("train", "val")
    here = sample(task, splits, shots, 0, Place())
    assert isinstance(here.inputs, torch.Tensor)
    monkeypatch.setattr(data, "MOST_IN_MEMORY", 4 * 3 * 16 * 5)
    there = sample(task, splits, shots, 0, Place())
    assert isinstance(there.inputs, Joined) and streams(there.inputs)
    assert torch.equal(there.inputs[:], here.inputs) and torch.equal(there.labels, here.labels)
    few = Split(there.inputs.take([3, 1]), there.labels[[3, 1]])
    assert isinstance(in_memory(few).inputs, torch.Tensor), "few are read at once"
    assert in_memory(there).inputs is there.inputs
