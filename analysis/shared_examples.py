"""Examples that a target's test split shares with what a source learns from: read, told, and marked in matrices.

``harness prepare`` compares the pictures or texts of both and leaves ``leakage.json`` in the report's folder: a list of
``{"source", "target", "split", "exact", "near", "of"}``, counts of the target's test examples.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from analysis.attributes import Attributes
from analysis.matrix import Mark, TransferMatrix
from analysis.tables import Table, plain_table
from harness.errors import HarnessError

FILE = "leakage.json"
SYMBOL = "‡"
MARKED_SHARE = 0.01
"""Cells are marked from this share of the test examples on: less can move an accuracy by less than a point."""
_MOST_LISTED = 20


@dataclass(frozen=True)
class SharedExamples:
    """Of ``of`` examples of the target's split, how many have an ``exact`` or only a ``near`` duplicate in the source's
    training data."""

    source: str
    target: str
    split: str
    exact: int
    near: int
    of: int

    @property
    def share(self) -> float:
        """Examples with any duplicate, as a share of all."""
        return (self.exact + self.near) / self.of if self.of else 0.0


def read_shared(folder: Path) -> list[SharedExamples] | None:
    """What was found for the study whose report lies in ``folder``; None when nothing was compared.

    Raises:
        HarnessError: when the file is there but does not hold such a list.
    """
    path = folder / FILE
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        return [
            SharedExamples(str(e["source"]), str(e["target"]), str(e.get("split", "test")), int(e["exact"]),
                           int(e["near"]), int(e["of"]))
            for e in entries
        ]  # fmt: skip
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise HarnessError(f"{str(path)!r} does not hold a list of compared tasks ({error!r}).") from error


def shared_table(found: Sequence[SharedExamples]) -> Table | None:
    """The pairs with shared examples, the worst first; None when there are none."""
    some = sorted((p for p in found if p.exact + p.near), key=lambda p: (-p.share, p.source, p.target))
    if not some:
        return None
    rows = [
        (p.source, p.target, f"{p.exact:,}", f"{p.near:,}", f"{p.of:,}", f"{p.share:.2%}") for p in some[:_MOST_LISTED]
    ]
    notes = [f"Of {len(found)} pairs compared, {len(some)} share examples."]
    notes += [f"The worst {_MOST_LISTED} of them."] if len(some) > _MOST_LISTED else []
    notes.append("Exact: equal examples. Near: what a glance takes for the same; other symbols may be among them.")
    head = ("source (train)", "target (test)", "exact", "near", "of", "share")
    return plain_table("Test examples that are in the source's training data", head, rows, notes, stubs=2)


def mark_shared(
    matrix: TransferMatrix, found: Sequence[SharedExamples] | None, attributes: Attributes
) -> TransferMatrix:
    """The matrix with a mark on cells whose source shares test examples; as it is when its axes are others."""
    axes = (matrix.rows, matrix.cols)
    if not found or sorted(axes) != ["source", "target"]:
        return matrix
    worst: dict[tuple[str, str], float] = {}
    for pair in found:
        worst[pair.source, pair.target] = max(pair.share, worst.get((pair.source, pair.target), 0.0))
    sources, targets = (matrix.row_labels, matrix.col_labels)[:: 1 if matrix.rows == "source" else -1]
    cells = np.array([[_share(s, t, worst, attributes) >= MARKED_SHARE for t in targets] for s in sources], dtype=bool)
    cells = cells if matrix.rows == "source" else cells.T
    note = f"at least {MARKED_SHARE:.0%} of the target's test examples are in the source's training data."
    return replace(matrix, marks=(*matrix.marks, Mark("shared examples", SYMBOL, cells, note)))


def _share(source: str, target: str, worst: Mapping[tuple[str, str], float], attributes: Attributes) -> float:
    """The largest share over the members of a source."""
    pairs = [(source, target), *((member, target) for member in attributes.members(source, target))]
    return max(worst.get(pair, 0.0) for pair in pairs)
