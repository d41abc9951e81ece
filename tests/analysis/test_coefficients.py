"""Coefficients of many resamples at once against scipy on each resample, with ties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from analysis import coefficients
from analysis.coefficients import SELECTIONS, VARIANTS, kernel, row_coefficients, top_k

EVERY = [(kind, variant) for kind, variants in VARIANTS.items() if kind not in SELECTIONS for variant in variants]
CHOICES = [(kind, variant) for kind in SELECTIONS for variant in ("top-1", "top-2", "top-3")]
# Few distinct values, so that ties within and between x and y are common.
PAIRS = st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=2, max_size=12)


def truth(x, y, kind, variant):
    """What scipy says; NaN when either side is constant."""
    if len(set(x)) < 2 or len(set(y)) < 2:
        return float("nan")
    if kind == "pearson":
        return stats.pearsonr(x, y).statistic
    if kind == "spearman":
        return stats.spearmanr(x, y).statistic
    if kind == "kendall":
        return stats.kendalltau(x, y).statistic
    if variant == "y":
        return stats.weightedtau(y, x, rank=None).statistic
    return stats.weightedtau(x, y, rank=True if variant == "scipy" else None).statistic


@pytest.mark.parametrize(("kind", "variant"), EVERY)
@settings(max_examples=60, deadline=None)
@given(pairs=PAIRS)
def test_one_sample_equals_scipy(kind, variant, pairs):
    x, y = np.array(pairs, dtype=float).T
    found = kernel(x, y, kind, variant)(np.ones((1, len(x))))[0]
    assert found == pytest.approx(truth(x, y, kind, variant), abs=1e-9, nan_ok=True)


@pytest.mark.parametrize(("kind", "variant"), EVERY)
@settings(max_examples=25, deadline=None)
@given(pairs=PAIRS, draw=st.integers(0, 2**32 - 1))
def test_resamples_equal_scipy_on_the_drawn_items(kind, variant, pairs, draw):
    x, y = np.array(pairs, dtype=float).T
    n = len(x)
    counts = np.random.default_rng(draw).multinomial(n, np.full(n, 1 / n), size=8)
    found = kernel(x, y, kind, variant)(counts.astype(float))
    expected = [truth(np.repeat(x, c), np.repeat(y, c), kind, variant) for c in counts]
    np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize(("kind", "variant"), [e for e in EVERY if e[0] != "pearson"])
def test_large_samples_take_another_way_to_the_same_numbers(kind, variant, monkeypatch):
    rng = np.random.default_rng(3)
    x = np.round(rng.normal(size=40), 1)
    y = np.round(x + rng.normal(size=40), 1)
    counts = rng.multinomial(40, np.full(40, 1 / 40), size=20).astype(float)
    dense = kernel(x, y, kind, variant)(counts)
    monkeypatch.setattr(coefficients, "_DENSE", 10)
    np.testing.assert_allclose(kernel(x, y, kind, variant)(counts), dense, atol=1e-12)


def chosen(x, y, kind, k):
    """Brute force: take the first k by x, ties against the score, copies of an item one after the other."""
    items = sorted(zip(x, y, strict=True), key=lambda p: (-p[0], p[1]))
    best, first = max(p[1] for p in items), max(p[1] for p in items[:k])
    return best - first if kind == "regret" else first / best


@pytest.mark.parametrize(("kind", "variant"), CHOICES)
@settings(max_examples=40, deadline=None)
@given(
    pairs=st.lists(st.tuples(st.integers(-3, 3), st.integers(1, 5)), min_size=2, max_size=9), draw=st.integers(0, 99)
)
def test_choices_equal_brute_force_on_the_drawn_items(kind, variant, pairs, draw):
    x, y = np.array(pairs, dtype=float).T
    n = len(x)
    counts = np.random.default_rng(draw).multinomial(n, np.full(n, 1 / n), size=6)
    found = kernel(x, y, kind, variant)(counts.astype(float))
    np.testing.assert_allclose(
        found, [chosen(np.repeat(x, c), np.repeat(y, c), kind, top_k(variant)) for c in counts], atol=1e-12
    )


def test_a_variant_top_k_is_read_strictly():
    assert [top_k(t) for t in ("top-1", "top-12", "top-0", "top-", "k=1", "xtop-1")] == [1, 12, 0, 0, 0, 0]


def test_the_variants_of_weighted_kendall_differ():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 10))
    ones = np.ones((1, 10))
    by_x, by_y, both = (kernel(x, y, "weighted_kendall", v)(ones)[0] for v in ("x", "y", "scipy"))
    assert both == pytest.approx((by_x + by_y) / 2)
    assert abs(by_x - by_y) > 0.01


def test_weighted_kendall_is_not_odd_under_negation():
    """Large values weigh most, so turning a score round changes more than its sign."""
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(2, 10))
    ones = np.ones((1, 10))
    straight = kernel(x, y, "weighted_kendall", "scipy")(ones)[0]
    turned = kernel(-x, y, "weighted_kendall", "scipy")(ones)[0]
    assert abs(straight + turned) > 0.01


def test_ranks_are_correlated_not_lists_of_positions():
    """Kendall on argsort lists is a known error of published code: it is another, smaller number."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=12)
    y = x + 0.4 * rng.normal(size=12)
    found = kernel(x, y, "kendall", "tau-b")(np.ones((1, 12)))[0]
    assert found == pytest.approx(stats.kendalltau(stats.rankdata(x), stats.rankdata(y)).statistic)
    assert found > stats.kendalltau(np.argsort(x), np.argsort(y)).statistic + 0.2


