"""The matrix of a score, also of one that does not read all axes: source accuracy knows no target, size no source.

Such a score has one value for many cells of the outcome, and stands in each of them. Then it can be correlated with the
outcome like any other; where it is the same in a whole column, the correlation there is undefined and says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from analysis.columns import NONE_LABEL, label, labels
from analysis.conditions import Condition
from analysis.declared import main_split
from analysis.joined_axes import JOIN, parts_of, with_joined
from analysis.matrix import TransferMatrix, transfer_matrix


def score_matrix(
    frame: pd.DataFrame, what: Condition, rows: str, cols: str, *, filter: Mapping[str, object],
    over: Sequence[str] = (), order: Mapping[str, Sequence[str]] | None = None,
) -> TransferMatrix:  # fmt: skip
    """The matrix of what one condition means. ``rows`` and ``cols`` may be joined axes, ``a+b``."""
    frame = with_joined(frame, (rows, cols))
    ours = what.rows(frame)
    named = _named(ours, what)
    read = tuple(read_parts(named, name) if what.role == "estimator" else name for name in (rows, cols))
    # An axis with one value stands for rows, or columns, of which the score reads nothing.
    own_rows, own_cols = (own or f"any {name}" for own, name in zip(read, (rows, cols), strict=True))
    ours = ours.assign(**{name: "" for name in (own_rows, own_cols) if name.startswith("any ")})
    found = transfer_matrix(
        with_joined(ours, (own_rows, own_cols)), own_rows, own_cols, what.metric, over=over,
        filter=what.fitting(frame, filter), split=main_split(named, what.metric), role=what.role, order=order,
        title=what.text,
    )  # fmt: skip
    return found if read == (rows, cols) else _spread(found, frame, (rows, cols), read)


def read_parts(rows: pd.DataFrame, name: str) -> str:
    """Those of the axes joined in ``name`` of which the rows of a score have any value, joined; "" for none."""
    return JOIN.join(part for part in parts_of(name) if set(labels(rows[part])) - {NONE_LABEL})


def _named(rows: pd.DataFrame, what: Condition) -> pd.DataFrame:
    """Those of the rows that have the condition's own values, such as the estimator's name."""
    keep = np.ones(len(rows), dtype=bool)
    for column, value in what.where.items():
        keep &= (labels(rows[column]) == label(value)).to_numpy()
    return rows.loc[keep]


def _spread(
    found: TransferMatrix, frame: pd.DataFrame, names: tuple[str, str], read: tuple[str, ...]
) -> TransferMatrix:
    """Repeat rows and columns for every label of the outcome that agrees in the axes read."""
    outcomes = frame.loc[frame["role"] == "outcome"]
    places, shown = [], []
    for name, own, known in zip(names, read, (found.row_labels, found.col_labels), strict=True):
        keys = labels(with_joined(outcomes, (own,))[own]) if own else pd.Series("", index=outcomes.index)
        pairs = dict(zip(labels(outcomes[name]), keys, strict=True))
        at = {text: place for place, text in enumerate(known)}
        kept = [(text, at[key] if own else 0) for text, key in pairs.items() if not own or key in at]
        shown.append(tuple(text for text, _ in kept))
        places.append(np.array([place for _, place in kept], dtype=int))
    spread = found.reordered(*places)
    return replace(spread, rows=names[0], cols=names[1], row_labels=shown[0], col_labels=shown[1])
