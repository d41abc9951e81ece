"""Outcomes from elsewhere in our own schema: a long CSV or Parquet file, or a wide matrix of one value a cell.

What comes out is an outcome frame like that of ``load_outcomes``, so that every matrix, correlation and figure works
on published grids too, without training anything.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.columns import CONTEXT, IDENTITY, MEASUREMENT, NONE_LABEL, labels
from harness.errors import HarnessError, suggest

TRIAL_COLUMNS = ("role", "baseline", "parent", "source", "target", "backbone", "method", "seed", "source_seed")
MEASURED_COLUMNS = ("task", "split", "metric", "value", "n_eval", "step", "status", "flags", "reason")
ROLES = ("outcome", "baseline", "estimator")
_DESCRIBED = IDENTITY | MEASUREMENT | CONTEXT | {"study", "task"}
_DEFAULTS: dict[str, Any] = {"role": "outcome", "split": "test", "metric": "accuracy", "status": "ok", "flags": ""}
_NO_NUMBER = {"nan": np.nan, "inf": np.inf, "+inf": np.inf, "-inf": -np.inf}


def read_table(path: str | Path) -> pd.DataFrame:
    """Read a CSV (as text, nothing guessed) or a Parquet file. Raises HarnessError when it cannot be read."""
    file = Path(path)
    try:
        if file.suffix == ".csv":
            return pd.read_csv(file, dtype=str, keep_default_na=False, encoding="utf-8", comment=None)
        if file.suffix == ".parquet":
            return pd.read_parquet(file)
    except (OSError, ValueError) as error:
        raise HarnessError(f"{str(file)!r} cannot be read as a table: {str(error).splitlines()[0]}.") from error
    raise HarnessError(f"Outcomes are read from .csv and .parquet files, not from {file.name!r}.")


def import_outcomes(
    table: str | Path | pd.DataFrame,
    study: str = "imported",
    *,
    rows: str | None = None,
    cols: str = "target",
    columns: Mapping[str, str] | None = None,
    fixed: Mapping[str, object] | None = None,
    value: str = "value",
    scale: float = 1.0,
) -> pd.DataFrame:
    """Bring foreign outcomes into the schema of ``load_outcomes``.

    Args:
        table: a ``.csv`` or ``.parquet`` file, or a frame. Long: one row a value, in the column ``value``. Wide (when
            ``rows`` is given): the first column holds the labels of the axis ``rows``, the heads of all others those
            of the axis ``cols``, cells the values.
        study: the name that the outcomes get.
        columns: foreign name -> our name, for columns that are called otherwise; "" leaves a column out.
        fixed: values for columns that the table lacks: ``{"method": "fine_tune", "metric": "accuracy"}``.
        scale: multiplies the values (0.01 for percent, so that fractions are fractions).

    Columns that are neither identity nor measurement are axes. An empty value is a cell that was not run; ``nan`` and
    ``inf`` were measured and are kept; any other text is an error.

    Raises:
        HarnessError: for an unreadable file, a missing or doubled column, a value that is no number, an unknown role,
            and two values of one trial for the same task, split and metric.
    """
    frame = read_table(table) if isinstance(table, (str, Path)) else table
    long = frame if rows is None else _melted(frame, rows, cols)
    long = _renamed(long, {**(columns or {}), **({value: "value"} if rows is None and value != "value" else {})})
    if "value" not in long.columns:
        raise HarnessError(f"The table has no column of values{suggest('value', map(str, long.columns))}.")
    for name, constant in {**_DEFAULTS, **(fixed or {})}.items():
        if name not in long.columns or name in (fixed or {}):
            long = long.assign(**{name: constant})
    numbers = parse_values(long["value"]) * scale
    long = long.assign(value=numbers).loc[numbers.notna() | _stated(long["value"])]
    return _completed(long, study)


def _melted(frame: pd.DataFrame, rows: str, cols: str) -> pd.DataFrame:
    first = str(frame.columns[0])
    heads = [str(c) for c in frame.columns[1:]]
    if len(set(heads)) < len(heads) or frame[first].duplicated().any():
        raise HarnessError(f"The labels of a wide matrix must differ: {first!r} or its heads name one twice.")
    melted = frame.melt(id_vars=[first], var_name=cols, value_name="value")
    return melted.rename(columns={first: rows})


def _renamed(frame: pd.DataFrame, columns: Mapping[str, str]) -> pd.DataFrame:
    known = [str(c) for c in frame.columns]
    columns = {str(name): str(new) for name, new in columns.items()}
    for name in columns:
        if name not in known:
            raise HarnessError(f"The table has no column {name!r}{suggest(name, known)}.")
    kept = frame.drop(columns=[c for c, new in columns.items() if new == ""])
    renamed = kept.rename(columns={c: new for c, new in columns.items() if new})
    doubled = renamed.columns[renamed.columns.duplicated()]
    if len(doubled):
        raise HarnessError(f"Two columns of the table would be called {doubled[0]!r}; leave one out.")
    return renamed


def parse_values(column: pd.Series) -> pd.Series:
    """Numbers of a column of text or numbers; NaN for an empty cell. Raises HarnessError for other text."""
    if column.dtype.kind in "fiu":
        return column.astype(float)
    texts = column.map(lambda v: "" if _blank_to_none(v) is None else str(v).strip()).astype(object)
    numbers = pd.to_numeric(texts.where(~texts.str.lower().isin([*_NO_NUMBER, ""]), None), errors="coerce")
    bad = numbers.isna() & ~texts.str.lower().isin([*_NO_NUMBER, ""])
    if bad.any():
        where = int(np.flatnonzero(bad.to_numpy())[0])
        raise HarnessError(f"Row {where + 1} of the table holds {texts.iloc[where]!r}, which is no number.")
    special = texts.str.lower().map(_NO_NUMBER)
    return pd.Series(np.where(special.notna(), special, numbers).astype(float), index=column.index)


def _stated(column: pd.Series) -> pd.Series:
    """Where a table says NaN in words (measured, without a number) as opposed to leaving the cell empty."""
    return column.map(lambda v: isinstance(v, str) and v.strip().lower() == "nan").astype(bool)


def _completed(long: pd.DataFrame, study: str) -> pd.DataFrame:
    """All columns of the schema in order, an identity for each trial; checked."""
    unknown = sorted(set(long["role"].astype(str)) - set(ROLES))
    if unknown:
        raise HarnessError(f"A row has the role {unknown[0]!r}{suggest(unknown[0], ROLES)}.")
    axes = [str(c) for c in long.columns if c not in _DESCRIBED and c not in TRIAL_COLUMNS]
    full = long.assign(study=study)
    for name in (*TRIAL_COLUMNS, *MEASURED_COLUMNS):
        if name not in full.columns:
            full[name] = None
    texts = ("baseline", "source", "target", "backbone", "method", "task", *axes)
    full = full.assign(**{name: full[name].map(_blank_to_none).astype(object) for name in texts})
    full = full.assign(**{name: _narrow(full[name]) for name in ("seed", "source_seed", "n_eval", "step", *axes)})
    full["task"] = full["task"].where(full["task"].notna(), full["target"])
    if "trial_id" not in full.columns:
        full["trial_id"] = trial_ids(full, [*TRIAL_COLUMNS, *axes])
    _refuse_doubles(full)
    context = [str(c) for c in long.columns if c in CONTEXT or c in ("key", "plan")]
    head = [c for c in TRIAL_COLUMNS if c != "parent"]
    order = ["study", "trial_id", *head[:2], "parent", *head[2:], *axes, *MEASURED_COLUMNS, *context]
    return full[order].reset_index(drop=True)


def _blank_to_none(value: object) -> object:
    """None for every way in which files leave a label out: empty text, "none", NaN and pandas' NA."""
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return None
    return None if isinstance(value, str) and value in ("", NONE_LABEL) else value


