"""Examples that come as columns of a table, one of pictures or texts and one of labels: what table providers share."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harness.data.items import SplitName
from harness.errors import HarnessError, suggest
from harness.tasks.files import Row

Labels = Sequence[Any]


def class_names(columns: Mapping[SplitName, Labels], declared: Sequence[str] | None) -> tuple[str, ...]:
    """Return the names of the classes: those that the data declare, else the labels themselves, sorted.

    Raises HarnessError for a label that is missing or that the declared names do not cover.
    """
    values = {value for labels in columns.values() for value in labels}
    if None in values:
        raise HarnessError("an example has no label")
    if declared is not None:
        beyond = [value for value in values if not isinstance(value, int) or not 0 <= value < len(declared)]
        if beyond:
            raise HarnessError(f"label {beyond[0]!r} is none of the {len(declared)} declared classes")
        return tuple(declared)
    return tuple(str(value) for value in sorted(values, key=lambda value: (isinstance(value, str), value)))


def label_numbers(labels: Labels, names: Sequence[str], declared: bool) -> list[int]:
    """Return the labels as positions in the names."""
    if declared:
        return [int(value) for value in labels]
    place = {name: number for number, name in enumerate(names)}
    return [place[str(value)] for value in labels]


def table_rows(split: str, labels: Sequence[int], read: Callable[[int], Any], changed: int) -> list[Row]:
    """Return one row for each label; `read` gives the example at a position."""
    return [
        Row(f"{split}/{number:09d}", (label,), 0, functools.partial(read, number), changed)
        for number, label in enumerate(labels)
    ]


def find_column(kind: str, wanted: str, columns: Sequence[str]) -> str:
    """Return a column that must be there. Raises HarnessError with the nearest name otherwise."""
    if wanted not in columns:
        raise HarnessError(f"there is no column {wanted!r} for the {kind}{suggest(wanted, columns)}")
    return wanted


def picture_bytes(value: Any) -> bytes:
    """Return the bytes of a picture from a cell: bytes, or a struct of `bytes` and `path`.

    Raises HarnessError when there are none.
    """
    content = value.get("bytes") if isinstance(value, Mapping) else value
    if content is None and isinstance(value, Mapping) and value.get("path"):
        from pathlib import Path

        try:
            return Path(value["path"]).read_bytes()
        except OSError as error:
            raise HarnessError(f"a picture is stored as the path {value['path']}, which cannot be read") from error
    if not isinstance(content, bytes):
        raise HarnessError(f"a cell holds no picture but a value of type {type(value).__name__}")
    return content
