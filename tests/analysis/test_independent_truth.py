"""Statistics against definitions written out afresh and against worked examples from the literature."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from analysis import adjust, rank_correlation, rank_methods
from analysis.ceiling import ceiling_of, corrected
from analysis.coefficients import kernel
from analysis.resampling import Interval, multiplicities, percentiles
from analysis.seeds import half_splits

PAIRS = st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=3, max_size=9)

# Demsar 2006, table 6: AUC of four variants of C4.5 over fourteen data sets; published: mean ranks 3.143, 2.000,
# 2.893, 1.964 and Friedman's chi-square 9.28.
DEMSAR = np.array([
    [0.763, 0.768, 0.771, 0.798], [0.599, 0.591, 0.590, 0.569], [0.954, 0.971, 0.968, 0.967],
    [0.628, 0.661, 0.654, 0.657], [0.882, 0.888, 0.886, 0.898], [0.936, 0.931, 0.916, 0.931],
    [0.661, 0.668, 0.609, 0.685], [0.583, 0.583, 0.563, 0.625], [0.775, 0.838, 0.866, 0.875],
    [1.000, 1.000, 1.000, 1.000], [0.940, 0.962, 0.965, 0.962], [0.619, 0.666, 0.614, 0.669],
    [0.972, 0.981, 0.9751, 0.975], [0.957, 0.978, 0.946, 0.970],
])  # fmt: skip


def weighted_tau(x, y):
    """Vigna's weighted tau with additive hyperbolic weights, ranked by (x, then y), pair by pair."""
    order = sorted(range(len(x)), key=lambda k: (x[k], y[k]), reverse=True)
    rank = {k: r for r, k in enumerate(order)}
    numerator = of_x = of_y = 0.0
    for i, j in itertools.combinations(range(len(x)), 2):
        weight = 1 / (1 + rank[i]) + 1 / (1 + rank[j])
        sx, sy = np.sign(x[i] - x[j]), np.sign(y[i] - y[j])
        numerator += weight * sx * sy
        of_x += weight * abs(sx)
        of_y += weight * abs(sy)
    return numerator / math.sqrt(of_x * of_y) if of_x * of_y > 0 else float("nan")


@settings(max_examples=80, deadline=None)
@given(pairs=PAIRS)
def test_weighted_tau_is_its_definition(pairs):
    x, y = (list(v) for v in zip(*pairs, strict=True))
    found = {
        v: kernel(np.array(x, float), np.array(y, float), "weighted_kendall", v)(np.ones((1, len(x))))[0]
        for v in ("x", "y", "scipy", "rank=None")
    }
    by_x, by_y = weighted_tau(x, y), weighted_tau(y, x)
    assert found["x"] == pytest.approx(by_x, nan_ok=True, abs=1e-9) and found["rank=None"] == pytest.approx(
        by_x, nan_ok=True, abs=1e-9
    )
    assert found["y"] == pytest.approx(by_y, nan_ok=True, abs=1e-9)
    assert found["scipy"] == pytest.approx((by_x + by_y) / 2, nan_ok=True, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(pairs=PAIRS)
def test_tau_b_counts_pairs(pairs):
    concordant = discordant = only_x = only_y = 0
    for (a, b), (c, d) in itertools.combinations(pairs, 2):
        sign = np.sign(a - c) * np.sign(b - d)
        concordant, discordant = concordant + (sign > 0), discordant + (sign < 0)
        only_x, only_y = only_x + (a == c and b != d), only_y + (a != c and b == d)
    x, y = np.array(pairs, dtype=float).T
    found = rank_correlation(x, y, "kendall", n_resamples=0)
    below = math.sqrt((concordant + discordant + only_x) * (concordant + discordant + only_y))
    if below == 0 or found.reason:
        assert np.isnan(found.estimate)
    else:
        assert found.estimate == pytest.approx((concordant - discordant) / below)


def test_demsars_example():
    names = ("C4.5", "+m", "+cf", "+m+cf")
    found = rank_methods({name: DEMSAR[:, k] for k, name in enumerate(names)})
    assert [round(r, 3) for r in found.mean_ranks] == [3.143, 2.000, 2.893, 1.964]
    without_ties = 12 * 14 / 20 * ((found.mean_ranks**2).sum() - 4 * 25 / 4)
    assert without_ties == pytest.approx(9.28, abs=0.005) and found.statistic > without_ties
    expected = stats.friedmanchisquare(*DEMSAR.T)
    assert (found.statistic, found.p_value) == pytest.approx((expected.statistic, expected.pvalue))
    assert found.groups and found.critical_difference == pytest.approx(1.25, abs=0.01)


def test_the_usual_worked_example_of_benjamini_and_hochberg():
    """Benjamini and Hochberg 1995, section 4: of fifteen tests Holm rejects three, their procedure four."""
    p = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590,
         1.0000]  # fmt: skip
    assert (adjust(p, "holm") <= 0.05).sum() == 3
    assert (adjust(p, "benjamini_hochberg") <= 0.05).sum() == 4


