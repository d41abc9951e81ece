"""Cost estimates against simulation and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from harness.planning.cost import PastRuns, _t95, estimate_bytes, estimate_seconds


def test_unknown_kinds_make_the_total_unknown() -> None:
    estimate = estimate_seconds({"train": 3, "evaluate": 2, "idle": 0}, {"train": PastRuns(5, 1.0, 0.1)})
    assert estimate.seconds is None and estimate.unknown == ("evaluate",)


def test_one_past_run_gives_no_interval() -> None:
    estimate = estimate_seconds({"train": 3}, {"train": PastRuns(1, 2.0, 0.0)})
    assert (estimate.seconds, estimate.low, estimate.high) == (6.0, None, None)


def test_nothing_needed_costs_nothing() -> None:
    estimate = estimate_seconds({"train": 0}, {"train": PastRuns(5, 1.0, 0.1)})
    assert (estimate.seconds, estimate.low, estimate.high) == (0.0, 0.0, 0.0)


def test_interval_is_the_textbook_prediction_interval() -> None:
    past = np.array([1.0, 2.0, 4.0, 3.0, 2.5, 1.5])
    mean, variance, n, m = past.mean(), past.var(ddof=1), len(past), 10
    half = stats.t.ppf(0.975, n - 1) * np.sqrt(variance * (m + m**2 / n))
    estimate = estimate_seconds({"train": m}, {"train": PastRuns(n, mean, variance)})
    assert estimate.seconds == pytest.approx(m * mean)
    assert estimate.high == pytest.approx(m * mean + half, rel=1e-3)


def test_interval_covers_new_totals() -> None:
    generator = np.random.default_rng(0)
    hits, rounds = 0, 2000
    for _ in range(rounds):
        past, new = generator.normal(5, 1, 6), generator.normal(5, 1, 10)
        estimate = estimate_seconds({"k": 10}, {"k": PastRuns(6, past.mean(), past.var(ddof=1))})
        assert estimate.low is not None and estimate.high is not None
        hits += estimate.low <= new.sum() <= estimate.high
    assert 0.93 < hits / rounds < 0.97


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 6, 9, 10, 14, 29, 30, 59, 60, 1000])
def test_quantiles_are_never_too_small(freedom: int) -> None:
    exact = stats.t.ppf(0.975, freedom)
    assert exact - 1e-3 <= _t95(freedom) <= exact * 1.11


def test_bytes() -> None:
    past = {"train": PastRuns(2, 1.0, 0.0, 100.0), "evaluate": PastRuns(2, 1.0, 0.0)}
    assert estimate_bytes({"train": 3, "evaluate": 5}, past) == 300
    assert estimate_bytes({"train": 3, "embed": 1}, past) is None
    assert estimate_bytes({"embed": 0}, past) == 0
