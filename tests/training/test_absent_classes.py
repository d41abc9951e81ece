"""Splits that lack a class or have too few of one: refused in one sentence, alone, before anything is computed."""

from __future__ import annotations

import functools
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.backbones.small import Mlp
from harness.errors import HarnessError
from harness.estimators.knn import knn_score
from harness.graph import Features, Stage
from harness.tasks.base import Split, Task
from harness.tasks.sampling import few_shot
from harness.training.data import count, sample
from harness.training.features import extract_features
from harness.training.probe import evaluate_probe, fit_probe, sample_features
from harness.training.probe_path import fit_probe_path
from harness.training.settings import Budget
from harness.training.stages import evaluate, train
from tests.training.places import Place, run_batch, run_stages, same_bits
from tests.training.toys import SIZES, cloud, load_cloud

NET = Mlp(hidden=6)


def load_lacking(absent: int, name: str, split: str) -> Split:
    """The usual points, of which those of one class are called another."""
    whole = load_cloud(name, 3, 5, split)
    return Split(whole.inputs, torch.where(whole.labels == absent, (absent + 1) % 3, whole.labels))


def lacking(absent: int = 1, name: str = "lacking") -> Task:
    """A task of three classes of which one has no example."""
    names = tuple(f"{name}{label}" for label in range(3))
    load = functools.partial(load_lacking, absent, name)
    return Task(name, 3, names, (5,), SIZES, {"lacking": absent, "name": name}, load)


@pytest.mark.parametrize("absent", [0, 1, 2])
@pytest.mark.parametrize("shots", [1, 4])
def test_a_class_without_examples_has_too_few(absent: int, shots: int) -> None:
    sentence = f"{shots} shots asked for, but class {absent} has 0 examples"
    with pytest.raises(HarnessError, match=sentence):
        sample(lacking(absent), ("train",), shots, 0, Place())
    seen = extract_features(task=lacking(absent), split="train", ctx=Place())
    with pytest.raises(HarnessError, match=sentence):
        fit_probe(task=lacking(absent), features=(seen,), shots=shots, ctx=Place())
    with pytest.raises(HarnessError, match=sentence):
        knn_score(task=lacking(absent), features=seen, k=1, shots=shots, ctx=Place())


def test_all_examples_may_be_used_whatever_the_classes() -> None:
    whole = sample(lacking(), ("train", "val"), "all", 0, Place())
    assert len(whole) == count(lacking(), ("train", "val"), "all") == 36
    net = train(task=lacking(), backbone=NET, budget=Budget(steps=40), ctx=Place())
    network = NET.build(3, (5,), torch.Generator())
    network.load_state_dict(dict(net.tensors))
    predicted = network(whole.inputs).argmax(1)
    assert 1 not in predicted.tolist(), "what was never seen is not predicted"
    seen = extract_features(task=lacking(), split="train", ctx=Place())
    probe = fit_probe(task=lacking(), features=(seen,), ctx=Place())
    assert probe.tensors["head.weight"].shape == (3, 5)
    assert float(probe.tensors["head.bias"][1]) == min(probe.tensors["head.bias"].tolist())


def test_one_that_lacks_a_class_fails_alone_in_its_batch() -> None:
    def call(task: Task) -> Stage:
        return train.bind(task=task, backbone=NET, budget=Budget(steps=6, batch_size=4), shots=2)

    stages = [call(cloud("one")), call(lacking()), call(cloud("two"))]
    assert len({stage.group() for stage in stages}) == 1, "before anything is loaded they look alike"
    first, failed, second = run_batch(stages, {})
    assert isinstance(failed, HarnessError) and "class 1 has 0 examples" in str(failed)
    for stage, together in ((stages[0], first), (stages[2], second)):
        (alone,) = run_batch([stage], {})
        assert same_bits(alone.tensors, together.tensors)


def test_a_probe_that_lacks_a_class_fails_alone_in_its_batch() -> None:
    tasks = [lacking(), cloud("one"), cloud("two")]
    seen = [extract_features.bind(task=task, split="train") for task in tasks]
    results = run_stages(seen)
    stages = [fit_probe.bind(task=task, features=(one,), shots=3) for task, one in zip(tasks, seen, strict=True)]
    failed, first, second = run_batch(stages, results)
    assert isinstance(failed, HarnessError) and "class 1 has 0 examples" in str(failed)
    for stage, together in ((stages[1], first), (stages[2], second)):
        (alone,) = run_batch([stage], results)
        assert same_bits(alone.tensors, together.tensors)


