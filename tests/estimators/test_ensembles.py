"""Scores of ensembles against plain loops, and what must hold between them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import HarnessError
from harness.estimators import score
from harness.estimators.ensembles import ENSEMBLE_SCORES, ensemble_score
from tests.estimators import obvious
from tests.estimators.closed_form import random_inputs


def members(seed: int, count: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Networks with other numbers of source classes, on the same examples."""
    labels = random_inputs(seed, n=30, c=4).labels
    return [random_inputs(seed + 1 + k, n=30, c=4, cs=3 + k).probabilities for k in range(count)], labels


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 4))
def test_each_is_its_formula(seed: int, count: int) -> None:
    probabilities, labels = members(seed, count)
    each = [obvious.empirical(one, labels) for one in probabilities]
    mean = sum(each) / count
    own = [float(np.log(one[np.arange(30), labels]).mean()) for one in each]
    assert ensemble_score("ms_leep", probabilities, labels) == pytest.approx(sum(own) / count)
    assert ensemble_score("e_leep", probabilities, labels) == pytest.approx(np.log(mean[np.arange(30), labels]).mean())
    hard, soft = [], []
    for label in range(4):
        chosen, there = mean.argmax(axis=1) == label, labels == label
        hard.append((chosen & there).sum() / (chosen | there).sum())
        both = mean[there, label].sum()
        soft.append(both / (mean[:, label].sum() + there.sum() - both))
    assert ensemble_score("iou_eep", probabilities, labels) == pytest.approx(np.mean(hard))
    assert ensemble_score("soft_iou_eep", probabilities, labels) == pytest.approx(np.mean(soft))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 4))
def test_the_log_of_a_mean_is_at_least_the_mean_of_logs(seed: int, count: int) -> None:
    probabilities, labels = members(seed, count)
    single, joint = (ensemble_score(name, probabilities, labels) for name in ("ms_leep", "e_leep"))
    assert single <= joint + 1e-12 and joint <= 0
    assert ensemble_score("ms_leep", probabilities[::-1], labels) == pytest.approx(single)


def test_an_ensemble_of_one_is_that_network() -> None:
    probabilities, labels = members(1, 1)
    alone = score("leep", source_probabilities=probabilities[0], labels=labels)
    assert ensemble_score("ms_leep", probabilities, labels) == pytest.approx(alone)
    assert ensemble_score("e_leep", probabilities * 3, labels) == pytest.approx(alone)


def test_networks_that_know_the_classes_have_the_best_scores() -> None:
    labels = np.arange(40) % 4
    perfect = [np.eye(4)[labels], np.eye(6)[5 - labels]]
    assert {name: ensemble_score(name, perfect, labels) for name in ENSEMBLE_SCORES} == pytest.approx(
        {"ms_leep": 0, "e_leep": 0, "iou_eep": 1, "soft_iou_eep": 1}
    )


def test_networks_that_know_nothing_predict_the_shares() -> None:
    labels = np.repeat([0, 1], [30, 10])
    blind = [np.full((40, 5), 0.2)]
    expected = 0.75 * math.log(0.75) + 0.25 * math.log(0.25)
    assert ensemble_score("e_leep", blind, labels) == pytest.approx(expected)
    assert ensemble_score("iou_eep", blind, labels) == pytest.approx(0.75 / 2)


@pytest.mark.parametrize(
    ("name", "probabilities", "told"),
    [
        ("e_lep", [np.full((2, 2), 0.5)], r"unknown ensemble score 'e_lep' \(did you mean 'e_leep'\?\)"),
        ("e_leep", [], "at least one member"),
        ("e_leep", [np.full((3, 2), 0.5)], "different lengths"),
        ("e_leep", [np.full((2, 2), 0.7)], "sums to 1.4"),
    ],
)
def test_what_does_not_fit_is_refused(name: str, probabilities: list, told: str) -> None:
    with pytest.raises(HarnessError, match=told):
        ensemble_score(name, probabilities, [0, 1])
