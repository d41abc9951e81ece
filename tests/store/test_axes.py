"""Columns from JSON: typed as their values are, named so that none hides another."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from harness.store.axes import axis_columns, column_names, integers, typed


def columns(*params: object, fixed: tuple[str, ...] = ()) -> dict[str, list]:
    texts = pa.chunked_array([[None if entry is None else json.dumps(entry) for entry in params]], pa.string())
    return {name: column.to_pylist() for name, column in axis_columns(texts, fixed).items()}


def test_one_column_an_axis() -> None:
    found = columns({"shots": 1, "lr": 0.1}, {"shots": 5}, None, {"lr": 1, "teacher": "ü"})
    assert found == {"shots": [1, 5, None, None], "lr": [0.1, None, None, 1.0], "teacher": [None, None, None, "ü"]}


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ([1, None, 3], pa.int64(), [1, None, 3]),
        ([1, 0.5], pa.float64(), [1.0, 0.5]),
        ([True, None], pa.bool_(), [True, None]),
        (["a", "1"], pa.string(), ["a", "1"]),
        ([1, 5, "all"], pa.string(), ["1", "5", "all"]),
        ([True, 1], pa.string(), ["true", "1"]),
        ([[1, 2], None], pa.string(), ["[1, 2]", None]),
        ([{"b": 1, "a": "é"}], pa.string(), ['{"a": "é", "b": 1}']),
        ([2**53 + 1, 0.5], pa.string(), ["9007199254740993", "0.5"]),
        ([2**70], pa.string(), [str(2**70)]),
        ([], pa.bool_(), []),
        ([float("inf"), 1.0], pa.float64(), [float("inf"), 1.0]),
    ],
)
def test_types(values: list, kind: pa.DataType, expected: list) -> None:
    assert typed(values).type == kind and typed(values).to_pylist() == expected


def test_taken_names() -> None:
    assert column_names(["shots", "value"], {"value"}) == {"shots": "shots", "value": "axis_value"}
    names = column_names(["value", "axis_value", "axis_axis_value"], {"value"})
    assert names == {
        "value": "axis_axis_axis_value", "axis_value": "axis_value", "axis_axis_value": "axis_axis_value",
    }  # fmt: skip
    assert columns({"status": 1, "axis_status": 2}, fixed=("status",)) == {"axis_axis_status": [1], "axis_status": [2]}


def test_integers_only_when_all_are() -> None:
    def cast(*texts: str | None) -> list:
        return integers(pa.chunked_array([texts], pa.string())).to_pylist()

    assert cast("0", "12", None, "-3") == [0, 12, None, -3]
    assert cast("0", "0+1") == ["0", "0+1"]
    assert (
        cast("010") == ["010"] and cast("1_000") == ["1_000"] and cast(None) == [None] and cast("9" * 20) == ["9" * 20]
    )
