"""Labels: what stands for an axis value in columns, and how a value written in a match is compared with it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from harness.study.scalars import Scalar

Key = tuple[str, Any]
"""What two labels are compared by: numbers by value, ``true`` never equal to ``1``, references without blanks."""


def label_of(value: Any) -> Scalar:
    """Return the label of plain data: a scalar is its own, anything else is canonical JSON text."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return json.dumps(_plain(value), sort_keys=True, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)


def key_of(label: Any) -> Key:
    """Return what ``label`` is compared by."""
    label = label_of(label)
    if isinstance(label, bool):
        return ("boolean", label)
    if isinstance(label, (int, float)):
        return ("number", int(label) if label == label // 1 else label)
    if label is None:
        return ("null", None)
    return ("text", re.sub(r"[\s\"']", "", label) if "(" in label else label)
