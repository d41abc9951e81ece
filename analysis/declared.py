"""What a resolved study says that analyses need: label order, baselines, and which analyses to draw."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from analysis.columns import ordered
from harness.errors import HarnessError

_LISTS = {"sources": "source", "targets": "target", "backbones": "backbone", "methods": "method"}
_MOST_DEFAULT = 12


def label_order(study: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Labels of the main axes in the order of the study file, as far as they are spelt out there."""
    found: dict[str, list[str]] = {}
    for grid in _grids(study):
        for key, axis in _LISTS.items():
            found.setdefault(axis, []).extend(_names(grid.get(key)))
    # Sources and targets are often the same tasks: one order for both keeps a matrix's diagonal straight.
    found["source"] = [*found.get("source", []), *found.get("target", [])]
    found["target"] = [*found.get("target", []), *found["source"]]
    return {axis: tuple(dict.fromkeys(names)) for axis, names in found.items()}


def fixed_by_baseline(study: Mapping[str, Any], name: str | None) -> tuple[str, ...] | None:
    """Axes that the declaration of a baseline fixes; None when the study does not declare it."""
    for grid in _grids(study):
        baselines = grid.get("baselines")
        declared = baselines.get(name) if isinstance(baselines, Mapping) and name is not None else None
        if isinstance(declared, Mapping):
            params = declared.get("params")
            axes = [*declared, *(params if isinstance(params, Mapping) else ())]
            return tuple(dict.fromkeys([*axes, *(("source_seed",) if "source" in axes else ())]))
    return None


def baselines_of(study: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of all declared baselines."""
    names = [n for g in _grids(study) if isinstance(g.get("baselines"), Mapping) for n in g["baselines"]]
    return tuple(dict.fromkeys(names))


def analyses_of(study: Mapping[str, Any], frame: pd.DataFrame) -> tuple[list[dict[str, Any]], list[str]]:
    """The declared analyses; without any, for every method (and value of other axes) a matrix, and notes.

    The default matrices come as they are, and relative to each baseline that was measured.
    """
    declared = study.get("analyses") or []
    if declared:
        return [{k: v for k, v in dict(a).items() if v is not None} for a in declared], []
    from analysis.columns import SEEDS, axes_of, textual

    text = textual(frame)
    outcomes = text.loc[text["role"] == "outcome"] if "role" in text.columns else text
    if outcomes.empty:
        return [], ["There is no outcome to draw yet."]
    split = [a for a in axes_of(outcomes) if a not in ("source", "target", "study", *SEEDS)]
    split = [a for a in split if outcomes[a].nunique() > 1 or a == "method"]
    combinations = outcomes[split].drop_duplicates().to_dict("records")
    order = label_order(study)
    combinations.sort(key=lambda c: [ordered(outcomes[a], order.get(a, ())).index(c[a]) for a in split])
    measured = _measured_baselines(text)
    baselines = [b for b in baselines_of(study) if b in measured] or sorted(measured)
    drawn = [
        {"kind": "matrix", "filter": dict(c)} | ({"relative_to": b} if b else {})
        for c in combinations[:_MOST_DEFAULT]
        for b in (None, *baselines)
    ]
    rest = len(combinations) - _MOST_DEFAULT
    return drawn, [f"{rest} more combinations of {', '.join(split)} are not drawn."] if rest > 0 else []


def main_metric(frame: pd.DataFrame) -> str:
    """Accuracy where it was measured, else the only metric. Raises HarnessError when several would do."""
    rows = frame.loc[frame["role"] == "outcome"] if "role" in frame.columns else frame
    metrics = sorted(str(m) for m in rows["metric"].dropna().unique())
    if "accuracy" in metrics or not metrics:
        return "accuracy"
    if len(metrics) > 1:
        raise HarnessError(f"The analysis names no value, and there are several metrics: {', '.join(metrics)}.")
    return metrics[0]


def main_split(frame: pd.DataFrame, metric: str) -> str | None:
    """The test split where ``metric`` was measured on it, else the only one, else None."""
    splits = sorted(str(s) for s in frame.loc[frame["metric"] == metric, "split"].dropna().unique())
    if "test" in splits:
        return "test"
    return splits[0] if len(splits) == 1 else None


def _measured_baselines(frame: pd.DataFrame) -> set[str]:
    if "baseline" not in frame.columns:
        return set()
    rows = frame.loc[(frame["role"] == "baseline") & frame["value"].notna()]
    return {str(b) for b in rows["baseline"].dropna().unique()}


def _grids(study: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield study
    for grid in study.get("grids") or []:
        if isinstance(grid, Mapping):
            yield grid


def _names(entries: object) -> list[str]:
    """Labels of a list of tasks, backbones or methods: plain names, ``as:`` names and the tasks of task sets."""
    found: list[str] = []
    for entry in entries if isinstance(entries, Sequence) and not isinstance(entries, str) else []:
        if isinstance(entry, Mapping):
            tasks = entry.get("tasks")
            found += _names(tasks) if tasks else [str(v) for v in (entry.get("as"),) if isinstance(v, str)]
        else:
            found.append(str(entry))
    return found
