"""Random frames against plain pandas: imports, references and intervals mean what they say, whatever the numbers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats

from analysis import adjust, compare_estimators, correlate, import_outcomes, rank_correlation, transfer_matrix
from analysis.baseline_scores import leave_one_out
from analysis.clustering import cluster, item_distances
from analysis.permutation import permutation_test
from analysis.published_averages import check_averages
from analysis.transfer_graphs import strongest_transfers

RELAXED = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
NAMES = ["a", "b", "c", "d", "e"]


@st.composite
def grids(draw, least=2, most=5, seeds=2):
    """A complete grid of tasks on each other: values [n, n, seeds] that are multiples of 1/64, so sums are exact."""
    n = draw(st.integers(least, most))
    cells = draw(st.lists(st.integers(0, 64), min_size=n * n * seeds, max_size=n * n * seeds))
    return np.array(cells, dtype=float).reshape(n, n, seeds) / 64


def frame_of(values, drop=()):
    """The long frame of a grid, without the cells in ``drop``."""
    n, m, seeds = values.shape
    return pd.DataFrame(
        [
            {"source": NAMES[i], "target": NAMES[j], "seed": s, "value": values[i, j, s]}
            for i in range(n) for j in range(m) for s in range(seeds) if (i, j) not in drop
        ]
    )  # fmt: skip


@RELAXED
@given(values=grids())
def test_a_matrix_is_a_pivot_table(values):
    long = frame_of(values)
    matrix = transfer_matrix(import_outcomes(long))
    pivot = long.pivot_table(index="source", columns="target", values="value", aggfunc=["mean", "std"])
    assert np.allclose(matrix.values, pivot["mean"]) and np.allclose(matrix.spread, pivot["std"])
    assert (matrix.count == 2).all() and (matrix.seeds == 2).all()


@RELAXED
@given(values=grids(), shuffle=st.integers(0, 1000))
def test_the_order_of_rows_does_not_matter(values, shuffle, tmp_path):
    long = frame_of(values)
    mixed = long.sample(frac=1.0, random_state=shuffle)
    path = tmp_path / "mixed.csv"
    mixed.to_csv(path, index=False)
    ours, theirs = transfer_matrix(import_outcomes(long)), transfer_matrix(import_outcomes(path))
    assert ours.row_labels == theirs.row_labels and np.allclose(ours.values, theirs.values)
    assert {t for c in ours.trial_ids.ravel() for t in c} == {t for c in theirs.trial_ids.ravel() for t in c}


@RELAXED
@given(values=grids())
def test_wide_and_long_agree(values):
    long = frame_of(values[:, :, :1])
    wide = long.pivot(index="source", columns="target", values="value").reset_index()
    assert np.allclose(
        transfer_matrix(import_outcomes(wide, rows="source")).values, transfer_matrix(import_outcomes(long)).values
    )


@RELAXED
@given(values=grids())
def test_references_are_what_pandas_says(values):
    frame = import_outcomes(frame_of(values))
    mean = values.mean(axis=2)
    own = transfer_matrix(frame, relative_to="own").values
    assert np.allclose(own, mean - np.diag(mean))
    best = transfer_matrix(frame, relative_to="target_best").values
    assert np.allclose(best, mean - mean.max(axis=0)) and (best <= 1e-12).all()
    z = transfer_matrix(frame, relative_to="z")
    for j in range(len(mean)):
        if np.ptp(mean[:, j]) > 0:
            assert np.allclose(z.values[:, j], stats.zscore(mean[:, j]))
        else:
            assert set(z.reasons[:, j]) == {"undefined"}


@RELAXED
@given(values=grids(least=3), drop=st.sets(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=3))
def test_missing_cells_are_missing_everywhere_and_nothing_else_is(values, drop):
    frame = import_outcomes(frame_of(values, drop))
    absolute, z = transfer_matrix(frame), transfer_matrix(frame, relative_to="z")
    present = {(r, c) for r, c in zip(frame.source, frame.target, strict=True)}
    for i, row in enumerate(absolute.row_labels):
        for j, col in enumerate(absolute.col_labels):
            assert np.isfinite(absolute.values[i, j]) == ((row, col) in present)
            assert (absolute.reasons[i, j] == "") == ((row, col) in present)
            assert not np.isfinite(z.values[i, j]) or (row, col) in present


@RELAXED
@given(values=grids(least=3, seeds=1))
def test_leave_one_out_is_the_mean_of_the_other_standard_scores(values):
    matrix = transfer_matrix(import_outcomes(frame_of(values)))
    found = leave_one_out(matrix, exclude_self=False)
    plain = values[:, :, 0]
    z = np.full(plain.shape, np.nan)
    for j in range(plain.shape[1]):
        if np.ptp(plain[:, j]) > 0:
            z[:, j] = stats.zscore(plain[:, j])
    for i in range(plain.shape[0]):
        for j in range(plain.shape[1]):
            others = np.delete(z[i], j)
            expected = np.nanmean(others) if np.isfinite(others).any() else np.nan
            assert found[i, j] == pytest.approx(expected, nan_ok=True, abs=1e-9)


@RELAXED
@given(values=grids(least=4, seeds=1), seed=st.integers(0, 100))
def test_an_interval_holds_its_ends_in_order_and_depends_on_the_seed_only(values, seed):
    x, y = values[:, 0, 0], values[:, 1, 0]
    found = rank_correlation(x, y, "kendall", n_resamples=60, seed=seed)
    if np.isfinite(found.low):
        assert -1 <= found.low <= found.high <= 1
    assert found == rank_correlation(x, y, "kendall", n_resamples=60, seed=seed) or not np.isfinite(found.low)


@RELAXED
@given(values=grids(least=4, seeds=2))
def test_a_comparison_turned_round_turns_its_sign(values):
    outcome = transfer_matrix(import_outcomes(frame_of(values[:, :, :1])))
    rng = np.random.default_rng(0)
    from dataclasses import replace

    scores = {n: replace(outcome, values=rng.normal(size=outcome.shape)) for n in ("x", "y")}
    there = compare_estimators(scores, outcome, "x", "y", "kendall", n_resamples=40)
    back = compare_estimators(scores, outcome, "y", "x", "kendall", n_resamples=40)
    for name, one in there.per_target.items():
        other = back.per_target[name]
        assert one.estimate == pytest.approx(-other.estimate, nan_ok=True)
        assert one.low == pytest.approx(-other.high, nan_ok=True) and one.p_value == pytest.approx(
            other.p_value, nan_ok=True
        )
    assert there.mean.estimate == pytest.approx(-back.mean.estimate, nan_ok=True)


@RELAXED
@given(values=grids(least=4, seeds=2))
def test_correlating_with_oneself_is_one_or_undefined(values):
    matrix = transfer_matrix(import_outcomes(frame_of(values)))
    for kind in ("pearson", "spearman", "kendall", "weighted_kendall"):
        for one in correlate(matrix, matrix, kind, n_resamples=0).per_target.values():
            assert one.estimate == pytest.approx(1.0) if not one.reason else np.isnan(one.estimate)


@RELAXED
@given(values=grids(least=4, seeds=2), order=st.permutations(range(4)))
def test_relabelling_both_matrices_changes_no_permutation_test(values, order):
    a, b = values[:4, :4, 0], values[:4, :4, 1]
    move = np.ix_(order, order)
    first = permutation_test(a, b, "pearson", together=True, n_permutations=20)
    second = permutation_test(a[move], b[move], "pearson", together=True, n_permutations=20)
    assert first.estimate == pytest.approx(second.estimate, nan_ok=True)
    assert first.reason == second.reason
    if not first.reason:
        assert 1 / 21 - 1e-12 <= first.p_value <= 1


@RELAXED
@given(values=grids(least=3, seeds=1))
def test_trees_hold_every_row_once_and_distances_are_metric(values):
    plain = values[:, :, 0]
    distances = item_distances(plain)
    assert np.allclose(distances, distances.T) and np.allclose(np.diag(distances), 0) and (distances >= 0).all()
    for i in range(len(plain)):
        for j in range(len(plain)):
            assert distances[i, j] == pytest.approx(np.sqrt(np.mean((plain[i] - plain[j]) ** 2)), abs=1e-7)
    tree = cluster(transfer_matrix(import_outcomes(frame_of(values))), "rows")
    assert sorted(tree.order) == list(range(len(plain))) and len(tree.links) == len(plain) - 1


@RELAXED
@given(values=grids(least=3, seeds=1))
def test_gains_are_listed_from_the_largest(values):
    matrix = transfer_matrix(import_outcomes(frame_of(values)), relative_to="own")
    edges = strongest_transfers(matrix, 100)
    off = matrix.values[~np.eye(len(matrix.values), dtype=bool)]
    assert [e.gain for e in edges] == pytest.approx(sorted(off[off > 0], reverse=True))


@settings(max_examples=60, deadline=None)
@given(
    cells=st.lists(st.integers(0, 999), min_size=1, max_size=9), digits=st.integers(0, 2), off=st.integers(-5, 5),
)  # fmt: skip
def test_an_average_follows_exactly_when_it_is_the_rounded_mean(cells, digits, off):
    unit = 10.0**-digits
    exact = np.mean([c * unit for c in cells])
    printed = round(exact / unit) * unit + off * unit
    base = {"paper": "p", "table": "t", "row": "r", "unit": "", "tolerance": np.nan, "provenance": "paper", "note": ""}
    rows = [{**base, "column": str(k), "value": c * unit, "printed": f"{c * unit:.{digits}f}", "average_of": ""}
            for k, c in enumerate(cells)]  # fmt: skip
    mean = {**base, "column": "mean", "value": printed, "printed": f"{printed:.{digits}f}", "average_of": "*"}
    (check,) = check_averages(pd.DataFrame([*rows, mean]))
    distance = abs(printed - exact)
    expected = (
        "follows" if distance <= unit / 2 + 1e-9 else "rounding" if distance <= unit + 1e-9 else "does not follow"
    )
    assert check.verdict == expected and check.n == len(cells)


@settings(max_examples=40, deadline=None)
@given(p=st.lists(st.floats(0, 1), min_size=1, max_size=10), order=st.randoms())
def test_corrections_do_not_depend_on_the_order_of_tests(p, order):
    moved = list(range(len(p)))
    order.shuffle(moved)
    for correction in ("holm", "benjamini_hochberg"):
        plain = adjust(p, correction)
        assert np.allclose(adjust([p[k] for k in moved], correction), plain[moved])
