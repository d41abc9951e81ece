"""Tests of ranks against scipy and against worked numbers, and the diagram of critical differences."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from analysis.critical_differences import critical_difference, draw_critical_difference
from analysis.figures import style
from analysis.ranking_tests import indistinct, rank_methods, wilcoxon_pairs
from harness.errors import HarnessError

GRID = st.integers(3, 5).flatmap(
    lambda k: st.lists(st.lists(st.integers(0, 4), min_size=k, max_size=k), min_size=3, max_size=8)
)


def by_name(table):
    return {f"m{j}": np.array(table, dtype=float)[:, j] for j in range(len(table[0]))}


@settings(max_examples=60, deadline=None)
@given(table=GRID)
def test_friedman_equals_scipy_with_ties(table):
    scores = by_name(table)
    found = rank_methods(scores)
    if all(len(set(row)) == 1 for row in table):
        assert found.reason == "all methods tie on every task" and np.isnan(found.p_value)
        return
    expected = stats.friedmanchisquare(*scores.values())
    assert found.statistic == pytest.approx(expected.statistic, abs=1e-9)
    assert found.p_value == pytest.approx(expected.pvalue, abs=1e-9)
    assert found.mean_ranks.sum() == pytest.approx(len(scores) * (len(scores) + 1) / 2)


def test_the_critical_difference_of_demsar():
    """Demsar 2006: four methods over fourteen data sets, q = 2.569, CD = 1.25 at the five per cent level."""
    rng = np.random.default_rng(0)
    found = rank_methods({name: rng.normal(size=14) for name in "abcd"})
    assert found.critical_difference == pytest.approx(2.569 * np.sqrt(4 * 5 / (6 * 14)), abs=2e-3)
    assert found.critical_difference == pytest.approx(1.25, abs=0.01)


def test_direction_missing_tasks_and_names():
    scores = {"good": [0.9, 0.8, np.nan, 0.7], "bad": [0.1, 0.2, 0.3, 0.4], "middle": [0.5, 0.5, 0.5, 0.5]}
    found = rank_methods(scores)
    assert list(found.mean_ranks) == [1.0, 3.0, 2.0] and (found.n_tasks, found.dropped) == (3, 1)
    assert list(rank_methods(scores, higher_is_better=False).mean_ranks) == [3.0, 1.0, 2.0]
    assert rank_methods({"a": [1.0], "b": [2.0]}).reason == "fewer than two tasks"
    with pytest.raises(HarnessError, match="at least two methods"):
        rank_methods({"a": [1.0]})


def test_groups_are_maximal_stretches():
    names = ("a", "b", "c", "d")
    assert indistinct(names, np.array([1.0, 1.5, 2.4, 4.0]), 1.0) == (("a", "b"), ("b", "c"))
    assert indistinct(names, np.array([4.0, 2.4, 1.5, 1.0]), 5.0) == (("d", "c", "b", "a"),)
    assert indistinct(names, np.array([1.0, 2.0, 3.0, 4.0]), 0.5) == ()


def test_wilcoxon_equals_scipy_and_is_corrected():
    rng = np.random.default_rng(1)
    scores = {"a": rng.normal(size=12), "b": rng.normal(size=12) + 1, "c": rng.normal(size=12)}
    found = {(p.x, p.y): p for p in wilcoxon_pairs(scores)}
    for (x, y), pair in found.items():
        expected = stats.wilcoxon(scores[x], scores[y])
        assert (pair.statistic, pair.p_value) == pytest.approx((expected.statistic, expected.pvalue))
        assert pair.adjusted >= pair.p_value and pair.n == 12
    same = wilcoxon_pairs({"a": [1.0, 2.0], "b": [1.0, 2.0]})[0]
    assert same.reason == "no task on which they differ" and np.isnan(same.p_value)
    with pytest.raises(HarnessError):
        wilcoxon_pairs({"a": [1.0], "b": [1.0, 2.0]})


@pytest.mark.parametrize("k", [2, 3, 7, 12])
def test_the_diagram_names_every_method_and_keeps_texts_inside(k, tmp_path):
    rng = np.random.default_rng(k)
    scores = {f"method number {j}": rng.normal(size=10) + 0.4 * j for j in range(k)}
    test = rank_methods(scores)
    with style():
        figure = draw_critical_difference(test, title="Ranks")
        figure.canvas.draw()
        box = figure.bbox
        texts = [t for axes in figure.axes for t in axes.texts] + figure.texts
        for text in texts:
            extent = text.get_window_extent()
            assert extent.x0 >= -1 and extent.x1 <= box.width + 1, text.get_text()
        words = " ".join(t.get_text() for t in texts)
    for name, rank in zip(test.names, test.mean_ranks, strict=True):
        assert f"{name} ({rank:.2f})" in words
    path = critical_difference(test, tmp_path / "cd.svg")
    assert path.read_bytes() == critical_difference(test, tmp_path / "cd2.svg").read_bytes()


def test_there_is_no_diagram_without_ranks():
    with style(), pytest.raises(HarnessError, match="fewer than two tasks"):
        draw_critical_difference(rank_methods({"a": [1.0], "b": [2.0]}))
