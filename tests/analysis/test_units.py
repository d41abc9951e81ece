"""How numbers are printed."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.build import better
from analysis.units import Unit, base_metric, is_fraction, minus, unit_of


def test_fractions_are_shown_in_percent():
    unit = unit_of(np.array([0.5, 0.8234]), True, None)
    assert (unit.name, unit.text(0.8234)) == ("%", "82.3")


def test_differences_of_fractions_are_percentage_points_and_signed():
    unit = unit_of(np.array([0.02]), True, "difference")
    assert (unit.name, unit.text(0.0216, signed=True)) == ("percentage points", "+2.2")


@pytest.mark.parametrize("how", ["relative_gain", "relative_error_reduction"])
def test_relative_readings_are_percent_for_any_metric(how):
    assert unit_of(np.array([1.5]), False, how) == Unit(100.0, "%", 1)


@pytest.mark.parametrize(("largest", "decimals"), [(1234.0, 0), (12.3, 1), (1.2, 2), (0.5, 3), (0.00012, 6), (0.0, 3)])
def test_other_metrics_keep_three_digits(largest, decimals):
    unit = unit_of(np.array([largest, np.nan]), False, None)
    assert (unit.scale, unit.name, unit.decimals) == (1.0, "", decimals)


def test_what_rounds_to_zero_has_no_sign():
    assert Unit(100, "%", 1).text(-0.0001, signed=True) == "0.0"
    assert Unit(100, "%", 1).text(-0.0001) == "0.0"


def test_missing_and_infinite_values():
    assert [Unit().text(v) for v in (float("nan"), float("inf"), -float("inf"))] == ["", "inf", "-inf"]


def test_a_metric_is_a_fraction_only_by_name_and_by_values():
    assert is_fraction("accuracy", np.array([0.0, 1.0, np.nan]))
    assert not is_fraction("accuracy", np.array([55.0]))
    assert not is_fraction("loss", np.array([0.5]))


def test_minus():
    assert minus("-1.0 - x") == "−1.0 − x"


@pytest.mark.parametrize(
    ("metric", "base"),
    [
        ("accuracy", "accuracy"),
        ("accuracy_best", "accuracy"),
        ("accuracy_best10_mean", "accuracy"),
        ("accuracy_last10_mean", "accuracy"),
        ("accuracy_final", "accuracy"),
        ("loss_best", "loss"),
        ("best_accuracy", "best_accuracy"),
        ("mean", "mean"),
    ],
)
def test_scores_over_a_training_are_of_the_kind_of_their_metric(metric, base):
    assert base_metric(metric) == base
    assert is_fraction(metric, np.array([0.2, 0.9])) == (base == "accuracy")
    assert better(metric, None) == (base != "loss")
