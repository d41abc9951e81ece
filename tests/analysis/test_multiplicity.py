"""Corrections for many tests against statsmodels, and the running maximum that a known program forgets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.multiplicity import adjust
from harness.errors import HarnessError

multitest = pytest.importorskip("statsmodels.stats.multitest")
P_VALUES = st.lists(st.sampled_from([0.0, 0.001, 0.01, 0.02, 0.03, 0.04, 0.05, 0.2, 0.5, 1.0]), min_size=1, max_size=12)


@pytest.mark.parametrize(("correction", "theirs"), [("holm", "holm"), ("benjamini_hochberg", "fdr_bh")])
@settings(max_examples=80, deadline=None)
@given(p=P_VALUES)
def test_equal_to_statsmodels(correction, theirs, p):
    expected = multitest.multipletests(p, method=theirs)[1]
    np.testing.assert_allclose(adjust(p, correction), expected, atol=1e-12)


@settings(max_examples=50, deadline=None)
@given(p=P_VALUES)
def test_adjusted_values_keep_the_order_and_never_shrink(p):
    for correction in ("holm", "benjamini_hochberg"):
        found = adjust(p, correction)
        assert (found >= np.array(p) - 1e-15).all() and (found <= 1).all()
        assert (np.diff(found[np.argsort(p, kind="stable")]) >= -1e-15).all()


def test_the_running_maximum_matters():
    """Without it the third value would be adjusted to 0.04, below the second's."""
    np.testing.assert_allclose(adjust([0.01, 0.03, 0.04]), [0.03, 0.06, 0.06])


def test_undefined_values_are_no_tests():
    found = adjust([0.01, np.nan, 0.04])
    assert found[0] == 0.02 and np.isnan(found[1]) and found[2] == 0.04
    assert np.isnan(adjust([np.nan])).all() and adjust([]).size == 0
    assert list(adjust([0.01, 0.04], "none")) == [0.01, 0.04]


def test_wrong_input():
    with pytest.raises(HarnessError, match=r"'hom'.*'holm'"):
        adjust([0.1], "hom")
    with pytest.raises(HarnessError, match="outside"):
        adjust([1.1])
