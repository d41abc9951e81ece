"""Row numbers: equal exactly for the same trial, and found again quickly."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from harness.study.identity import drop_known, first_of_each, row_ids

ids = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=30)


def as_ids(pairs):
    return np.array(pairs, dtype=np.uint64).reshape(-1, 2)


@given(ids)
def test_the_first_of_each_is_kept(pairs):
    seen = set()
    expected = [pair not in seen and not seen.add(pair) for pair in pairs]
    assert first_of_each(as_ids(pairs)).tolist() == expected


@given(ids, st.lists(ids, max_size=3))
def test_known_ones_are_dropped(pairs, known):
    every = {pair for one in known for pair in one}
    assert drop_known(as_ids(pairs), [as_ids(one) for one in known]).tolist() == [pair not in every for pair in pairs]


def number(columns, fixed):
    rows = np.zeros((1, len(columns)), dtype=np.int32)
    listed = [(name, [value], None) for name, value in columns.items()]
    return row_ids(listed, rows, [fixed], np.zeros(1, dtype=np.int32)).tolist()


def test_it_does_not_matter_whether_a_parameter_is_an_axis_or_fixed_nor_in_which_order():
    assert number({"a": 1, "b": "x"}, {}) == number({"b": "x"}, {"a": 1}) == number({}, {"b": "x", "a": 1})
    assert number({"a": 1, "gone": None}, {}) == number({"a": 1}, {})


def test_other_names_and_values_give_other_numbers():
    made = [
        number({"a": 1}, {}), number({"a": 2}, {}), number({"b": 1}, {}), number({"a": "1"}, {}),
        number({"a": True}, {}), number({"a": 1, "b": 1}, {}), number({}, {}),
    ]  # fmt: skip
    assert len({str(one) for one in made}) == len(made)
    assert number({"a": 1}, {}) == number({"a": 1.0}, {})


def test_a_default_counts_for_nothing():
    column = [("steps", [100, 200], 1)]
    found = row_ids(column, np.array([[0], [1]], dtype=np.int32), [{}], np.zeros(2, dtype=np.int32))
    assert found[1].tolist() == [0, 0] and found[0].tolist() != [0, 0]
