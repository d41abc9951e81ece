"""Transport plans against assignment and linear programming, and the entropies read from them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment, linprog
from scipy.spatial.distance import cdist
from scipy.stats import entropy

from harness.errors import HarnessError
from harness.estimators import Inputs, score
from harness.estimators.otce import otce_terms
from harness.estimators.transport import conditional_entropy, joint_labels, sampled, transport_plan
from tests.estimators.closed_form import random_inputs

pytest.importorskip("ot", reason="optimal transport needs the package POT")


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 12))
def test_between_as_many_it_is_the_best_assignment(seed: int, n: int) -> None:
    draw = np.random.default_rng(seed)
    source, target = draw.normal(size=(n, 3)), draw.normal(size=(n, 3)) + 1e3
    plan, cost = transport_plan(source, target)
    squared = cdist(source, target, "sqeuclidean")
    rows, columns = linear_sum_assignment(squared)
    assert cost == pytest.approx(squared[rows, columns].mean(), rel=1e-9)
    assert plan.sum(axis=1) == pytest.approx(1 / n) and plan.sum(axis=0) == pytest.approx(1 / n)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000), m=st.integers(1, 6), n=st.integers(1, 6))
def test_between_more_and_fewer_it_is_the_best_linear_program(seed: int, m: int, n: int) -> None:
    draw = np.random.default_rng(seed)
    source, target = draw.normal(size=(m, 2)), draw.normal(size=(n, 2))
    cost = cdist(source, target, "sqeuclidean")
    sums = [np.kron(np.eye(m), np.ones(n)), np.kron(np.ones(m), np.eye(n))]
    best = linprog(cost.ravel(), A_eq=np.vstack(sums), b_eq=np.r_[np.full(m, 1 / m), np.full(n, 1 / n)])
    assert transport_plan(source, target)[1] == pytest.approx(best.fun, abs=1e-9)


def test_widths_must_agree() -> None:
    with pytest.raises(HarnessError, match="width 3, target features 2"):
        transport_plan(np.zeros((4, 3)), np.zeros((4, 2)))


def test_the_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "ot", None)
    with pytest.raises(HarnessError, match=r"needs the package POT: pip install transfer-harness\[estimators\]"):
        transport_plan(np.zeros((4, 2)), np.zeros((4, 2)))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_entropies_by_hand(seed: int) -> None:
    draw = np.random.default_rng(seed)
    plan = draw.uniform(size=(8, 9)) * (draw.uniform(size=(8, 9)) < 0.5)
    plan[0, 0] += 0.1
    plan /= plan.sum()
    source, target = draw.integers(0, 3, 8), draw.integers(0, 4, 9)
    source[:3], target[:4] = np.arange(3), np.arange(4)
    joint = joint_labels(plan, source, target)
    slow = np.array([[plan[np.ix_(source == a, target == b)].sum() for b in range(4)] for a in range(3)])
    assert joint == pytest.approx(slow)
    expected = entropy(slow.ravel()) - entropy(slow.sum(axis=1))
    assert conditional_entropy(joint) == pytest.approx(expected, abs=1e-12)


def test_samples_keep_the_shares_of_classes() -> None:
    labels = np.repeat([0, 1, 2], [600, 300, 100])
    np.random.default_rng(0).shuffle(labels)
    chosen = sampled(labels, 100, seed=1)
    assert np.bincount(labels[chosen]).tolist() == [60, 30, 10]
    assert len(set(chosen.tolist())) == 100 and (np.diff(chosen) > 0).all()
    assert set(chosen.tolist()) != set(sampled(labels, 100, seed=2).tolist())
    assert sampled(labels, 5000, seed=1).tolist() == list(range(1000))


def test_otce_of_a_shifted_copy() -> None:
    """Source and target are the same points moved by a vector: each goes to its own image, and labels follow."""
    arrays = random_inputs(4, n=40, d=5, apart=3.0)
    inputs = Inputs(
        features=arrays.features + 0.5,
        labels=arrays.labels,
        source_features=arrays.features,
        source_labels=10 * arrays.labels,
    )
    terms = otce_terms(inputs)
    assert terms.domain == pytest.approx(5 * 0.25)
    assert terms.task == pytest.approx(0, abs=1e-12)
    assert score("otce", inputs) == pytest.approx(-1.25)
    assert score("otce", inputs, variant="released") == pytest.approx(1.25)
    assert score("otce", inputs, domain_weight=0) == pytest.approx(0, abs=1e-12)


def test_otce_knows_which_label_is_given() -> None:
    """Every target class has one source class, but a source class has two target classes: ln 2 to learn."""
    points = np.array([[0.0], [1.0], [10.0], [11.0]])
    inputs = Inputs(features=points, labels=[0, 1, 2, 3], source_features=points, source_labels=[0, 0, 1, 1])
    assert otce_terms(inputs).task == pytest.approx(np.log(2))
    turned = Inputs(features=points, labels=[0, 0, 1, 1], source_features=points, source_labels=[0, 1, 2, 3])
    assert otce_terms(turned).task == pytest.approx(0, abs=1e-12)


def test_otce_draws_by_its_seed() -> None:
    arrays = random_inputs(7, n=80, d=4)
    inputs = Inputs(features=arrays.features, labels=arrays.labels, source_features=arrays.source,
                    source_labels=arrays.labels[::2])  # fmt: skip
    first, again, other = (score("otce", inputs, most=20, seed=seed) for seed in (0, 0, 1))
    assert first == again != other
