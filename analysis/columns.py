"""The columns of an outcome frame: which are axes, which are seeds, which only describe how a value came about.

An outcome frame is long: one row per trial x evaluation task x split x metric. Whatever is not listed here as
identity, measurement or context is an axis of the study, so a study's own axes (``shots``, ``teacher``) need no
declaration.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from harness.errors import HarnessError, suggest

SEEDS = ("seed", "source_seed")
IDENTITY = frozenset(
    {"trial_id", "role", "baseline", "parent", "key", "plan", "params", "state"} | {"baseline_ids", "left_out"}
)
MEASUREMENT = frozenset({"split", "metric", "value", "n_eval", "step", "status", "flags", "reason"})
# Circumstances: two values that differ in one of these are worth a warning when one matrix mixes them.
MIXABLE = {
    "device": "devices",
    "precision": "numerical precisions",
    "width": "batch widths",
    "threads": "thread counts",
    "version": "stage versions",
    "versions": "library versions",
    "torch": "torch versions",
    "code": "code digests",
    "data": "data identities",
}
CONTEXT = frozenset(MIXABLE) | frozenset(
    {"seconds", "memory_bytes", "finished_at", "started_at", "provenance", "writer", "attempt", "kind", "error", "log"}
    | {"host", "user", "libraries", "commit", "git_commit", "hardware", "keep", "artifact", "stale", "candidate_of"}
)
NONE_LABEL = "none"


def axes_of(frame: pd.DataFrame) -> list[str]:
    """Names of the axis columns of ``frame``, seeds included, in column order.

    The evaluation task counts as an axis only where it says more than the target does.
    """
    described = IDENTITY | MEASUREMENT | CONTEXT
    axes = [str(c) for c in frame.columns if c not in described]
    if "task" in axes and "target" in axes:
        measured = frame["task"].notna()
        if (frame.loc[measured, "task"].astype(str) == frame.loc[measured, "target"].astype(str)).all():
            axes.remove("task")
    return axes


def require_column(frame: pd.DataFrame, name: str, use: str) -> None:
    """Raise HarnessError, naming the nearest column, unless ``frame`` has the column ``name``."""
    if name not in frame.columns:
        known = [str(c) for c in frame.columns]
        raise HarnessError(f"{use} names {name!r}, which is no column of the outcomes{suggest(name, known)}.")


def label(value: object) -> str:
    """The text of an axis value: ``None`` and NaN become "none", ``5.0`` becomes "5"."""
    if value is None or value is pd.NaT or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return NONE_LABEL
    if isinstance(value, (float, np.floating)):
        number = float(value)
        return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)
    return str(value)


def labels(column: pd.Series) -> pd.Series:
    """``label`` of every entry of a column; each distinct value is converted once."""
    codes, distinct = pd.factorize(column, use_na_sentinel=True)
    texts = np.array([label(v) for v in distinct] + [NONE_LABEL], dtype=object)
    return pd.Series(texts[codes], index=column.index, name=column.name, dtype=object)


def natural_key(text: str) -> tuple[object, ...]:
    """Sort key: numbers by size and before words; digits inside words by size ("task2" before "task10")."""
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if np.isfinite(number):
        return (0, number, (), text)
    parts = tuple((0, int(p), "") if p.isdecimal() else (1, 0, p.lower()) for p in re.split(r"(\d+)", text) if p)
    return (1, 0.0, parts, text)


def ordered(values: Iterable[str], declared: Sequence[str] = ()) -> tuple[str, ...]:
    """Distinct labels: first those of ``declared`` in that order, then the rest in natural order."""
    present = set(values)
    first = [v for v in dict.fromkeys(declared) if v in present]
    rest = sorted(present.difference(first), key=natural_key)
    return (*first, *rest)


def as_labels(value: object) -> list[str]:
    """The labels of one value or of a collection of values."""
    return [label(v) for v in value] if isinstance(value, (list, tuple, set, frozenset)) else [label(value)]


def restrict(frame: pd.DataFrame, conditions: Mapping[str, object] | None, strict: bool = True) -> pd.DataFrame:
    """Rows that meet every condition ``{column: value or list of values}``, compared by their text.

    Raises:
        HarnessError: when ``strict``, for an unknown column, or a condition whose values no row has. Otherwise
            conditions on unknown columns are passed over.
    """
    keep = np.ones(len(frame), dtype=bool)
    for column, wanted in (conditions or {}).items():
        if strict:
            require_column(frame, column, "a filter")
        elif column not in frame.columns:
            continue
        texts, options = labels(frame[column]), as_labels(wanted)
        known = set(texts)
        if strict and not known.intersection(options):
            raise HarnessError(f"No outcome has {column}={options[0]!r}{suggest(options[0], sorted(known))}.")
        keep &= texts.isin(options).to_numpy()
    return frame.loc[keep]


def flag_texts(column: pd.Series) -> pd.Series:
    """Flags of every row as one text, comma separated, "" for none; takes lists, arrays or text."""

    def text(value: object) -> str:
        if isinstance(value, str):
            return ", ".join(p for p in re.split(r"[,;\s]+", value.strip("[]()")) if p)
        if isinstance(value, (list, tuple, set, frozenset, np.ndarray)):
            return ", ".join(str(v) for v in value)
        return ""

    if len(column) and column.map(lambda v: isinstance(v, str)).all():
        codes, distinct = pd.factorize(column)
        return pd.Series(np.array([text(v) for v in distinct], dtype=object)[codes], index=column.index, dtype=object)
    return pd.Series([text(v) for v in column], index=column.index, dtype=object)


def textual(frame: pd.DataFrame) -> pd.DataFrame:
    """A copy whose axis columns and flags are text, so that grouping never meets a missing or mixed key."""
    texts: dict[str, pd.Series] = {axis: labels(frame[axis]) for axis in axes_of(frame)}
    if "flags" in frame.columns:
        texts["flags"] = flag_texts(frame["flags"])
    return frame.assign(**texts)


def varying(frame: pd.DataFrame, by: Sequence[str], axes: Iterable[str]) -> dict[str, list[str]]:
    """Axes that take more than one value inside some group of ``by``: axis -> the values of the worst group.

    ``frame`` is textual. With no ``by`` the whole frame is one group.
    """
    found: dict[str, list[str]] = {}
    groups = group_codes(frame, by)
    for axis in axes:
        codes, _ = pd.factorize(frame[axis])
        pairs = np.unique(np.stack([groups, codes]), axis=1)
        group, counts = np.unique(pairs[0], return_counts=True)
        if len(counts) and counts.max() > 1:
            found[axis] = list(ordered(frame[axis].to_numpy()[groups == group[counts.argmax()]]))
    return found


def group_codes(frame: pd.DataFrame, by: Sequence[str]) -> np.ndarray:
    """For each row the number of its group: rows are in one group when they agree in all columns ``by``."""
    codes = np.zeros(len(frame), dtype=np.int64)
    for column in by:
        more, distinct = pd.factorize(frame[column])
        codes = np.unique(codes * max(len(distinct), 1) + more, return_inverse=True)[1]
    return codes
