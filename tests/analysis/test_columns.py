"""Which columns are axes, how labels are written and ordered, and what filters and groups do."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.columns import (
    as_labels,
    axes_of,
    flag_texts,
    group_codes,
    label,
    labels,
    natural_key,
    ordered,
    restrict,
    textual,
    varying,
)
from harness.errors import HarnessError


def test_every_undescribed_column_is_an_axis(frame):
    rows = frame([{"value": 0.5, "shots": 5, "teacher": "big"}])
    found = axes_of(rows)
    assert {"source", "target", "backbone", "method", "seed", "source_seed", "study", "shots", "teacher"} == set(found)


def test_the_evaluation_task_is_an_axis_only_where_it_differs_from_the_target(frame):
    same = frame([{"value": 0.5}, {"value": None, "status": "failed"}])
    other = frame([{"value": 0.5, "task": "elsewhere"}])
    assert "task" not in axes_of(same)
    assert "task" in axes_of(other)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "none"),
        (float("nan"), "none"),
        (5.0, "5"),
        (0.001, "0.001"),
        (1e-07, "1e-07"),
        (3, "3"),
        ("x", "x"),
        (np.float64(2.0), "2"),
        (True, "True"),
        (1e300, "1e+300"),
        (0.1234567890123, "0.1234567890123"),
    ],
)
def test_labels_of_values(value, text):
    assert label(value) == text


def test_labels_of_a_column_with_missing_and_mixed_values():
    assert list(labels(pd.Series([1.0, np.nan, 2.5]))) == ["1", "none", "2.5"]
    assert list(labels(pd.Series(["all", 5, None], dtype=object))) == ["all", "5", "none"]


@given(st.lists(st.one_of(st.none(), st.integers(-5, 5), st.sampled_from(["a", "b"])), max_size=20))
def test_labels_agree_with_label(values):
    assert list(labels(pd.Series(values, dtype=object))) == [label(v) for v in values]


def test_natural_order_puts_numbers_first_and_counts_inside_words():
    words = ["task10", "all", "task2", "10", "9", "0.5", "Task1"]
    assert sorted(words, key=natural_key) == ["0.5", "9", "10", "all", "Task1", "task2", "task10"]


def test_declared_order_comes_first_and_absent_names_are_passed_over():
    assert ordered(["a", "b", "c", "b"], ["c", "zz", "a"]) == ("c", "a", "b")


@given(st.lists(st.text(max_size=6), max_size=12))
def test_ordering_keeps_every_label_once(words):
    found = ordered(words)
    assert sorted(found) == sorted(set(words))
    assert ordered(reversed(words)) == found


def test_filters_compare_by_text(frame):
    rows = frame([{"value": 0.1, "shots": 1.0}, {"value": 0.2, "shots": 5.0}, {"value": 0.3, "shots": None}])
    assert list(restrict(rows, {"shots": 5})["value"]) == [0.2]
    assert list(restrict(rows, {"shots": ["1", None]})["value"]) == [0.1, 0.3]
    assert len(restrict(rows, None)) == 3


def test_a_filter_on_an_unknown_column_names_the_nearest(frame):
    with pytest.raises(HarnessError, match=r"'sorce', which is no column.*'source'"):
        restrict(frame([{"value": 1}]), {"sorce": "a"})


def test_a_filter_that_nothing_meets_names_the_nearest_value(frame):
    rows = frame([{"value": 1, "method": "fine_tune"}])
    with pytest.raises(HarnessError, match=r"method='fine_tun'.*'fine_tune'"):
        restrict(rows, {"method": "fine_tun"})
    assert restrict(rows, {"method": "fine_tun"}, strict=False).empty
    assert len(restrict(rows, {"nowhere": 1}, strict=False)) == 1


def test_as_labels():
    assert as_labels([1, None]) == ["1", "none"]
    assert as_labels("abc") == ["abc"]


@pytest.mark.parametrize(
    "values",
    [["", "not_trained", "a,b"], [[], ["not_trained"], ("a", "b")], [np.array([]), np.array(["not_trained"]), "a b"]],
)
def test_flags_are_read_from_text_and_lists(values):
    assert list(flag_texts(pd.Series(values, dtype=object))) == ["", "not_trained", "a, b"]


def test_missing_flags_are_no_flags():
    assert list(flag_texts(pd.Series([None, float("nan")], dtype=object))) == ["", ""]


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"), st.sampled_from("12")), min_size=1, max_size=30)
)
def test_groups_and_varying_axes_against_brute_force(rows):
    table = pd.DataFrame(rows, columns=["g", "h", "axis"])
    codes = group_codes(table, ["g", "h"])
    keys = [(g, h) for g, h, _ in rows]
    for i, j in ((i, j) for i in range(len(rows)) for j in range(len(rows))):
        assert (codes[i] == codes[j]) == (keys[i] == keys[j])
    sets = {key: {r[2] for r in rows if (r[0], r[1]) == key} for key in keys}
    assert ("axis" in varying(table, ["g", "h"], ["axis"])) == any(len(s) > 1 for s in sets.values())
    assert ("axis" in varying(table, [], ["axis"])) == (len({r[2] for r in rows}) > 1)


def test_textual_frames_have_no_missing_keys(frame):
    rows = textual(frame([{"value": 0.5, "source": None, "shots": np.nan, "flags": None}]))
    assert rows.loc[0, ["source", "shots", "source_seed", "flags"]].tolist() == ["none", "none", "none", ""]
