"""Shared sums against numpy's and scikit-learn's, with classes in any order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.covariance import LedoitWolf
from sklearn.decomposition import PCA

from harness.estimators.h_score import ledoit_wolf
from harness.estimators.positive import log_determinant, solved, solved_if_regular
from harness.estimators.statistics import Statistics
from tests.estimators.closed_form import random_inputs

shapes = st.builds(
    random_inputs,
    seed=st.integers(0, 10_000),
    n=st.integers(8, 40),
    d=st.sampled_from([1, 3, 8, 30]),
    c=st.integers(1, 5),
)
many = settings(max_examples=30, deadline=None)


@many
@given(arrays=shapes)
def test_sums_are_what_they_say(arrays) -> None:
    x, y = arrays.features, arrays.labels
    found = Statistics.of(x, y)
    classes = range(y.max() + 1)
    means = np.stack([x[y == c].mean(axis=0) for c in classes])
    assert found.means == pytest.approx(means) and found.mean == pytest.approx(x.mean(axis=0))
    assert found.counts.tolist() == np.bincount(y).tolist() and found.shares.sum() == pytest.approx(1)
    centred, residuals = x - x.mean(axis=0), x - means[y]
    assert found.within == pytest.approx(residuals.T @ residuals, abs=1e-9)
    assert found.total == pytest.approx(centred.T @ centred, abs=1e-9)
    assert found.gram == pytest.approx(x.T @ x, abs=1e-9)
    assert found.squares == pytest.approx(np.stack([(residuals[y == c] ** 2).sum(axis=0) for c in classes]))
    assert found.fourth == pytest.approx(((centred**2).sum(axis=1) ** 2).sum())
    assert found.residuals == pytest.approx(residuals[found.order])
    assert found.all_centred() == pytest.approx(centred[found.order], abs=1e-12)
    assert y[found.order].tolist() == found.ordered_labels.tolist() == sorted(y.tolist())
    for label, rows in enumerate(found.slices()):
        assert found.centred(label) == pytest.approx(found.all_centred()[rows])


@many
@given(arrays=shapes)
def test_spectra_are_those_of_singular_values(arrays) -> None:
    found = Statistics.of(arrays.features, arrays.labels)
    for spectrum, rows in (
        (found.moments, arrays.features),
        (found.principal, arrays.features - arrays.features.mean(axis=0)),
    ):
        rank = np.linalg.matrix_rank(rows)
        spread = np.linalg.svd(rows, compute_uv=False)[:rank]
        assert spectrum.values == pytest.approx(spread**2, rel=1e-6)
        assert spectrum.axes.T @ spectrum.axes == pytest.approx(np.eye(rank), abs=1e-9)
        assert rows @ spectrum.axes @ spectrum.axes.T == pytest.approx(rows, abs=1e-8)


@many
@given(arrays=shapes)
def test_projections_are_scikit_learns(arrays) -> None:
    dims = min(3, np.linalg.matrix_rank(arrays.features - arrays.features.mean(axis=0)))
    found = Statistics.of(arrays.features, arrays.labels).projected(dims)
    expected = PCA(dims, svd_solver="full").fit_transform(arrays.features)
    assert found.all_centred() == pytest.approx(expected[found.order], abs=1e-7), "signs too"


@many
@given(arrays=shapes)
def test_moved_classes_take_their_examples_along(arrays) -> None:
    found = Statistics.of(arrays.features, arrays.labels)
    assert found.within is not None
    shift = np.random.default_rng(0).normal(size=found.means.shape)
    expected = Statistics.of(arrays.features + shift[arrays.labels], arrays.labels)
    moved = found.moved(found.means + shift)
    assert moved.total == pytest.approx(expected.total) and moved.gram == pytest.approx(expected.gram)
    assert moved.within is found.within, "what does not change is not worked out again"


@many
@given(arrays=shapes)
def test_shrinkage_is_scikit_learns(arrays) -> None:
    found = ledoit_wolf(Statistics.of(arrays.features, arrays.labels))
    assert found == pytest.approx(LedoitWolf().fit(arrays.features).shrinkage_, abs=1e-9)


@pytest.mark.parametrize("value", [0.1, 1e8 / 3, -7e-9])
@pytest.mark.parametrize("n", [7, 1000, 300_000])
def test_constant_features_are_exactly_constant(value: float, n: int) -> None:
    """The mean of n equal numbers is not always that number."""
    draw = np.random.default_rng(n)
    features = np.column_stack([np.full(n, value), draw.normal(size=n)])
    found = Statistics.of(features, np.arange(n) % 3)
    assert not found.residuals[:, 0].any() and not found.deviations[:, 0].any()
    assert found.within[0, 0] == found.total[0, 0] == 0 and len(found.principal.values) == 1


def test_small_spread_far_from_zero_keeps_its_digits() -> None:
    """Of numbers around a million that differ by a millionth, scatter has 5 digits left, not none."""
    draw = np.random.default_rng(0)
    small = draw.normal(size=(500, 4))
    found = Statistics.of(1e6 + 1e-3 * small, np.arange(500) % 5)
    expected = Statistics.of(small, np.arange(500) % 5)
    assert found.within == pytest.approx(1e-6 * expected.within, rel=1e-5, abs=1e-9)


def test_a_spectrum_that_lost_its_digits_is_worked_out_from_the_rows() -> None:
    """Eigenvalues of F^T F seven orders apart in F are fourteen apart in the product: beyond what it can tell."""
    draw = np.random.default_rng(1)
    basis = np.linalg.qr(draw.normal(size=(50, 3)))[0]
    features = basis @ np.diag([1.0, 1e-3, 1e-6]) @ np.linalg.qr(draw.normal(size=(3, 3)))[0]
    found = Statistics.of(features, np.arange(50) % 2).moments
    assert np.sqrt(found.values) == pytest.approx([1.0, 1e-3, 1e-6], rel=1e-6)


def test_solving_with_positive_matrices() -> None:
    draw = np.random.default_rng(2)
    root = draw.normal(size=(6, 6))
    matrix, right = root @ root.T, draw.normal(size=(6, 2))
    assert solved(matrix, right) == pytest.approx(np.linalg.solve(matrix, right))
    assert solved_if_regular(matrix, right) == pytest.approx(np.linalg.solve(matrix, right))
    assert log_determinant(matrix) == pytest.approx(np.linalg.slogdet(matrix)[1])
    flat = np.diag([1.0, 1.0, -1e-18])
    assert solved_if_regular(flat, np.eye(3)) is None
    assert solved_if_regular(np.diag([1.0, 1e-12]), np.eye(2)) is None
    assert solved(flat, np.eye(3), floor=0.5) == pytest.approx(np.diag([1.0, 1.0, 2.0]))
    with pytest.raises(np.linalg.LinAlgError, match="singular"):
        solved(flat, np.eye(3))
