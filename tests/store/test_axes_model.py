"""Columns of axes against a model in plain Python: every value comes back, under a name of its own."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.store.axes import axis_columns, column_names, integers, typed

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.sampled_from([2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, 2**63, -(2**63)]),
    st.floats(allow_nan=False),
    st.text(max_size=3),
    st.lists(st.integers(0, 3), max_size=2),
)


def exact(values: list[Any], kind: type) -> bool:
    """Whether all values go into a column of a kind and come back equal and of their own type (1 as 1.0 too)."""
    given_ = [value for value in values if value is not None]
    if kind is int:
        return all(type(value) is int and -(2**63) < value < 2**63 for value in given_)
    if kind is float:
        return all(
            type(value) is float or (type(value) is int and abs(value) <= 2**53 and float(value) == value)
            for value in given_
        )
    return all(type(value) is kind for value in given_)


@settings(max_examples=150, deadline=None)
@given(st.lists(VALUES, max_size=5))
def test_the_narrowest_type_that_keeps_every_value(values: list[Any]) -> None:
    kinds = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string()}
    fitting = next((kind for kind in (bool, int, float, str) if exact(values, kind)), None)
    column = typed(values)
    if fitting is not None:
        assert column.type == kinds[fitting] and column.to_pylist() == values
    else:
        assert column.type == pa.string()
        for value, text in zip(values, column.to_pylist(), strict=True):
            if value is None or isinstance(value, str):
                assert text == value
            else:
                assert json.loads(text) == value


NAMES = st.lists(st.sampled_from(["value", "axis_value", "axis_axis_value", "lr", "key", "axis_key"]), unique=True)


@settings(deadline=None)
@given(NAMES, st.sets(st.sampled_from(["value", "axis_value", "key", "split"])))
def test_every_axis_has_a_column_name_of_its_own(axes: list[str], fixed: set[str]) -> None:
    names = column_names(axes, fixed)
    assert list(names) == axes
    assert len(set(names.values())) == len(axes) and not set(names.values()) & fixed
    for axis, name in names.items():
        assert name == axis if axis not in fixed else name.endswith(axis) and name.startswith("axis_")


@settings(deadline=None)
@given(
    st.lists(
        st.none() | st.dictionaries(st.sampled_from(["lr", "shots", "value"]), st.integers(0, 3), max_size=3),
        min_size=1,
        max_size=8,
    ),
    st.integers(1, 4),
)
def test_each_trial_finds_its_own_values(params: list[dict[str, int] | None], chunks: int) -> None:
    texts = [None if one is None else json.dumps(one) for one in params]
    column = pa.chunked_array([texts[i::1][:0] for i in range(chunks - 1)] + [texts], pa.string())
    found = axis_columns(column, {"value"})
    for axis in ("lr", "shots", "value"):
        expected = [None if one is None else one.get(axis) for one in params]
        name = "axis_value" if axis == "value" else axis
        if any(one is not None and axis in one for one in params):
            assert found[name].to_pylist() == expected
        else:
            assert name not in found


@settings(deadline=None)
@given(st.lists(st.none() | st.integers(-(10**18), 10**18).map(str) | st.sampled_from(["01", "+1", "1e3", "", "all"])))
def test_seeds_are_numbers_exactly_when_all_are_written_as_such(texts: list[str | None]) -> None:
    found = integers(pa.chunked_array([texts], pa.string())).to_pylist()
    given_ = [text for text in texts if text is not None]
    plain = bool(given_) and all(text == str(int(text)) for text in given_ if text.lstrip("-").isdigit())
    if plain and all(text.lstrip("-").isdigit() and len(text.lstrip("-")) <= 18 for text in given_):
        assert found == [None if text is None else int(text) for text in texts]
    else:
        assert found == texts
