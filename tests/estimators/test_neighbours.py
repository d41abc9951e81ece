"""Nearest neighbours: what leaves the score as it is, what it reads, and the edges of its pieces."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import KNeighborsClassifier

from harness.backbones.base import Checkpoint, Untrained
from harness.backbones.small import Mlp
from harness.errors import HarnessError
from harness.estimators.knn import knn, knn_score, leave_one_out
from harness.estimators.source_accuracy import source_accuracy
from harness.graph import Features
from harness.methods.base import Trial
from harness.tasks.base import TaskSet
from harness.training.data import sample
from tests.training.places import Place, run_stages
from tests.training.toys import cloud

NET = Mlp(hidden=6)


def drawn(examples: int, classes: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, classes, (examples,), generator=generator)
    return torch.randn(examples, 3, generator=generator) + labels[:, None], labels


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), k=st.integers(1, 6), classes=st.integers(2, 4), scale=st.sampled_from([1e-3, 7.0]))
def test_order_shift_scale_and_names_of_classes_do_not_matter(seed: int, k: int, classes: int, scale: float) -> None:
    features, labels = drawn(25, classes, seed)
    expected = leave_one_out(features, labels, k, classes)
    order = torch.randperm(25, generator=torch.Generator().manual_seed(seed + 1))
    assert leave_one_out(features[order], labels[order], k, classes) == expected
    assert leave_one_out(features.double() * scale + 5, labels, k, classes) == expected
    renamed = torch.randperm(classes, generator=torch.Generator().manual_seed(seed + 2))[labels]
    assert leave_one_out(features, renamed, k, classes) == expected
    assert leave_one_out(features, labels, k, classes + 3) == expected, "classes that do not occur change nothing"


@pytest.mark.parametrize("examples", [1023, 1024, 1025, 2050])
def test_pieces_have_no_seams(examples: int) -> None:
    """An example never votes for itself, also in a later piece: with k = 1 scikit-learn's second neighbour decides."""
    features, labels = drawn(examples, 3, examples)
    other = KNeighborsClassifier(2, algorithm="brute").fit(features.double().numpy(), labels.numpy())
    nearest = other.kneighbors(features.double().numpy(), return_distance=False)
    expected = np.mean([labels[row[row != place][0]] == labels[place] for place, row in enumerate(nearest)])
    assert leave_one_out(features, labels, 1, 3) == pytest.approx(float(expected))


def test_equal_examples_vote_for_each_other() -> None:
    """Two copies of each point, with one label: the copy is the nearest. With other labels it always misleads."""
    points = torch.randn(10, 3, generator=torch.Generator().manual_seed(0)).repeat(2, 1)
    same = torch.arange(10).remainder(2).repeat(2)
    assert leave_one_out(points, same, 1, 2) == 1.0
    other = torch.cat([torch.zeros(10), torch.ones(10)]).long()
    assert leave_one_out(points, other, 1, 2) == 0.0


def test_large_offsets_lose_no_digits() -> None:
    """Points a thousandth apart around a million: the short cut by products would see only rounding."""
    labels = torch.arange(12).remainder(2)
    features = (1e6 + 1e-3 * torch.arange(12) + 100e-3 * labels).double().unsqueeze(1)
    assert leave_one_out(features, labels, 1, 2) == 1.0


@pytest.mark.parametrize("k", [1, 3, 5])
def test_counted_by_hand(k: int) -> None:
    """On a line: 0a 1a 2a | 3b 4b 5b with one stray b at 0.6 and one stray a at 4.4."""
    places = torch.tensor([[0.0], [1.0], [2.0], [3.0], [4.0], [5.0], [0.6], [4.4]])
    labels = torch.tensor([0, 0, 0, 1, 1, 1, 1, 0])
    value = leave_one_out(places, labels, k, 2)
    by_hand = 0
    for one in range(8):
        near = sorted((other for other in range(8) if other != one), key=lambda o: abs(float(places[o] - places[one])))
        votes = [int(labels[other]) for other in near[:k]]
        by_hand += (sum(votes) * 2 > k) == bool(labels[one])
    assert value == by_hand / 8


@pytest.mark.parametrize("shots", [2, 5, "all"])
def test_the_score_is_of_the_examples_that_a_training_gets(shots: Any) -> None:
    whole = cloud().split("train")
    features = Features({"features": whole.inputs, "labels": whole.labels}, {"split": "train"})
    (row,) = knn_score(task=cloud(), features=features, k=3, shots=shots, seed=4, ctx=Place()).rows
    few = sample(cloud(), ("train",), shots, 4, Place())
    assert row.value == leave_one_out(few.inputs, few.labels, 3, 3)
    assert row.n_eval == len(few)


# --- what is read -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", [cloud("a"), TaskSet((cloud("a"), cloud("b"))), Untrained(), None], ids=str)
def test_scores_run_for_every_source_that_has_features(source: Any) -> None:
    score = knn(Trial(source, cloud("x"), NET), k=2, shots=4, source_steps=3)
    (row,) = run_stages([score])[score.key].rows
    assert row.n_eval == 12 and 0 <= row.value <= 1


def test_without_a_source_the_backbone_and_its_seed_are_not_read() -> None:
    keys = {
        knn(Trial(None, cloud("x"), backbone, source_seed=seed)).key
        for backbone in (NET, Mlp(hidden=9))
        for seed in (0, 1)
    }
    assert len(keys) == 1


def test_the_sources_own_score_reads_nothing_of_the_target_nor_test() -> None:
    score = source_accuracy(Trial(cloud("a"), cloud("x"), NET), source_steps=3)
    assert score.arguments["task"] == cloud("a")
    waiting: list[Any] = [score]
    while waiting:
        stage = waiting.pop()
        assert "test" not in stage.arguments.get("splits", ()) and stage.arguments.get("task") in (None, cloud("a"))
        waiting.extend(stage.inputs)


def test_averaged_seeds_are_scored_as_one_net() -> None:
    score = source_accuracy(Trial(cloud("a"), cloud("x"), NET, source_seed=(0, 1)), source_steps=3)
    (row,) = run_stages([score])[score.key].rows
    singles = [source_accuracy(Trial(cloud("a"), cloud("x"), NET, source_seed=seed), source_steps=3) for seed in (0, 1)]
    assert len({score.key, *(one.key for one in singles)}) == 3
    assert (row.metric, row.split, row.task) == ("score", "val", "a")


def test_a_checkpoint_has_no_accuracy_of_its_own() -> None:
    with pytest.raises(HarnessError, match="needs a source that is a task"):
        source_accuracy(Trial(Checkpoint(artifact="0" * 32), cloud("x"), NET))
