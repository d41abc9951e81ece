"""Intervals of single cells: coverage when seeds and the test sample both vary, and what is not estimable."""

from __future__ import annotations

import numpy as np
import pytest

from analysis import transfer_matrix
from analysis.intervals import cell_intervals


def test_the_error_of_the_test_sample_is_the_binomials(frame):
    found = transfer_matrix(frame([{"source": "a", "value": 0.8, "n_eval": 400}]))
    interval = cell_intervals(found)
    p, n = (0.8 * 400 + 2) / 404, 404
    assert interval.test_error[0, 0] == pytest.approx(np.sqrt(p * (1 - p) / n))
    assert interval.high[0, 0] - interval.low[0, 0] == pytest.approx(2 * 1.96 * interval.test_error[0, 0], rel=1e-3)
    assert "the test sample" in interval.note and "seeds) is not estimable" in interval.note


def test_seeds_and_test_sample_add_up(frame):
    rows = [{"source": "a", "value": v, "seed": k, "n_eval": 100} for k, v in enumerate((0.70, 0.74, 0.78))]
    both = cell_intervals(transfer_matrix(frame(rows)))
    seeds_only = cell_intervals(transfer_matrix(frame([r | {"n_eval": None} for r in rows])))
    assert both.low[0, 0] < seeds_only.low[0, 0] < 0.74 < seeds_only.high[0, 0] < both.high[0, 0] + 0.06
    assert np.isnan(seeds_only.test_error[0, 0]) and "(the test sample) is not estimable" in seeds_only.note
    from scipy import stats

    half = stats.t.ppf(0.975, 2) * 0.04 / np.sqrt(3)
    assert seeds_only.high[0, 0] == pytest.approx(0.74 + half)


def test_no_error_is_made_up(frame):
    nothing = cell_intervals(transfer_matrix(frame([{"source": "a", "value": 0.8, "n_eval": None}])))
    assert np.isnan(nothing.low[0, 0]) and "not estimable" in nothing.note
    loss = frame([{"source": "a", "value": 0.8, "metric": "loss", "n_eval": 50}])
    assert np.isnan(cell_intervals(transfer_matrix(loss, value="loss")).low[0, 0])


def test_intervals_of_shares_stay_between_zero_and_one(frame):
    rows = [{"source": "a", "value": v, "seed": k, "n_eval": 20} for k, v in enumerate((1.0, 1.0, 0.9))]
    found = cell_intervals(transfer_matrix(frame(rows)))
    assert 0 < found.low[0, 0] < 1 and found.high[0, 0] == 1.0


@pytest.mark.parametrize(("seeds", "n_eval"), [(1, 100), (4, 100), (4, 1000)])
def test_they_cover_the_true_accuracy(frame, seeds, n_eval):
    """Each repetition draws a test set (shared by its seeds) and trainings; the truth is the mean accuracy."""
    rng = np.random.default_rng(seeds * n_eval)
    rows, truth, spread = [], 0.75, 0.03 if seeds > 1 else 0.0
    for rep in range(300):
        easiness = rng.uniform(size=n_eval)
        for seed in range(seeds):
            threshold = truth + spread * rng.normal()
            rows.append({"source": f"s{rep}", "seed": seed, "n_eval": n_eval, "value": (easiness < threshold).mean()})
    found = cell_intervals(transfer_matrix(frame(rows)))
    inside = ((found.low <= truth) & (truth <= found.high)).mean()
    assert 0.92 <= inside <= 0.995
