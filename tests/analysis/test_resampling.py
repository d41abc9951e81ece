"""Multiplicities and percentile intervals."""

from __future__ import annotations

import numpy as np
import pytest

from analysis import resampling
from analysis.resampling import Interval, multiplicities, percentiles


def test_multiplicities_are_draws_with_replacement():
    (rows, cols), *rest = list(multiplicities((5, 3), 1000, seed=1))
    assert rest == []
    assert rows.shape == (1000, 5) and cols.shape == (1000, 3)
    assert (rows.sum(axis=1) == 5).all() and (cols.sum(axis=1) == 3).all()
    assert rows.mean(axis=0) == pytest.approx(np.ones(5), abs=0.12)
    assert rows.var(axis=0) == pytest.approx(np.full(5, 5 * 0.2 * 0.8), abs=0.15)


def test_large_draws_come_in_chunks(monkeypatch):
    monkeypatch.setattr(resampling, "_CHUNK", 100)
    chunks = list(multiplicities((10,), 25, seed=0))
    assert [len(c[0]) for c in chunks] == [10, 10, 5]


def test_percentiles_leave_out_and_count_undefined_resamples():
    values = np.concatenate([np.linspace(0, 1, 101), [np.nan] * 9])
    found = percentiles(values, 0.9)
    assert (found.low, found.high, found.degenerate) == (pytest.approx(0.05), pytest.approx(0.95), 9)


@pytest.mark.parametrize(
    ("values", "reason"),
    [([np.nan, np.nan, 1.0], "most resamples are undefined"), ([0.5] * 10, "resamples do not vary")],
)
def test_an_interval_that_shows_nothing_is_missing(values, reason):
    found = percentiles(np.array(values), 0.95)
    assert np.isnan(found.low) and np.isnan(found.high) and found.reason == reason


def test_a_missing_interval():
    found = Interval.missing("because", 3)
    assert np.isnan(found.low) and (found.reason, found.degenerate) == ("because", 3)


def test_resamples_used_again_are_those_of_the_generator_and_cannot_be_changed():
    generator = np.random.default_rng(4)
    wanted = [generator.multinomial(n, np.full(n, 1 / n), size=50) for n in (6, 3)]
    for _ in range(2):
        ((rows, cols),) = multiplicities([6, 3], 50, seed=4, width=18)
        assert (rows == wanted[0]).all() and (cols == wanted[1]).all()
        with pytest.raises(ValueError, match="read-only"):
            rows[0, 0] = 9
    ((other, _),) = multiplicities([6, 3], 50, seed=5)
    assert (other != rows).any()
    assert list(multiplicities([6], 0, seed=4)) == []


def test_resamples_too_large_to_keep_are_drawn_alike(monkeypatch):
    ((kept,),) = multiplicities([8], 40, seed=1)
    monkeypatch.setattr(resampling, "_KEPT", 10)
    ((drawn,),) = multiplicities([8], 40, seed=1)
    assert (kept == drawn).all() and drawn.flags.writeable
