"""Numbers for rows: equal exactly when the rows are the same trial, whatever grid they come from.

A row's number is the sum (modulo 2^128, in two halves) of the hashes of its ``name=label`` pairs, so that it neither
depends on their order nor on whether a parameter is an axis or fixed, and is a few additions of arrays.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.study.labels import key_of
from harness.study.scalars import Scalar

Ids = npt.NDArray[np.uint64]

Column = tuple[str, Sequence[Scalar], int | None]
"""Name, labels by position, and the position that counts for nothing (a parameter's default)."""


def _hash(name: str, label: Any) -> tuple[int, int]:
    digest = hashlib.blake2b(f"{name}={key_of(label)!r}".encode(), digest_size=16).digest()
    return int.from_bytes(digest[:8], "big"), int.from_bytes(digest[8:], "big")


def row_ids(
    columns: Sequence[Column],
    rows: npt.NDArray[np.int32],
    fixed: Sequence[Mapping[str, Any]],
    setting: npt.NDArray[np.int32],
) -> Ids:
    """Return [n, 2] numbers for rows [n, columns] with settings [n] out of ``fixed``; a label None is as no axis."""
    ids = np.zeros((len(rows), 2), dtype=np.uint64)
    for position, (name, labels, default) in enumerate(columns):
        pairs = [
            (0, 0) if index == default or label is None else _hash(name, label) for index, label in enumerate(labels)
        ]
        ids += np.array(pairs, dtype=np.uint64)[rows[:, position]]
    if fixed:
        table = np.zeros((len(fixed), 2), dtype=np.uint64)
        for index, values in enumerate(fixed):
            for name, value in values.items():
                table[index] += np.array(_hash(name, value), dtype=np.uint64)
        ids += table[setting]
    return ids


def _order(ids: Ids) -> npt.NDArray[np.intp]:
    return np.lexsort((ids[:, 1], ids[:, 0]))


def first_of_each(ids: Ids) -> npt.NDArray[np.bool_]:
    """Return [n]: whether a row is the first with its number."""
    order = _order(ids)
    ordered = ids[order]
    first = np.ones(len(ids), dtype=np.bool_)
    if len(ids) > 1:
        first[order[1:]] = (ordered[1:] != ordered[:-1]).any(axis=1)
    return first


def drop_known(ids: Ids, known: Sequence[Ids]) -> npt.NDArray[np.bool_]:
    """Return [n]: whether a row's number is in none of ``known``."""
    before = np.concatenate([*known, ids[:0]])
    every = np.concatenate([before, ids])
    order = _order(every)
    ordered = every[order]
    starts = np.ones(len(every), dtype=np.bool_)
    starts[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    group = np.cumsum(starts) - 1
    is_known = np.zeros(len(every), dtype=np.bool_)
    is_known[group[order < len(before)]] = True
    keep = np.ones(len(ids), dtype=np.bool_)
    new = order >= len(before)
    keep[order[new] - len(before)] = ~is_known[group[new]]
    return keep
