"""OSBORN: its table against the sum of its terms, and its greedy choice against all ensembles."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import HarnessError
from harness.estimators import Inputs
from harness.estimators.osborn import disagreement, pool, pool_of, source_terms
from harness.estimators.otce import otce_terms
from tests.estimators.closed_form import random_inputs


def drawn(seed: int, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    pairs = draw.uniform(size=(size, size))
    return draw.uniform(1, 2, size), draw.uniform(size=size), pairs + pairs.T


def by_hand(domain: np.ndarray, task: np.ndarray, cohesion: np.ndarray, members: tuple[int, ...]) -> float:
    """Standardise each term, and add up what the ensemble has of it."""
    size = len(domain)
    every = [cohesion[a, b] for a in range(size) for b in range(a + 1, size)]

    def level(value: float, values: list[float] | np.ndarray) -> float:
        return float((value - np.mean(values)) / np.std(values))

    total = sum(level(domain[m], domain) + level(task[m], task) for m in members)
    total += sum(level(cohesion[a, b], every) for a, b in itertools.combinations(sorted(members), 2))
    return -total


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), size=st.integers(3, 8), count=st.integers(1, 3))
def test_every_ensemble_is_a_sum_over_the_table(seed: int, size: int, count: int) -> None:
    terms = drawn(seed, size)
    table = pool(*terms)
    members, scores = table.all(count)
    assert members.tolist() == [list(one) for one in itertools.combinations(range(size), count)]
    for chosen, score in zip(members.tolist(), scores, strict=True):
        expected = by_hand(*terms, tuple(chosen))
        assert score == pytest.approx(expected) == pytest.approx(table.score(chosen))
    best = max(itertools.combinations(range(size), count), key=lambda one: by_hand(*terms, one))
    assert table.best(count) == best


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), size=st.integers(2, 8))
def test_greedy_takes_the_largest_gain_each_time(seed: int, size: int) -> None:
    table = pool(*drawn(seed, size))
    count = 1 + seed % size
    chosen: list[int] = []
    for _ in range(count):
        left = [one for one in range(size) if one not in chosen]
        chosen.append(max(left, key=lambda one: table.score([*chosen, one])))
    assert table.greedy(count) == tuple(chosen)
    assert table.score(table.greedy(count)) <= table.score(table.best(count)) + 1e-12
    assert table.greedy(1) == table.best(1) and set(table.greedy(size)) == set(range(size))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_greedy_is_within_its_bound_where_the_score_is_monotone_and_submodular(seed: int) -> None:
    """With pair terms of at least 0 gains shrink; own terms low enough keep every gain above 0."""
    from harness.estimators.osborn import Pool

    draw = np.random.default_rng(seed)
    pairs = np.triu(draw.uniform(size=(7, 7)), 1)
    table = Pool(-draw.uniform(6, 9, size=7), pairs + pairs.T)
    for count in range(1, 7):
        assert table.score(table.greedy(count)) >= (1 - 1 / math.e) * table.score(table.best(count))


def test_terms_that_are_all_alike_count_for_nothing() -> None:
    domain, task, cohesion = drawn(0, 5)
    flat = pool(domain, np.full(5, 0.3), np.full((5, 5), 2.0))
    assert flat.pairs == pytest.approx(0) and flat.greedy(5) == tuple(np.argsort(domain))
    assert pool(domain, task, cohesion, task_weight=0, cohesion_weight=0).own == pytest.approx(flat.own)


def test_disagreement_of_predictions() -> None:
    draw = np.random.default_rng(1)
    one = draw.integers(0, 4, 500)
    assert disagreement(one, one) == pytest.approx(0, abs=1e-12)
    renamed = np.array([2, 0, 3, 1])[one]
    assert disagreement(one, renamed) == pytest.approx(0, abs=1e-12), "other names for the same classes"
    coarse = one // 2
    assert disagreement(one, coarse) == pytest.approx(conditional(one, coarse)) == disagreement(coarse, one)


def conditional(fine: np.ndarray, coarse: np.ndarray) -> float:
    """H(fine | coarse), example by example; H(coarse | fine) is 0."""
    shares = [np.mean(fine[coarse == b] == a) for a, b in zip(fine, coarse, strict=True)]
    return -float(np.mean(np.log(shares)))


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (([1.0, 2.0], [1.0], np.zeros((2, 2))), "terms do not fit"),
        (([1.0, np.nan], [1.0, 2.0], np.zeros((2, 2))), "not finite"),
        (([1.0, 2.0], [1.0, 2.0], [[0, 1], [2, 0]]), "cohesion must be symmetric"),
    ],
)
def test_terms_that_do_not_fit_are_refused(bad: tuple, told: str) -> None:
    with pytest.raises(HarnessError, match=told):
        pool(*bad)


@pytest.mark.parametrize("members", [[], [0, 0], [0, 9]])
def test_what_is_no_ensemble_is_refused(members: list[int]) -> None:
    with pytest.raises(HarnessError, match="different members of the pool, 0 to 4"):
        pool(*drawn(0, 5)).score(members)


@pytest.mark.parametrize("size", [0, 6])
@pytest.mark.parametrize("way", ["best", "greedy"])
def test_a_size_that_the_pool_does_not_have_is_refused(way: str, size: int) -> None:
    with pytest.raises(HarnessError, match=f"from 1 to 5 members, not {size}"):
        getattr(pool(*drawn(0, 5)), way)(size)


def test_a_pool_from_its_networks() -> None:
    pytest.importorskip("ot", reason="optimal transport needs the package POT")
    members = []
    for seed in range(4):
        arrays = random_inputs(seed, n=30, d=4)
        members.append(
            Inputs(features=arrays.features, labels=random_inputs(0, n=30).labels, source_features=arrays.source,
                   source_labels=arrays.labels[::2], source_logits=arrays.logits)
        )  # fmt: skip
    table = pool_of(members)
    terms = np.array([source_terms(one) for one in members])
    predicted = [one.source_logits.argmax(axis=1) for one in members]
    cohesion = np.array([[disagreement(a, b) for b in predicted] for a in predicted])
    for chosen in itertools.combinations(range(4), 3):
        assert table.score(chosen) == pytest.approx(by_hand(terms[:, 0], terms[:, 1], cohesion, chosen))
    otce = otce_terms(members[0], most=5000)
    assert source_terms(members[0], given="source") == pytest.approx(tuple(otce))
    assert source_terms(members[0])[0] == pytest.approx(otce.domain)


def test_all_triples_of_twenty_are_there() -> None:
    members, scores = pool(*drawn(3, 20)).all(3)
    assert members.shape == (1140, 3) and scores.shape == (1140,)