def test_kendall_on_lists_of_positions_is_another_statistic():
    """The known fault: tau of argsort lists. On ranks the planted relation is found, on positions mostly not."""
    rng = np.random.default_rng(0)
    right, wrong = [], []
    for _ in range(300):
        x = rng.normal(size=12)
        y = x + 0.5 * rng.normal(size=12)
        right.append(rank_correlation(x, y, "kendall", n_resamples=0).estimate)
        wrong.append(rank_correlation(np.argsort(x), np.argsort(y), "kendall", n_resamples=0).estimate)
        assert right[-1] == pytest.approx(stats.kendalltau(stats.rankdata(x), stats.rankdata(y)).statistic)
    assert np.mean(right) > 0.6 and np.mean(wrong) < 0.35 and np.corrcoef(right, wrong)[0, 1] < 0.6


@pytest.mark.parametrize("size", [(5,), (4, 7), (3, 3, 3)])
def test_multiplicities_are_draws_with_replacement(size):
    chunks = list(multiplicities(size, 500, 1))
    for k, n in enumerate(size):
        counts = np.concatenate([chunk[k] for chunk in chunks])
        assert counts.shape == (500, n) and (counts.sum(axis=1) == n).all() and (counts >= 0).all()
        assert counts.mean(axis=0) == pytest.approx(np.ones(n), abs=0.2)
        assert counts.var(axis=0).mean() == pytest.approx(1 - 1 / n, rel=0.15)


def test_percentiles_leave_undefined_resamples_out_and_count_them():
    values = np.concatenate([np.linspace(0, 1, 101), [np.nan] * 20])
    found = percentiles(values, 0.9)
    assert (found.low, found.high, found.degenerate) == pytest.approx((0.05, 0.95, 20))
    assert percentiles(np.full(10, np.nan), 0.9).reason == "most resamples are undefined"
    assert percentiles(np.ones(10), 0.9).reason == "resamples do not vary"
    assert Interval.missing("why").reason == "why" and np.isnan(Interval.missing("why").low)


@pytest.mark.parametrize("times", [2.0, 3.0, 1.5])
def test_the_correction_is_spearman_and_browns(times):
    """R = m r / (1 + (m - 1) r), and an oracle reaches its square root."""
    for r in (0.1, 0.5, 0.9):
        assert corrected(r, "pearson", times) == pytest.approx(math.sqrt(times * r / (1 + (times - 1) * r)))


@pytest.mark.parametrize("n", range(2, 9))
def test_every_seed_is_used_as_often(n):
    counts = np.zeros((2, n))
    for choose, score in half_splits(n):
        counts[0, choose] += 1
        counts[1, score] += 1
    if math.comb(n, n // 2) <= 100:
        assert len(set(counts.ravel())) == 1
    else:
        assert counts.min() > 0


def test_the_ceiling_falls_with_noise_and_rises_with_seeds():
    rng = np.random.default_rng(2)
    true = rng.normal(size=200)
    noise = rng.normal(size=(200, 8))
    by_noise = [ceiling_of(true[:, None] + s * noise, "kendall", "tau-b").estimate for s in (0.1, 0.5, 1.0, 2.0)]
    by_seeds = [ceiling_of(true[:, None] + noise[:, :k], "kendall", "tau-b").estimate for k in (2, 4, 8)]
    assert by_noise == sorted(by_noise, reverse=True) and by_seeds == sorted(by_seeds)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "n"), [("pearson", 20), ("spearman", 20), ("kendall", 12), ("kendall", 20)])
def test_intervals_over_items_cover_the_known_truth(kind, n):
    """Bivariate normal with correlation 0.6: the population coefficients are known in closed form."""
    rho = 0.6
    truth = {"pearson": rho, "spearman": 6 / np.pi * np.arcsin(rho / 2), "kendall": 2 / np.pi * np.arcsin(rho)}[kind]
    inside, reps = 0, 250
    for k in range(reps):
        rng = np.random.default_rng(k)
        x = rng.normal(size=n)
        y = rho * x + math.sqrt(1 - rho**2) * rng.normal(size=n)
        found = rank_correlation(x, y, kind, n_resamples=400, seed=k)
        inside += found.low <= truth <= found.high
    assert 0.88 <= inside / reps <= 0.99