def _narrow(column: pd.Series) -> pd.Series:
    """Text that is all numbers as numbers (integers where they are whole), anything else as it is."""
    texts = column.map(_blank_to_none).astype(object)
    numbers = pd.to_numeric(texts, errors="coerce")
    if texts.notna().sum() == 0 or (numbers.isna() & texts.notna()).any():
        return texts.astype(object)
    whole = (numbers.dropna() % 1 == 0).all()
    return numbers.astype("Int64").astype(object).where(texts.notna(), None) if whole else numbers.astype(float)


def trial_ids(frame: pd.DataFrame, axes: Sequence[str]) -> pd.Series:
    """An identity for every row from its axis values: rows that agree in all of them are one trial."""
    texts = pd.DataFrame({axis: labels(frame[axis]) for axis in axes if axis in frame.columns})
    joined = [json.dumps(list(row), ensure_ascii=False) for row in texts.itertuples(index=False, name=None)]
    made = {text: hashlib.blake2s(text.encode(), digest_size=8).hexdigest() for text in dict.fromkeys(joined)}
    return pd.Series([made[text] for text in joined], index=frame.index, dtype=object)


def _refuse_doubles(frame: pd.DataFrame) -> None:
    doubled = frame.duplicated(["trial_id", "task", "split", "metric"])
    if doubled.any():
        row = frame.loc[doubled].iloc[0]
        named = [a for a in ("source", "target", "backbone", "method", "seed") if row[a] is not None]
        parts = ", ".join(f"{a}={row[a]}" for a in named)
        raise HarnessError(f"The table has two values of {row['metric']!r} for {parts}; a column that tells them apart "
                           "is missing (a seed or another axis).")  # fmt: skip
