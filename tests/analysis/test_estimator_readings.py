"""The tables of all coefficients, per target and together, and of what scores cost."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis import transfer_matrix
from analysis.ceiling import Ceiling
from analysis.estimator_readings import KINDS, coefficients_table, cost_table, costs, per_target_table, readings


@pytest.fixture
def matrices(grid_frame):
    rows = grid_frame(tasks="abcdefg")
    return {m: transfer_matrix(rows, filter={"method": m}) for m in ("probe", "tune")}


def test_every_coefficient_is_the_textbook_one(matrices):
    found = readings({"probe": matrices["probe"]}, matrices["tune"], n_resamples=0)
    outcome = matrices["tune"]
    keep = [row != "c" for row in outcome.row_labels]
    x, y = (matrices[name].values[keep, outcome.col_labels.index("c")] for name in ("probe", "tune"))
    wanted = {
        "weighted_kendall": stats.weightedtau(x, y).statistic, "kendall": stats.kendalltau(x, y).statistic,
        "spearman": stats.spearmanr(x, y).statistic, "pearson": stats.pearsonr(x, y).statistic,
    }  # fmt: skip
    assert set(wanted) == set(KINDS)
    for kind, value in wanted.items():
        assert found["probe"][kind].per_target["c"].estimate == pytest.approx(value, abs=1e-12), kind


def test_the_tables_say_all_readings_with_their_intervals(matrices):
    found = readings(matrices, matrices["tune"], n_resamples=60)
    ceiling = {"kendall": {"": Ceiling(0.9, 0.8, 3, "kendall", "")}}
    table = coefficients_table(found, ["tune"], ceiling, "Title")
    assert [row[0].text for row in table.rows] == ["probe", "tune (baseline)", "noise ceiling"]
    assert table.header[1:] == tuple(f"{what} {s}" for s in ("τ_w", "τ_b", "ρ", "r") for what in ("mean", "pooled"))
    assert all(len(row) == len(table.header) for row in table.rows)
    mean = found["probe"]["kendall"].mean
    assert table.rows[0][3].text == str(mean) and table.rows[2][3].text == "0.90"
    assert table.records[0]["mean kendall low"] == mean.low and table.records[1]["kind"] == "baseline"
    each = per_target_table(found, "Title")
    assert len(each.rows) == 2 * 7 and each.stubs == 2
    assert each.records[0]["pearson high"] == found["probe"]["pearson"].per_target["a"].high
    assert each.rows[0][-3].text == "6", "a source on itself is left out"


def test_a_score_shared_by_trials_costs_once():
    frame = pd.DataFrame({
        "role": ["estimator"] * 4 + ["outcome"], "method": ["fast", "fast", "fast", "slow", "tune"],
        "key": ["k", "k", "l", "m", "n"], "seconds": [0.1, 0.1, 0.3, 2.0, 9.0],
        "memory_bytes": [2**20, 2**20, 3 * 2**20, np.nan, 1.0],
    })  # fmt: skip
    found = costs(frame)
    assert set(found) == {"fast", "slow"}
    fast = found["fast"]
    assert (fast.scores, fast.bytes) == (2, 3 * 2**20) and np.isnan(found["slow"].bytes)
    assert (fast.seconds, fast.median, fast.most) == pytest.approx((0.4, 0.2, 0.3))
    table = cost_table(found, "Costs")
    assert [[cell.text for cell in row] for row in table.rows] == [
        ["slow", "1", "2.00", "2000.0", "2000.0", ""],
        ["fast", "2", "0.40", "200.0", "300.0", "3"],
    ]