@given(
    sizes=st.lists(st.integers(0, 6), min_size=1, max_size=5),
    shots=st.integers(1, 6),
    seed=st.integers(0, 2**31),
)
def test_a_sample_is_refused_exactly_when_some_class_is_too_small(sizes: list[int], shots: int, seed: int) -> None:
    labels = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    labels = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))]
    generator = torch.Generator().manual_seed(seed)
    if min(sizes) < shots:
        with pytest.raises(HarnessError, match=f"class {next(i for i, n in enumerate(sizes) if n < shots)} has"):
            few_shot(labels, shots, generator, len(sizes))
        return
    chosen = few_shot(labels, shots, generator, len(sizes)).tolist()
    assert len(set(chosen)) == len(chosen)
    assert Counter(labels[chosen].tolist()) == dict.fromkeys(range(len(sizes)), shots)
    rounds = [labels[chosen[start : start + len(sizes)]].tolist() for start in range(0, len(chosen), len(sizes))]
    assert rounds == [list(range(len(sizes)))] * shots, "one of each class a round"


def test_the_classes_that_there_are_need_not_be_told() -> None:
    labels = torch.tensor([2, 0, 2, 0, 5, 5])
    one, other = (few_shot(labels, 1, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(one, other) and labels[one].tolist() == [0, 2, 5]


def test_examples_of_several_classes_are_not_sampled() -> None:
    with pytest.raises(HarnessError, match="here an example may have several"):
        few_shot(torch.ones(4, 3, dtype=torch.int64), 1, torch.Generator(), 3)
    assert few_shot(torch.ones(4, 3, dtype=torch.int64), "all", torch.Generator(), 3).tolist() == [0, 1, 2, 3]


# --- how many examples, how long --------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(
    shots=st.one_of(st.integers(1, 4), st.just("all")),
    splits=st.sampled_from([("train",), ("val",), ("train", "val"), ("val", "test", "train")]),
    seed=st.integers(0, 50),
)
def test_what_is_counted_is_what_is_sampled(shots: int | str, splits: tuple[str, ...], seed: int) -> None:
    drawn = sample(cloud(), splits, shots, seed, Place())  # type: ignore[arg-type]  # a drawn literal
    assert len(drawn) == count(cloud(), splits, shots) == len(drawn.inputs)  # type: ignore[arg-type]
    start = 0
    for name in splits:
        whole = cloud().split(name)
        size = len(whole) if shots == "all" else shots * 3  # type: ignore[operator]
        part = {row.numpy().tobytes() for row in drawn.inputs[start : start + size]}
        assert len(part) == size and part <= {row.numpy().tobytes() for row in whole.inputs}
        start += size


@given(epochs=st.integers(1, 9), examples=st.integers(1, 200), batch=st.integers(1, 300))
def test_passes_show_every_example_so_often_or_once_more(epochs: int, examples: int, batch: int) -> None:
    budget = Budget(steps=1, epochs=epochs, batch_size=batch)
    size, steps = budget.batch_of(examples), budget.steps_for(examples)
    assert 1 <= size <= min(batch, examples)
    assert (steps - 1) * size < epochs * examples <= steps * size


def test_features_of_another_split_are_sampled_apart() -> None:
    """The sample of one split says nothing about another's: the purpose is the same, what it serves is not."""
    labels = torch.arange(30).remainder(3)
    tensors = {"features": torch.arange(30.0).unsqueeze(1), "labels": labels}
    scores = set()
    from harness.training.probe import sample_features

    for split in ("train", "val"):
        one = Features(tensors, {"split": split})
        drawn, _ = sample_features({"task": cloud(), "features": (one,), "shots": 4, "seed": 0}, Place())
        scores.add(tuple(drawn.flatten().tolist()))
    assert len(scores) == 2


def test_a_renamed_task_has_a_sample_of_its_own() -> None:
    one, other = (sample(replace(cloud(), name=name), ("train",), 4, 0, Place()) for name in ("here", "there"))
    assert not torch.equal(one.inputs, other.inputs)


# --- fewer than asked for, where the task says so ---------------------------------------------------------------------


def few_of_one(name: str, few: int = 2) -> Task:
    """The usual points, of which `few` of class 1 are left in each split; it says how many there are."""
    whole = cloud(name)

    def load(split: str) -> Split:
        given = whole.split(split)
        ordinal = (given.labels == 1).cumsum(0)
        kept = (given.labels != 1) | (ordinal <= few)
        return Split(given.inputs[kept], given.labels[kept])

    counts = {split: (size // 3, min(few, size // 3), size // 3) for split, size in SIZES.items()}
    sizes = {split: sum(found) for split, found in counts.items()}
    return Task(name, 3, whole.class_names, (5,), sizes, {"few": few, "name": name}, load, counts)


@pytest.mark.parametrize("seed", [0, 5])
def test_every_method_learns_from_the_same_examples_and_says_so(seed: int) -> None:
    """Five shots of a class of two: trainings, probes and estimators take the same 5 + 2 + 5, and are flagged."""
    task = few_of_one("few")
    expected = sample(task, ("train",), 5, seed, Place())
    assert expected.labels.bincount().tolist() == [5, 2, 5] and len(expected) == count(task, ("train",), 5)
    seen = extract_features(task=task, split="train", ctx=Place())
    member = {"task": task, "features": (seen,), "shots": 5, "seed": seed}
    features, labels = sample_features(member, Place())
    assert torch.equal(features, expected.inputs) and torch.equal(labels, expected.labels)
    place = Place()
    net = train(task=task, backbone=NET, budget=Budget(steps=30), shots=5, seed=seed, ctx=place)
    (row,) = evaluate(task=task, weights=net, backbone=NET, ctx=Place()).rows
    assert place.flags == ["fewer_than_shots"] and row.flags == ("fewer_than_shots",)
    probe = fit_probe(task=task, features=(seen,), shots=5, seed=seed, ctx=Place())
    (row,) = evaluate_probe(task=task, probe=probe, features=(seen,), ctx=Place()).rows
    assert row.flags == ("fewer_than_shots",)
    validation = extract_features(task=task, split="val", ctx=Place())
    path = fit_probe_path(task=task, features=(seen,), validation=validation, shots=5, seed=seed, ctx=Place())
    assert path.header["flags"] == ["fewer_than_shots"]
    place = Place()
    (row,) = knn_score(task=task, features=seen, k=1, shots=5, seed=seed, ctx=place).rows
    assert place.flags == ["fewer_than_shots"] and row.n_eval == 12


@pytest.mark.parametrize("shots", [1, 2, "all"])
def test_where_there_are_enough_nothing_is_flagged(shots: Any) -> None:
    place = Place()
    net = train(task=few_of_one("few"), backbone=NET, budget=Budget(steps=5), shots=shots, ctx=place)
    assert "fewer_than_shots" not in [*place.flags, *net.header["flags"]]


def test_samples_of_other_sizes_are_other_batches() -> None:
    def call(task: Task, shots: int) -> Stage:
        return train.bind(task=task, backbone=NET, budget=Budget(steps=6, batch_size=4), shots=shots)

    stages = [call(few_of_one("one"), 5), call(few_of_one("two"), 5)]
    assert stages[0].group() == stages[1].group() != call(few_of_one("one", 3), 5).group()
    assert call(few_of_one("one"), 2).group() == call(cloud("two"), 2).group()
    for stage, together in zip(stages, run_batch(stages, {}), strict=True):
        (alone,) = run_batch([stage], {})
        assert same_bits(alone.tensors, together.tensors)
    seen = [extract_features.bind(task=few_of_one(name), split="train") for name in ("one", "two")]
    results = run_stages(seen)
    fits = [
        fit_probe.bind(task=few_of_one(name), features=(one,), shots=5)
        for name, one in zip(("one", "two"), seen, strict=True)
    ]
    assert fits[0].group() == fits[1].group()
    for stage, together in zip(fits, run_batch(fits, results), strict=True):
        (alone,) = run_batch([stage], results)
        assert same_bits(alone.tensors, together.tensors)
