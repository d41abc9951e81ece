"""The nearest-neighbour score against scikit-learn and against counting."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import LeaveOneOut, cross_val_score
from sklearn.neighbors import KNeighborsClassifier

from harness.backbones.base import Untrained
from harness.backbones.small import Mlp
from harness.errors import HarnessError
from harness.estimators.knn import knn, knn_score, leave_one_out
from harness.graph import Features
from harness.methods.base import Trial
from harness.methods.linear_probe import linear_probe
from tests.training.places import Place, run_batch, run_stages
from tests.training.toys import cloud


@pytest.mark.parametrize("k", [1, 2])
def test_without_ties_it_is_scikit_learns(k: int) -> None:
    """Two classes: with k = 1 no tie can be; with k = 2 a tie goes to the nearer, which is k = 1 again."""
    generator = torch.Generator().manual_seed(k)
    labels = torch.arange(60).remainder(2)
    features = torch.randn(60, 4, generator=generator) + labels[:, None]
    other = cross_val_score(KNeighborsClassifier(1), features.double().numpy(), labels.numpy(), cv=LeaveOneOut()).mean()
    assert leave_one_out(features, labels, k, 2) == pytest.approx(other)


@pytest.mark.parametrize("k", [3, 5])
def test_an_odd_vote_between_two_is_scikit_learns(k: int) -> None:
    labels = torch.arange(60).remainder(2)
    features = torch.randn(60, 4, generator=torch.Generator().manual_seed(k)) + 0.7 * labels[:, None]
    other = cross_val_score(KNeighborsClassifier(k), features.double().numpy(), labels.numpy(), cv=LeaveOneOut()).mean()
    assert leave_one_out(features, labels, k, 2) == pytest.approx(other)


def by_hand(features: torch.Tensor, labels: torch.Tensor, k: int) -> float:
    """Sort, count, and let the nearest of the most frequent win."""
    right = 0
    for place in range(len(labels)):
        others = [other for other in range(len(labels)) if other != place]
        others.sort(key=lambda other: float((features[place] - features[other]).double().norm()))
        votes = [int(labels[other]) for other in others[:k]]
        winner = next(vote for vote in votes if votes.count(vote) == max(map(votes.count, votes)))
        right += winner == int(labels[place])
    return right / len(labels)


@settings(max_examples=20, deadline=None)
@given(k=st.integers(1, 8), classes=st.integers(2, 5), seed=st.integers(0, 10_000))
def test_ties_go_to_the_nearest_voter(k: int, classes: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(20, 3, generator=generator)
    labels = torch.randint(0, classes, (20,), generator=generator)
    assert leave_one_out(features, labels, k, classes) == pytest.approx(by_hand(features, labels, k))


def test_separate_classes_score_one_and_mixed_ones_chance() -> None:
    labels = torch.arange(1500).remainder(3)
    apart = 100.0 * labels[:, None] + torch.rand(1500, 2, generator=torch.Generator().manual_seed(0))
    assert leave_one_out(apart, labels, 5, 3) == 1.0
    mixed = torch.rand(1500, 2, generator=torch.Generator().manual_seed(1))
    assert leave_one_out(mixed, labels, 5, 3) == pytest.approx(1 / 3, abs=0.05)


@pytest.mark.parametrize("k", [0, 6])
def test_an_impossible_k_is_one_sentence(k: int) -> None:
    with pytest.raises(HarnessError, match="below the number of examples, 6"):
        leave_one_out(torch.zeros(6, 2), torch.zeros(6, dtype=torch.int64), k, 2)


def test_the_estimator_reads_the_features_that_a_probe_reads() -> None:
    trial = Trial(cloud("a"), cloud("x"), Mlp(hidden=6), seed=2, source_seed=2)
    score = knn(trial, k=3, shots=4, source_steps=5)
    probe = linear_probe(trial, shots=4, source_steps=5)
    assert score.inputs[0].key == probe.arguments["probe"].inputs[0].key
    results = run_stages([score])
    (row,) = results[score.key].rows
    assert (row.metric, row.task, row.split, row.n_eval) == ("score", "x", "train", 12)
    assert 0 <= row.value <= 1


def test_scores_in_a_batch_are_scores_alone() -> None:
    stages = [knn(Trial(Untrained(), cloud(name), Mlp(hidden=6)), k=3) for name in ("x", "y", "z")]
    results = run_stages(stages)
    assert run_batch(stages, results) == [results[stage.key] for stage in stages]


def test_flags_of_the_source_are_kept() -> None:
    tensors = {"features": torch.rand(6, 2), "labels": torch.arange(6).remainder(3)}
    flagged = Features(tensors, {"split": "train", "flags": ["not_trained"]})
    assert knn_score(task=cloud(), features=flagged, k=1, ctx=Place()).rows[0].flags == ("not_trained",)
