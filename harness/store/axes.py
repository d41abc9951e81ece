"""Unpacking the axes of trials from their canonical JSON into typed columns."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


def axis_columns(params: pa.ChunkedArray, fixed: Collection[str]) -> dict[str, pa.Array]:
    """Return a column for each axis that any of the trials has, null where a trial lacks it.

    Each distinct text is parsed once. A column is integer, float (integers among floats), boolean or text; where kinds
    are mixed (``1``, ``5``, ``"all"``), and for lists and mappings, it is text, with JSON for what is not text.

    Args:
        params: a JSON object for each trial, or null.
        fixed: names that are taken; an axis of such a name is called ``axis_<name>``.
    """
    import pyarrow as pa

    encoded = params.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    parsed = [json.loads(text) for text in encoded.dictionary.to_pylist()]
    names = list(dict.fromkeys(name for entry in parsed for name in entry))
    labels = column_names(names, fixed)
    columns = {}
    for name in names:
        values = typed([entry.get(name) for entry in parsed])
        columns[labels[name]] = values.take(encoded.indices)
    return columns


def column_names(axes: Sequence[str], fixed: Collection[str]) -> dict[str, str]:
    """Return a column name for each axis: its own, or with ``axis_`` before it as often as needed to be unique."""
    names = {axis: axis for axis in axes if axis not in fixed}
    taken = set(names) | set(fixed)
    for axis in axes:
        if axis not in names:
            label = f"axis_{axis}"
            while label in taken:
                label = f"axis_{label}"
            names[axis] = label
            taken.add(label)
    return {axis: names[axis] for axis in axes}


def typed(values: Sequence[Any]) -> pa.Array:
    """Return values as an arrow array of the narrowest type that holds them all as they are."""
    import pyarrow as pa

    kinds = {type(value) for value in values if value is not None}
    for allowed, kind in (
        ({bool}, pa.bool_()),
        ({int}, pa.int64()),
        ({int, float}, pa.float64()),
        ({str}, pa.string()),
    ):
        if kinds <= allowed and _fits(values, kind == pa.float64(), kind == pa.int64()):
            return pa.array(values, kind)
    return pa.array([None if value is None else _text(value) for value in values], pa.string())


def integers(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a text column as integers if all its values are plain integers, else as it is."""
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = column.unique().drop_null()
    if len(texts) and pc.all(pc.match_substring_regex(texts, r"^(0|-?[1-9][0-9]{0,17})$")).as_py():
        return column.cast(pa.int64())
    return column


def _fits(values: Iterable[Any], exact_float: bool, exact_integer: bool) -> bool:
    """Whether integers survive the way into a 64-bit float or integer column."""
    whole = [abs(value) for value in values if type(value) is int]
    limit = 2**53 if exact_float else 2**63 - 1 if exact_integer else None
    return limit is None or not whole or max(whole) <= limit


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)