def test_pearson_sees_a_constant_far_from_zero():
    x = np.full(6, 1e8)
    x[0] += 1e-9  # lost in rounding
    y = np.arange(6.0)
    assert np.isnan(kernel(x, y, "pearson", "product-moment")(np.ones((1, 6)))[0])


def test_an_empty_resample_is_undefined():
    for kind, variant in EVERY:
        assert np.isnan(kernel(np.arange(4.0), np.arange(4.0), kind, variant)(np.zeros((1, 4)))[0])


@pytest.mark.parametrize("kind", ["kendall", "spearman", "weighted_kendall"])
def test_rank_coefficients_do_not_change_under_monotone_maps(kind):
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(2, 15))
    ones = np.ones((1, 15))
    variant = VARIANTS[kind][0]
    assert kernel(np.exp(x), y**3, kind, variant)(ones) == pytest.approx(kernel(x, y, kind, variant)(ones))


@pytest.mark.parametrize(("kind", "variant"), [*EVERY, ("regret", "top-2")])
def test_each_row_has_its_own_coefficient(kind, variant):
    """Rows with ties, a constant one, and values that are all alike on the other side."""
    rng = np.random.default_rng(0)
    x, y = (rng.integers(0, 5, (40, 9)).astype(float) for _ in range(2))
    x[3], y[7] = 1.0, 2.0
    found = row_coefficients(x, y, kind, variant)
    for a, b, value in zip(x, y, found, strict=True):
        if kind == "regret":
            first_two = sorted(range(9), key=lambda k: (-a[k], b[k]))[:2]
            wanted = b.max() - b[first_two].max() if len(set(a)) > 1 < len(set(b)) else np.nan
        else:
            wanted = truth(a, b, kind, variant)
        assert value == pytest.approx(wanted, abs=1e-12, nan_ok=True)
    assert np.isnan(found[[3, 7]]).all() and np.isfinite(found).sum() == 38


def test_rows_without_a_coefficient_are_nan():
    infinite = np.array([[1.0, np.inf, 2.0, 0.0], [1.0, 2.0, 3.0, 4.0]])
    y = np.array([[1.0, 3.0, 2.0, 0.5], [0.0, 2.0, 3.0, 4.0]])
    assert np.isnan(row_coefficients(infinite, y, "pearson", "product-moment")).tolist() == [True, False]
    assert row_coefficients(infinite, y, "spearman", "average ranks") == pytest.approx([1.0, 1.0])
    assert np.isnan(row_coefficients(infinite, y, "rel", "top-1")).tolist() == [False, True]
    assert np.isnan(row_coefficients(infinite, y, "regret", "top-5")).all()
    assert np.isnan(row_coefficients(infinite[:, :1], y[:, :1], "spearman", "average ranks")).all()
    assert row_coefficients(np.empty((0, 4)), np.empty((0, 4)), "spearman", "average ranks").shape == (0,)
