"""Import files: which foreign tables make up a study, what is derived from them, what to draw and compare.

A YAML file with ``import`` (the study's name), ``tables`` (files beside it, each with the options of
``import_outcomes``), and optionally ``description``, ``derive``, ``analyses`` and ``published``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.foreign import import_outcomes, read_table
from analysis.published import COLUMNS, OPTIONAL
from harness.errors import HarnessError, suggest

_KEYS = ("import", "description", "tables", "derive", "analyses", "published", "families")
_TABLE_KEYS = ("file", "rows", "cols", "columns", "fixed", "value", "scale", "where")
_DERIVE_KEYS = ("method", "weights", "normalise", "metric")


@dataclass(frozen=True, eq=False)
class Imported:
    """``study``: name, description and analyses as a resolved study has them; ``frame``: the outcomes;
    ``published``: names of the papers to compare with."""

    study: dict[str, Any]
    frame: pd.DataFrame
    published: tuple[str, ...]


def read_import(path: str | Path) -> Imported:
    """Read an import file and all tables it names.

    Raises:
        HarnessError: for a file that cannot be read, an unknown key, or a table that is wrong.
    """
    import yaml

    file = Path(path)
    try:
        text = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise HarnessError(f"{str(file)!r} cannot be read: {error.strerror}.") from error
    except yaml.YAMLError as error:
        raise HarnessError(f"{str(file)!r} is not valid YAML: {str(error).splitlines()[0]}.") from error
    if not isinstance(text, Mapping) or "import" not in text:
        raise HarnessError(f"{str(file)!r} is no import file: it has no key 'import'.")
    _known(text, _KEYS, file.name)
    name = str(text["import"])
    parts = [_table(file.parent, entry, name, file.name) for entry in text.get("tables") or []]
    if not parts:
        raise HarnessError(f"{file.name} names no tables.")
    frame = pd.concat(parts, ignore_index=True)
    derived = [derive(frame, entry, file.name) for entry in text.get("derive") or []]
    frame = pd.concat([frame, *derived], ignore_index=True) if derived else frame
    study = {"study": name, "description": str(text.get("description") or ""),
             "analyses": list(text.get("analyses") or []), "published": list(text.get("published") or []),
             "families": dict(text.get("families") or {}), "imported_from": file.name}  # fmt: skip
    return Imported(study, frame, tuple(study["published"]))


def _known(entry: Mapping[Any, Any], keys: Sequence[str], where: str) -> None:
    for key in entry:
        if key not in keys:
            raise HarnessError(f"{where} has the key {key!r}{suggest(str(key), keys)}.")


def _table(folder: Path, entry: Mapping[str, Any], study: str, where: str) -> pd.DataFrame:
    _known(entry, _TABLE_KEYS, where)
    if "file" not in entry:
        raise HarnessError(f"A table in {where} names no file.")
    frame = read_table(folder / str(entry["file"]))
    for column, wanted in (entry.get("where") or {}).items():
        if column not in frame.columns:
            raise HarnessError(f"{entry['file']} has no column {column!r}{suggest(column, map(str, frame.columns))}.")
        texts = [str(v) for v in (wanted if isinstance(wanted, list) else [wanted])]
        frame = frame.loc[frame[column].astype(str).isin(texts)]
    options = {k: entry[k] for k in ("columns", "fixed", "value", "scale", "rows", "cols") if k in entry}
    return _either(frame, study, options)


def open_table(path: str | Path, **options: Any) -> pd.DataFrame:
    """A CSV or Parquet file as outcomes, whether in the schema of published values or not.

    ``options`` are those of ``import_outcomes``.
    """
    return _either(read_table(path), Path(path).stem, options)


def _either(frame: pd.DataFrame, study: str, options: Mapping[str, Any]) -> pd.DataFrame:
    if set(COLUMNS) <= set(frame.columns):
        return import_published(frame, study, **options)
    return import_outcomes(frame, study, **options)


def import_published(
    frame: pd.DataFrame, study: str, *, rows: str = "source", cols: str = "target",
    columns: Mapping[str, str] | None = None, fixed: Mapping[str, object] | None = None, scale: float = 1.0,
    value: str = "value",
) -> pd.DataFrame:  # fmt: skip
    """Outcomes from a table in the schema of published values: its rows and columns are labels of two axes.

    Printed averages are left out; the columns of the schema are dropped unless ``columns`` renames them.
    """
    if "average_of" in frame.columns:
        frame = frame.loc[frame["average_of"] == ""]
    drop = {c: "" for c in (*COLUMNS, *OPTIONAL) if c in frame.columns and c != value}
    named = {"row": rows, "column": cols}
    return import_outcomes(frame, study, columns={**drop, **named, **(columns or {})}, fixed=fixed, scale=scale,
                           value=value)  # fmt: skip


def derive(frame: pd.DataFrame, entry: Mapping[str, Any], where: str = "the import") -> pd.DataFrame:
    """A score that is a weighted sum of others, each first scaled to [0, 1] within its target (``minmax``) or not.

    Raises:
        HarnessError: for an unknown key, or a method that has no score.
    """
    _known(entry, _DERIVE_KEYS, where)
    weights: Mapping[str, float] = entry["weights"]
    total: pd.Series | None = None
    for name, weight in weights.items():
        rows = frame.loc[(frame["role"] == "estimator") & (frame["method"] == name)]
        if rows.empty:
            raise HarnessError(f"{where} derives {entry['method']!r} from {name!r}, which has no score.")
        score = rows.set_index(["source", "target"])["value"].astype(float)
        if entry.get("normalise", "minmax") == "minmax":
            low, high = (score.groupby("target").transform(f) for f in ("min", "max"))
            score = (score - low) / (high - low)
        total = score * float(weight) if total is None else total + score * float(weight)
    assert total is not None
    table = total.reset_index().dropna(subset=["value"])
    table["value"] = np.asarray(table["value"], dtype=float)
    fixed = {"role": "estimator", "method": entry["method"], "metric": entry.get("metric", "score")}
    return import_outcomes(table, str(frame["study"].iloc[0]), fixed=fixed)
