"""Readings of a matrix with and without cells whose source and target are related, and what differs between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from analysis.attributes import Attributes, attributes_of, related_pairs
from analysis.matrix import Mark, TransferMatrix
from analysis.tables import Table, TableCell
from harness.errors import HarnessError, suggest

WAYS = ("keep", "drop", "both")
_SYMBOL = "§"


@dataclass(frozen=True)
class Reading:
    """``suffix`` of its titles; attributes by which cells are left out and by which they are marked."""

    suffix: str = ""
    dropped: tuple[str, ...] = ()
    marked: tuple[str, ...] = ()


def readings(study: Mapping[str, Any], analysis: Mapping[str, Any]) -> tuple[list[Reading], Attributes]:
    """The readings that ``same: {attribute: keep | drop | both}`` asks for; one plain reading without it.

    Raises:
        HarnessError: for an unknown way, or an attribute that no task has.
    """
    asked: Mapping[str, str] = analysis.get("same") or {}
    attributes = attributes_of(study, analysis)
    for name, way in asked.items():
        if way not in WAYS:
            raise HarnessError(f"Cells of the same {name} cannot be read as {way!r}{suggest(str(way), WAYS)}.")
        attributes.require(name, "same")
    dropped, both = (tuple(n for n, way in asked.items() if way == wanted) for wanted in ("drop", "both"))
    marked = tuple(n for n in asked if n not in dropped)
    first = Reading(_without(dropped), dropped, marked)
    if not both:
        return [first], attributes
    rest = tuple(n for n in marked if n not in both)
    return [first, Reading(_without((*dropped, *both)), (*dropped, *both), rest)], attributes


def _without(names: tuple[str, ...]) -> str:
    return f", without cells of one {' or '.join(names)}" if names else ""


def mark_related(matrix: TransferMatrix, attributes: Attributes, names: tuple[str, ...]) -> TransferMatrix:
    """The matrix with a mark on cells whose source and target are related; as it is when its axes are others."""
    axes = (matrix.rows, matrix.cols)
    if not names or sorted(axes) != ["source", "target"]:
        return matrix
    sources, targets = matrix.row_labels, matrix.col_labels
    if axes == ("target", "source"):
        sources, targets = targets, sources
    cells = np.any([related_pairs(sources, targets, attributes, name) for name in names], axis=0)
    cells = cells if axes == ("source", "target") else cells.T
    text = " or ".join(names)
    mark = Mark(f"same {text}", _SYMBOL, cells, f"source and target are of one {text}, or are one task.", outlined=True)
    return replace(matrix, marks=(*matrix.marks, mark))


def related_summary(everything: TransferMatrix, without: TransferMatrix, name: str) -> Table | None:
    """Best source and mean of every target over all cells and without related ones; None unless both have values.

    Sources are the rows. The last line averages the targets that have both means.
    """
    if everything.rows != "source" or not (np.isfinite(without.values) != np.isfinite(everything.values)).any():
        return None
    if not np.isfinite(without.values).any():
        return None
    shown = without.reordered(
        np.array([without.row_labels.index(r) for r in everything.row_labels]),
        np.array([without.col_labels.index(c) for c in everything.col_labels]),
    )
    rows = [
        (TableCell(col), *_best(everything, j), *_best(shown, j))
        for j, col in enumerate(everything.col_labels)
    ]  # fmt: skip
    means = np.array([m.marginal("cols")[0] for m in (everything, shown)])
    usual = np.isfinite(means).all(axis=0)
    last = [TableCell("mean", detail=f"mean of {int(usual.sum())} targets")]
    for mean in means:
        value = float(mean[usual].mean()) if usual.any() else float("nan")
        last += [TableCell(""), TableCell(everything.unit.text(value, everything.signed)), TableCell("")]
    what = "mean gain" if everything.signed else "mean"
    head = (everything.cols, "best of all", what, "sources", f"best of another {name}", what, "sources")
    notes = (
        f"{everything.quantity}. Best source with its value, and the mean over sources: over all cells, and without "
        f"those whose source is of the target's own {name} or the target itself.",
    )
    return Table(f"With and without cells of one {name}", head, (*rows, tuple(last)), notes)


def _best(matrix: TransferMatrix, j: int) -> tuple[TableCell, TableCell, TableCell]:
    """Best source of a column with its value, the mean over its sources, their number."""
    column = matrix.values[:, j]
    measured = np.isfinite(column)
    if not measured.any():
        return TableCell("", missing=True), TableCell("", missing=True), TableCell("0")
    ranked = np.where(measured, column if matrix.higher_is_better else -column, -np.inf)
    best = int(ranked.argmax())
    named = f"{matrix.row_labels[best]} ({matrix.unit.text(float(column[best]), matrix.signed)})"
    mean = matrix.unit.text(float(column[measured].mean()), matrix.signed)
    return TableCell(named), TableCell(mean), TableCell(str(int(measured.sum())))
