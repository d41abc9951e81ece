"""Correlations with their bookkeeping and intervals of the right kind."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from analysis import correlate, rank_correlation, transfer_matrix
from analysis.correlation import Options, mean_over_targets
from harness.errors import HarnessError


@pytest.fixture
def two_matrices(grid_frame):
    rows = grid_frame(tasks="abcdef")
    return (transfer_matrix(rows, filter={"method": m}) for m in ("probe", "tune"))


def test_the_result_counts_ties_and_dropped_pairs():
    found = rank_correlation([1, 1, 2, 3, np.nan, 5], [1, 2, 2, 2, 9, np.nan], "kendall")
    assert (found.n, found.dropped, found.ties_x, found.ties_y, found.ties) == (4, 2, 1, 3, 4)
    assert found.estimate == pytest.approx(stats.kendalltau([1, 1, 2, 3], [1, 2, 2, 2]).statistic)
    assert (found.kind, found.variant) == ("kendall", "tau-b")


@pytest.mark.parametrize("kind", ["pearson", "spearman", "kendall", "weighted_kendall"])
def test_constant_input_is_undefined_with_a_reason_never_zero(kind):
    for x, y, reason in (([1, 1, 1, 1], [1, 2, 3, 4], "x is constant"), ([1, 2, 3, 4], [2, 2, 2, 2], "y is constant")):
        found = rank_correlation(x, y, kind)
        assert np.isnan(found.estimate) and np.isnan(found.low) and np.isnan(found.high)
        assert found.reason == found.interval_reason == reason
        assert str(found) == f"undefined ({reason})"


@pytest.mark.parametrize(("x", "reason"), [([], "0 pairs"), ([1.0], "1 pairs"), ([np.nan, 2.0], "1 pairs")])
def test_too_few_pairs(x, reason):
    assert rank_correlation(x, x).reason == reason


def test_infinite_values_have_ranks_but_no_product_moment():
    x, y = [1, 2, 3, np.inf], [1, 3, 2, 4]
    assert rank_correlation(x, y, "spearman").estimate == pytest.approx(0.8)
    assert rank_correlation(x, y, "pearson").reason == "x has infinite values"


def test_the_interval_is_the_percentile_bootstrap_over_items():
    rng = np.random.default_rng(0)
    x = rng.normal(size=20)
    y = x + rng.normal(size=20)
    found = rank_correlation(x, y, "kendall", n_resamples=4000, seed=3)
    draws = [rng.integers(0, 20, 20) for _ in range(4000)]
    loop = np.quantile([stats.kendalltau(x[d], y[d]).statistic for d in draws], [0.025, 0.975])
    assert [found.low, found.high] == pytest.approx(loop, abs=0.04)
    assert found.low < found.estimate < found.high
    again = rank_correlation(x, y, "kendall", n_resamples=4000, seed=3)
    assert (again.low, again.high) == (found.low, found.high)


def test_intervals_that_mean_nothing_are_not_estimable():
    short = rank_correlation([1, 2, 3], [1, 3, 2])
    assert short.interval_reason == "fewer than 4 items" and "interval not estimable" in str(short)
    perfect = rank_correlation(range(6), range(6))
    assert perfect.estimate == pytest.approx(1.0) and perfect.interval_reason == "resamples do not vary"
    none = rank_correlation(range(6), [0, 2, 1, 3, 5, 4], n_resamples=0)
    assert np.isnan(none.low) and none.interval_reason == "no resamples were asked for"


def test_the_level_widens_the_interval():
    rng = np.random.default_rng(1)
    x = rng.normal(size=15)
    y = x + rng.normal(size=15)
    narrow, wide = (rank_correlation(x, y, level=level) for level in (0.5, 0.99))
    assert wide.low < narrow.low < narrow.high < wide.high


def test_crossed_resampling_is_wider_than_resampling_cells():
    """Cells of one target share its difficulty: taking them for independent promises too much."""
    rng = np.random.default_rng(0)
    rows, cols = (a.ravel() for a in np.meshgrid(np.arange(8), np.arange(8), indexing="ij"))
    difficulty = rng.normal(size=8)
    x = difficulty[cols] + 0.5 * rng.normal(size=64)
    y = difficulty[cols] + 0.5 * rng.normal(size=64)
    cells = rank_correlation(x, y, "pearson")
    crossed = rank_correlation(x, y, "pearson", rows=list(rows), cols=list(cols))
    assert crossed.estimate == cells.estimate
    assert crossed.high - crossed.low > 1.5 * (cells.high - cells.low)
    assert (cells.resampled, crossed.resampled) == ("items", "rows and columns")
    few = rank_correlation(x[:16], y[:16], "pearson", rows=list(rows[:16]), cols=list(cols[:16]))
    assert few.interval_reason == "fewer than 4 rows or columns"


@pytest.mark.slow
def test_the_interval_over_items_covers_at_nearly_its_level():
    rng = np.random.default_rng(7)
    true = 2 / np.pi * np.arcsin(0.6)  # Kendall's tau of a bivariate normal with correlation 0.6
    inside = 0
    for k in range(300):
        x = rng.normal(size=40)
        y = 0.6 * x + 0.8 * rng.normal(size=40)
        found = rank_correlation(x, y, "kendall", n_resamples=500, seed=k)
        inside += found.low <= true <= found.high
    assert 0.90 <= inside / 300 <= 0.98


def test_unknown_kinds_and_variants_name_the_nearest():
    with pytest.raises(HarnessError, match=r"'kendal'.*'kendall'"):
        rank_correlation([1, 2], [1, 2], "kendal")  # type: ignore[arg-type]  # refused at run time
    with pytest.raises(HarnessError, match=r"no variant 'tau-c'.*'tau-b'"):
        rank_correlation([1, 2], [1, 2], "kendall", "tau-c")
    with pytest.raises(HarnessError, match="not 2 and 3"):
        rank_correlation([1, 2], [1, 2, 3])


def test_the_default_is_scipys_weighted_kendall():
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(2, 9))
    found = rank_correlation(x, y)
    assert found.variant == "scipy"
    assert found.estimate == pytest.approx(stats.weightedtau(x, y).statistic)


def test_per_target_pooled_and_mean_are_three_readings(two_matrices):
    a, b = two_matrices
    found = correlate(a, b, "kendall", n_resamples=200)
    off = ~np.eye(6, dtype=bool)
    for j, target in enumerate("abcdef"):
        keep = off[:, j]
        expected = stats.kendalltau(a.values[keep, j], b.values[keep, j]).statistic
        assert found.per_target[target].estimate == pytest.approx(expected)
        assert (found.per_target[target].n, found.per_target[target].dropped) == (5, 0)
    assert found.pooled.estimate == pytest.approx(stats.kendalltau(a.values[off], b.values[off]).statistic)
    assert found.mean.estimate == pytest.approx(np.mean([t.estimate for t in found.per_target.values()]))
    assert (found.pooled.n, found.mean.n, found.self_cells) == (30, 6, 6)
    assert found.notes == ("6 cells with source = target excluded.",)


def test_the_self_cell_can_be_kept(two_matrices):
    a, b = two_matrices
    found = correlate(a, b, n_resamples=0, exclude_self=False)
    assert found.pooled.n == 36 and found.self_cells == 0 and found.notes == ()


def test_an_undefined_target_is_left_out_of_the_mean_and_counted(grid_frame):
    rows = grid_frame(tasks="abcdef")
    rows.loc[(rows.target == "c") & (rows.method == "probe") & (rows.role == "outcome"), "value"] = 0.5
    a, b = (transfer_matrix(rows, filter={"method": m}) for m in ("probe", "tune"))
    found = correlate(a, b, n_resamples=100)
    assert found.per_target["c"].reason == "x is constant"
    assert (found.mean.n, found.mean.dropped) == (5, 1)
    assert np.isfinite(found.mean.estimate)


def test_labels_that_only_one_matrix_has_are_left_out_and_said(grid_frame):
    rows = grid_frame(tasks="abcdef")
    a = transfer_matrix(rows, filter={"method": "probe"})
    b = transfer_matrix(rows, filter={"method": "tune", "source": list("abcde")})
    found = correlate(a, b, n_resamples=0)
    assert found.notes[0] == "source in one of the two only, left out: f."
    assert found.pooled.n == 25
    with pytest.raises(HarnessError, match="source x target, the other method x target"):
        correlate(a, transfer_matrix(rows, "method", "target", over=["source"]))


def test_rank_none_is_the_ranking_by_x():
    rng = np.random.default_rng(4)
    x, y = rng.integers(0, 5, size=(2, 9)).astype(float)
    found = rank_correlation(x, y, variant="rank=None", n_resamples=0)
    assert found.variant == "rank=None"
    assert found.estimate == pytest.approx(stats.weightedtau(x, y, rank=None).statistic)


def test_regret_and_rel_of_a_choice():
    score, accuracy = [0.9, 0.8, 0.1, 0.5], [70.0, 80.0, 60.0, 50.0]
    regret = rank_correlation(score, accuracy, "regret", "top-1")
    assert regret.estimate == 10.0 and regret.n == 4 and regret.variant == "top-1"
    assert rank_correlation(score, accuracy, "rel", "top-1").estimate == pytest.approx(70 / 80)
    assert rank_correlation(score, accuracy, "regret", "top-2").estimate == 0.0
    assert rank_correlation(score, accuracy, "regret", "top-4").reason == "top-4 of 4 items is no choice"
    assert rank_correlation(score, [1, 2, 0, 3], "rel").reason == "a ratio needs y above 0"
    assert rank_correlation([1, 1, 1, 1], accuracy, "regret").reason == "x is constant"
    with pytest.raises(HarnessError, match="no variant 'best'"):
        rank_correlation(score, accuracy, "regret", "best")


def test_a_choice_follows_the_direction_of_the_outcome(two_matrices):
    import dataclasses

    a, b = two_matrices
    error = dataclasses.replace(b, values=1 - b.values, higher_is_better=False, metric="error")
    plain, turned = (correlate(a, y, "regret", "top-1", n_resamples=0) for y in (b, error))
    for target in "abcdef":
        assert plain.per_target[target].estimate == pytest.approx(turned.per_target[target].estimate)
    assert "y negated before correlating." in turned.notes
    negated = correlate(a, b, "kendall", n_resamples=0, negate=["x"])
    assert negated.pooled.estimate == pytest.approx(-correlate(a, b, "kendall", n_resamples=0).pooled.estimate)


def test_families_are_resampled_whole(two_matrices):
    """Tasks of one family copied from each other: resampling single tasks promises too much."""
    rng = np.random.default_rng(0)
    x, y = np.repeat(rng.normal(size=(2, 6)), 4, axis=1)
    x, y = x + 0.01 * rng.normal(size=24), y + 0.01 * rng.normal(size=24)
    names = [f"t{k}" for k in range(24)]
    families = {name: f"f{k // 4}" for k, name in enumerate(names)}
    single = rank_correlation(x, y, "pearson", rows=names)
    whole = rank_correlation(x, y, "pearson", rows=names, families=families)
    assert whole.high - whole.low > 1.3 * (single.high - single.low)
    assert (single.resampled, whole.resampled) == ("rows", "families of rows")
    a, b = two_matrices
    alone = correlate(a, b, n_resamples=300, families={})
    found = correlate(a, b, n_resamples=300, families={"a": "one", "b": "one"})
    assert found.mean.resampled == "families of rows and columns"
    assert (found.mean.low, found.mean.high) != (alone.mean.low, alone.mean.high)
    few = correlate(a, b, families={name: "one" if name in "abc" else "two" for name in "abcdef"})
    assert "fewer than" in few.pooled.interval_reason and "families" in few.mean.interval_reason


def planted(rng, n_rows, n_cols, spreads=(1.0, 1.0, 1.0), links=(0.8, 0.6, 0.3)):
    """x and y with effects of the target (difficulty), of the source and of the cell, each correlated by its link."""

    def pair(shape, spread, link):
        z = rng.normal(size=shape)
        return spread * z, spread * (link * z + np.sqrt(1 - link**2) * rng.normal(size=shape))

    of_cols, of_rows, of_cells = (
        pair(shape, s, r) for shape, s, r in zip((n_cols, n_rows, (n_rows, n_cols)), spreads, links, strict=True)
    )
    x, y = (of_rows[k][:, None] + of_cols[k] + of_cells[k] for k in (0, 1))
    return x, y


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "variant"), [("pearson", "product-moment"), ("kendall", "tau-b")])
def test_crossed_intervals_cover_where_cell_resampling_fails(kind, variant):
    """Simulated grids with planted correlation and target difficulty; the true pooled correlation is known."""
    true = (0.8 + 0.6 + 0.3) / 3
    true_within = (0.6 + 0.3) / 2
    scale = (lambda r: 2 / np.pi * np.arcsin(r)) if kind == "kendall" else (lambda r: r)
    rows, cols = (list(v.ravel()) for v in np.meshgrid(range(8), range(8), indexing="ij"))
    names = [str(k) for k in range(8)]
    inside = {"crossed": 0, "cells": 0, "mean": 0}
    reps = 150
    for k in range(reps):
        x, y = planted(np.random.default_rng(k), 8, 8)
        options = {"n_resamples": 300, "seed": k}
        crossed = rank_correlation(x.ravel(), y.ravel(), kind, rows=rows, cols=cols, **options)
        cells = rank_correlation(x.ravel(), y.ravel(), kind, **options)
        how = Options(kind, variant, 300, k, 0.95)
        targets = [rank_correlation(x[:, j], y[:, j], kind, n_resamples=0) for j in range(8)]
        mean = mean_over_targets(x, y, (names, names), targets, how)
        inside["crossed"] += crossed.low <= scale(true) <= crossed.high
        inside["cells"] += cells.low <= scale(true) <= cells.high
        inside["mean"] += mean.low <= scale(true_within) <= mean.high
    assert 0.92 <= inside["crossed"] / reps <= 1.0
    assert 0.92 <= inside["mean"] / reps <= 1.0
    assert inside["cells"] / reps < 0.88


@pytest.mark.slow
def test_family_intervals_cover_where_tasks_are_related():
    """Twelve families of three alike tasks each; the true correlation of family effects is 0.5."""
    inside = {"families": 0, "tasks": 0}
    reps = 200
    names = [f"t{k}" for k in range(36)]
    families = {name: f"f{k // 3}" for k, name in enumerate(names)}
    for k in range(reps):
        rng = np.random.default_rng(k)
        base = rng.multivariate_normal([0, 0], [[1, 0.5], [0.5, 1]], size=12)
        x, y = (np.repeat(base[:, i], 3) for i in (0, 1))
        for name, known in (("families", families), ("tasks", None)):
            found = rank_correlation(x, y, "pearson", n_resamples=400, seed=k, rows=names, families=known)
            inside[name] += found.low <= 0.5 <= found.high
    assert 0.87 <= inside["families"] / reps <= 0.99
    assert inside["tasks"] / reps < 0.85
