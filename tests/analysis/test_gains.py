"""Mean gains and shares above the baseline: numbers by hand, intervals by scipy and by simulation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest, bootstrap

from analysis.gains import advantage, gains
from harness.errors import HarnessError
from tests.analysis.blocks import gains_matrix, planted

NAMES = [f"t{k}" for k in range(8)]


def by_label(found):
    return {g.label: g for g in found}


def test_means_and_shares_are_those_of_the_cells_but_a_task_with_itself(frame):
    values = np.array([[9.0, 0.2, 0.0], [-0.1, 9.0, 0.3], [-0.2, 0.1, 9.0]])
    found = gains(gains_matrix(frame, values, ["a", "b", "c"]))
    rows, cols = by_label(found.rows), by_label(found.cols)
    assert [g.label for g in found.cols] == ["c", "b", "a"] and found.self_cells == 3
    assert rows["a"].mean == pytest.approx(0.1) and (rows["a"].above, rows["a"].ties, rows["a"].n) == (1, 1, 2)
    assert cols["b"].mean == pytest.approx(0.15) and cols["b"].share == 1.0
    assert found.overall.mean == pytest.approx(0.05) and found.overall.above == 3
    assert rows["a"].reason == "fewer than 4 cells" and np.isnan(rows["a"].low)


def test_intervals_of_rows_are_the_bootstraps_and_wilsons(frame):
    values, _ = planted((8,), 0.0, 0.1, 2)
    found = by_label(gains(gains_matrix(frame, values, NAMES), n_resamples=20_000).rows)["t3"]
    cells = np.delete(values[3], 3)
    reference = bootstrap((cells,), np.mean, n_resamples=20_000, method="percentile", random_state=0)
    assert (found.low, found.high) == pytest.approx(reference.confidence_interval, abs=0.004)
    share = binomtest(int((cells > 0).sum()), 7).proportion_ci(method="wilson")
    assert (found.share_low, found.share_high) == pytest.approx((share.low, share.high))


def test_the_interval_over_all_cells_takes_whole_tasks(frame):
    """Where a source is good or bad on every target, the interval must be as wide as sources differ, not as cells."""
    effect = np.random.default_rng(0).normal(0, 0.1, 8)
    values = np.repeat(effect[:, None], 8, axis=1)
    found = gains(gains_matrix(frame, values, NAMES)).overall
    of_sources = 1.96 * effect.std(ddof=1) / np.sqrt(8)
    assert found.high - found.low > 1.2 * of_sources, "cells by themselves would give a third of it"


def test_intervals_cover_the_truth(frame):
    covered = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        values = 0.02 + rng.normal(0, 0.05, (12, 1)) + rng.normal(0, 0.05, (1, 12)) + rng.normal(0, 0.05, (12, 12))
        found = gains(gains_matrix(frame, values, [f"t{k}" for k in range(12)]), n_resamples=200).overall
        covered += found.low <= 0.02 <= found.high
    assert covered >= 22, "a bootstrap of twelve levels covers about 90 %; fewer than 22 come once in a thousand times"


def test_sets_are_apart_from_tasks(frame):
    values, _ = planted((8,), 0.0, 0.1)
    found = gains(gains_matrix(frame, np.vstack([values, np.full((1, 8), 0.5)]), NAMES, sets=["all"]))
    assert [g.label for g in found.sets] == ["all"] and found.sets[0].mean == pytest.approx(0.5)
    assert "all" not in by_label(found.rows) and found.overall.n == 56
    assert all(g.n == 7 for g in found.cols)


def test_only_sets_are_rows_like_any_other(frame):
    values = np.full((3, 4), np.nan)
    rows = np.vstack([np.full((4, 4), np.nan), np.tile([0.1, 0.2, 0.3, 0.4], (2, 1))])
    assert values.shape == (3, 4)
    found = gains(gains_matrix(frame, rows, NAMES[:4], sets=["one", "two"]))
    assert {g.label for g in found.rows} == {"one", "two"} and found.sets == () and found.overall.n == 8


def test_less_is_better_is_turned(frame):
    values, _ = planted((5,), 0.0, 0.1)
    matrix = gains_matrix(frame, values, NAMES[:5])
    plain, turned = (gains(replace(matrix, higher_is_better=way)).overall for way in (True, False))
    assert turned.mean == pytest.approx(-plain.mean) and turned.above == plain.n - plain.above


def test_a_matrix_without_baseline_has_no_gains(frame):
    matrix = replace(gains_matrix(frame, np.zeros((3, 3)), NAMES[:3]), relative_to=None)
    with pytest.raises(HarnessError, match="relative_to"):
        gains(matrix)


def test_a_row_against_the_mean_of_others(frame):
    rows = np.vstack([np.full((5, 5), np.nan), [[0.3, 0.1, 0.2, 0.4, 0.0], [0.1] * 5, [0.2] * 5, [0.6] * 5]])
    matrix = gains_matrix(frame, rows, NAMES[:5], sets=["mine", "random 1", "random 2", "random 3"])
    found = advantage(matrix, "mine", "random *")
    apart = np.array([0.3, 0.1, 0.2, 0.4, 0.0]) - 0.3
    assert found.mean == pytest.approx(apart.mean()) and (found.wins, found.n, found.as_good) == (1, 5, 2)
    assert found.others == ("random 1", "random 2", "random 3") and found.low < found.mean < found.high


def test_a_column_counts_where_all_rows_have_it(frame):
    others = np.array([[0.1, 0.2, np.nan, 0.5, 0.1], [0.3, np.nan, np.nan, 0.1, 0.1], [0.2, 0.2, np.nan, 0.3, 0.1]])
    rows = np.vstack([np.full((5, 5), np.nan), [[0.4, 0.9, 0.9, 0.2, np.nan]], others])
    found = advantage(
        gains_matrix(frame, rows, NAMES[:5], sets=["mine", "random 1", "random 2", "random 3"]), "mine", "random *"
    )
    assert found.n == 2 and found.wins == 1 and found.mean == pytest.approx(((0.4 - 0.2) + (0.2 - 0.3)) / 2)


@pytest.mark.parametrize(("row", "pattern", "said"), [("mne", "random *", "did you mean 'mine'"),
                                                      ("mine", "chance *", "is called 'chance \\*'")])  # fmt: skip
def test_rows_that_are_not_there_are_named(frame, row, pattern, said):
    matrix = gains_matrix(frame, np.vstack([np.full((4, 4), np.nan), np.zeros((2, 4))]), NAMES[:4],
                          sets=["mine", "random 1"])  # fmt: skip
    with pytest.raises(HarnessError, match=said):
        advantage(matrix, row, pattern)
