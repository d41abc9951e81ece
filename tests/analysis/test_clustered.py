"""Means over dependent runs: against Student's t over groups, a regression with robust errors, and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from analysis.clustered import Estimate, Term, sum_of_means


def term(factor, values, groups):
    return Term(factor, np.asarray(values, dtype=float), np.asarray(groups, dtype=object))


def test_one_mean_over_equal_groups_is_students_interval_over_group_means():
    rng = np.random.default_rng(0)
    groups = np.repeat(list("abcde"), 6)
    values = rng.normal(size=30) + np.repeat(rng.normal(size=5), 6)
    means = values.reshape(5, 6).mean(axis=1)
    found = sum_of_means([term(1.0, values, groups)])
    low, high = stats.t.interval(0.95, 4, means.mean(), stats.sem(means))
    assert (found.value, found.low, found.high) == pytest.approx((values.mean(), low, high))
    assert (found.groups, found.runs, found.reason) == (5, 30, "")
    assert found.half == pytest.approx((high - low) / 2)


def test_every_run_its_own_group_is_the_usual_interval_of_a_mean():
    values = np.array([1.0, 2.0, 4.0, 8.0])
    found = sum_of_means([term(1.0, values, list("abcd"))], level=0.9)
    assert (found.low, found.high) == pytest.approx(stats.t.interval(0.9, 3, values.mean(), stats.sem(values)))


def robust(values, second, groups):
    """Difference of two means and its standard error from a regression with the sandwich of Liang and Zeger."""
    design = np.column_stack([np.ones(len(values)), second])
    bread = np.linalg.inv(design.T @ design)
    beta = bread @ design.T @ values
    residuals = values - design @ beta
    meat = np.zeros((2, 2))
    names = np.unique(groups)
    for name in names:
        score = design[groups == name].T @ residuals[groups == name]
        meat += np.outer(score, score)
    cover = bread @ meat @ bread * len(names) / (len(names) - 1)
    return float(beta[1]), float(np.sqrt(cover[1, 1]))


def test_a_difference_of_means_is_the_regression_with_clustered_errors():
    rng = np.random.default_rng(1)
    groups = rng.permutation(np.repeat(list("abcdef"), 10))
    second = np.arange(60) % 3 == 0
    values = rng.normal(size=60) + 0.5 * second + (groups == "a") * 1.5
    assert set(groups[second]) == set(groups[~second]) == set("abcdef")
    found = sum_of_means([term(1.0, values[second], groups[second]), term(-1.0, values[~second], groups[~second])])
    slope, error = robust(values, second.astype(float), groups)
    assert found.value == pytest.approx(slope)
    assert found.half == pytest.approx(error * stats.t.ppf(0.975, 5))


def test_what_all_runs_of_a_group_share_cancels_in_a_difference():
    rng = np.random.default_rng(2)
    shared = np.repeat(rng.normal(size=4), 2) * 100
    noise = rng.normal(size=(2, 8)) * 0.01
    groups = np.repeat(list("abcd"), 2)
    found = sum_of_means([term(1.0, shared + noise[0], groups), term(-1.0, shared + noise[1], groups)])
    alone = sum_of_means([term(1.0, shared + noise[0], groups)])
    assert found.half < 0.1 < 10 < alone.half


def test_the_mean_with_the_fewest_groups_sets_the_degrees_of_freedom():
    many = term(-1.0, np.arange(8.0), np.repeat(list("abcd"), 2))
    few = term(1.0, [1.0, 3.0, 2.0], ["a", "a", "b"])
    found = sum_of_means([few, many])
    assert (found.groups, found.runs) == (2, 3)
    assert found.value == pytest.approx(2.0 - 3.5)
    influence = {"a": (1 - 2 + 3 - 2) / 3 - (0 - 3.5 + 1 - 3.5) / 8, "b": 0 - (2 - 3.5 + 3 - 3.5) / 8}
    influence |= {"c": -(4 - 3.5 + 5 - 3.5) / 8, "d": -(6 - 3.5 + 7 - 3.5) / 8}
    error = np.sqrt(sum(v**2 for v in influence.values()) * 2 / 1)
    assert found.half == pytest.approx(error * stats.t.ppf(0.975, 1))


@pytest.mark.parametrize(
    ("values", "groups", "reason"),
    [([], [], "no value"), ([1.0, 2.0], ["a", "a"], "one group"), ([2.0, 2.0], ["a", "b"], "groups do not vary")],
)
def test_what_cannot_be_estimated_says_why(values, groups, reason):
    found = sum_of_means([term(1.0, values, groups)])
    assert isinstance(found, Estimate) and found.reason == reason
    assert np.isnan(found.low) and np.isnan(found.high)
    assert np.isnan(found.value) == (reason == "no value")


def test_a_missing_side_makes_the_whole_difference_missing():
    found = sum_of_means([term(1.0, [1.0, 2.0], ["a", "b"]), term(-1.0, [], [])])
    assert np.isnan(found.value) and found.reason == "no value"
    assert np.isnan(sum_of_means([]).value)


def test_intervals_over_groups_cover_and_intervals_over_runs_do_not():
    """Four splits of two halves with six runs each, as a study of layer transfer has them."""
    rng = np.random.default_rng(3)
    groups = np.repeat(list("abcd"), 6)
    inside, naive, repeats = 0, 0, 1500
    for _ in range(repeats):
        values = np.repeat(rng.normal(size=4), 6) + 0.5 * rng.normal(size=24)
        found = sum_of_means([term(1.0, values, groups)])
        inside += found.low <= 0.0 <= found.high
        low, high = stats.t.interval(0.95, 23, values.mean(), stats.sem(values))
        naive += low <= 0.0 <= high
    assert 0.93 < inside / repeats < 0.97
    assert naive / repeats < 0.7
