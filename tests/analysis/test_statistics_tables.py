"""Tables of statistics: every printed number is the one of the result, and what is missing says why."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis import compare, correlate, transfer_matrix
from analysis.correlation import Correlation, rank_correlation
from analysis.estimator_tables import EstimatorStudy, estimator_study, estimator_table
from analysis.statistics_tables import comparison_table, correlation_table


@pytest.fixture
def pair(grid_frame):
    rows = grid_frame(tasks="abcdef")
    return rows, *(transfer_matrix(rows, filter={"method": m}, title=m) for m in ("probe", "tune"))


def texts(row):
    return [cell.text for cell in row]


def test_a_correlation_table_repeats_the_result(pair):
    _, x, y = pair
    found = correlate(x, y, n_resamples=200)
    others = {kind: correlate(x, y, kind, n_resamples=0) for kind in ("kendall", "pearson")}
    table = correlation_table(found, others, "Title", "target")
    assert table.header == ("target", "τ_w", "95% interval", "τ_b", "r", "n", "ties", "dropped")
    for row, name in zip(table.rows, "abcdef", strict=False):
        one = found.per_target[name]
        assert texts(row) == [
            name, f"{one.estimate:.2f}", f"[{one.low:.2f}, {one.high:.2f}]" if np.isfinite(one.low) else texts(row)[2],
            f"{others['kendall'].per_target[name].estimate:.2f}", f"{others['pearson'].per_target[name].estimate:.2f}",
            str(one.n), str(one.ties), str(one.dropped),
        ]  # fmt: skip
    pooled, mean = table.rows[-2:]
    assert texts(pooled)[:2] == ["pooled over cells", f"{found.pooled.estimate:.2f}"]
    assert texts(mean)[:2] == ["mean over targets", f"{found.mean.estimate:.2f}"]
    assert "200 resamples" in table.notes[1] and x.quantity in table.notes[1]


def test_what_is_undefined_or_not_estimable_says_why(pair):
    _, x, y = pair
    flat = replace(x, values=np.where(np.arange(6) == 2, 0.5, x.values))
    found = correlate(flat, y, n_resamples=0)
    table = correlation_table(found, {}, "Title", "target")
    assert texts(table.rows[2])[1] == "undefined (x is constant)"
    assert texts(table.rows[0])[2] == "not estimable (no resamples were asked for)"
    assert texts(table.rows[2])[2] == "not estimable (x is constant)"


def test_a_comparison_table_repeats_the_result(pair):
    rows, _, _ = pair
    found = compare(rows, "tune", "probe", n_resamples=200)
    table = comparison_table("Title", [("all", found)])
    (row,) = table.rows
    assert texts(row)[:2] == ["all", found.unit.text(found.estimate, True)]
    assert texts(row)[3] == f"{found.wins} / {found.ties} / {found.losses}"
    assert texts(row)[4:] == [str(found.n_cells), str(found.n_pairs), str(found.unmatched)]
    assert "percentage points" in table.notes[0] and "source and target together" in table.notes[1]
    small = compare(rows, "tune", "probe", filter={"source": ["a", "b"], "target": ["a", "b"]})
    table = comparison_table("Title", [("few", small)])
    assert "not estimable (fewer than 4 levels" in texts(table.rows[0])[2]
    assert table.notes[-1].endswith("held fixed: source, target.")
    assert comparison_table("Nothing", []).rows == ()


def test_an_estimator_table_repeats_the_results(pair):
    _, x, y = pair
    study = estimator_study({"probe": x}, y, "spearman", n_resamples=200)
    table = estimator_table(study, "Title")
    found = study.found["probe"]
    row = texts(table.rows[0])
    assert row[0] == "probe" and row[1:7] == [f"{found.per_target[t].estimate:.2f}" for t in "abcdef"]
    assert row[7] == f"{found.mean.estimate:.2f}" and row[8] == f"[{found.mean.low:.2f}, {found.mean.high:.2f}]"
    assert row[9] == f"{study.p_values['probe'][1]:.2g}"
    record = table.records[0]
    assert record["kind"] == "estimator" and record["a"] == found.per_target["a"].estimate
    assert record["p"] == study.p_values["probe"][0] and record["variant"] == "average ranks"
    assert "Holm" in table.notes[1] and table.title == "Title"


def test_without_resamples_nothing_is_tested(pair):
    _, x, y = pair
    study = estimator_study({"probe": x}, y, n_resamples=0)
    assert np.isnan(study.p_values["probe"][0])
    row = texts(estimator_table(study).rows[0])
    assert row[-2] == "not estimable" and row[-3] == "not estimable"


def test_the_strongest_baseline_is_the_one_of_the_highest_mean(pair):
    _, x, y = pair
    study = estimator_study({"probe": x}, y, families=dict.fromkeys("abc", "one") | dict.fromkeys("def", "two"),
                            sizes={n: k for k, n in enumerate("abcdef")}, n_resamples=0)  # fmt: skip
    means = {name: study.found[name].mean.estimate for name in study.baselines}
    assert set(means) == {"static size order", "mean on the other targets", "same family (0/1)"}
    assert study.strongest == max(means, key=means.get)
    assert isinstance(study, EstimatorStudy) and study.outcome is y


def test_a_baseline_known_in_few_cells_is_not_what_estimators_are_tested_against(pair):
    _, x, y = pair
    study = estimator_study({"probe": x}, y, families={"a": "one", "b": "one", "c": "two", "d": "two"}, n_resamples=0)
    assert study.found["same family (0/1)"].mean.estimate > study.found["mean on the other targets"].mean.estimate
    assert study.strongest == "mean on the other targets"


@pytest.mark.parametrize("kind", ["regret", "rel"])
def test_choices_have_tables_too(pair, kind):
    _, x, y = pair
    study = estimator_study({"probe": x}, y, kind, "top-1", n_resamples=50)
    assert study.variant == "top-1" and len(estimator_table(study).rows) == 2


def test_a_correlation_prints_in_one_line():
    nan = float("nan")
    shared = {"n": 5, "ties_x": 0, "ties_y": 0, "dropped": 0, "kind": "kendall", "variant": "tau-b", "level": 0.95}
    shared |= {"resampled": "items", "n_resamples": 10}
    assert str(Correlation(0.5, 0.1, 0.9, **shared)) == "0.50 [0.10, 0.90]"
    assert str(Correlation(0.5, nan, nan, **shared)) == "0.50 [interval not estimable]"
    assert str(Correlation(nan, nan, nan, **shared, reason="x is constant")) == "undefined (x is constant)"
    assert rank_correlation([1, 2], [2, 1]).ties == 0
