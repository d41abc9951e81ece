"""Numbers printed in papers: ``results/published/<paper>/<table>.csv`` and how each table is recomputed (paper.yaml).

A CSV has the columns of ``COLUMNS`` and may have ``note`` (the known cause of a difference), ``average_of`` (the row is
a printed average of the named columns of its row; ``*``: of all) and further ones, which are axes. ``paper.yaml`` holds
the citation and, for each table, its :class:`Join`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.foreign import parse_values, read_table
from harness.errors import HarnessError, suggest

COLUMNS = ("paper", "table", "row", "column", "value", "unit", "tolerance", "provenance")
OPTIONAL = ("note", "average_of")
PROVENANCE = ("paper", "repo", "log", "notebook", "digitised", "secondary")
QUANTITIES = ("value", "correlation", "difference", "none")
PAPER_FILE = "paper.yaml"


@dataclass(frozen=True)
class Join:
    """How a published table is found in a study's outcomes.

    Attributes:
        quantity: ``value`` (a cell of the matrix rows x cols), ``correlation`` (of the estimator named by the row with
            ``value``, per label of the column), ``difference`` (of two pooled means, see ``columns``), or ``none``
            (reference only).
        rows, cols: axes that the table's row and column labels belong to.
        value, split, filter, over, relative_to, how: as for ``transfer_matrix``.
        scale: our value times this has the published unit (100 for percent).
        names: published label -> our label, for rows and columns.
        kind, variant: of a correlation.  score: metric of the estimators.
        columns: for differences: column label -> ``{"x": filter, "y": filter}``; row filters apply to x, and to y
            unless it is named in ``fixed``.  row_filters: row label -> filter.
        fixed: columns whose y takes no row filter.
        paired: name of a baseline: differences are also read paired, each trial against its own target's baseline.
    """

    quantity: str = "value"
    rows: str = "source"
    cols: str = "target"
    value: str = "accuracy"
    split: str | None = "test"
    scale: float = 1.0
    filter: Mapping[str, object] = field(default_factory=dict)
    over: tuple[str, ...] = ()
    relative_to: str | None = None
    how: str = "difference"
    names: Mapping[str, str] = field(default_factory=dict)
    kind: str = "weighted_kendall"
    variant: str | None = None
    score: str = "score"
    columns: Mapping[str, Mapping[str, Mapping[str, object]]] = field(default_factory=dict)
    row_filters: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    fixed: tuple[str, ...] = ()
    paired: str | None = None


@dataclass(frozen=True, eq=False)
class Paper:
    """A paper's published values (``frame``, columns ``COLUMNS`` and more) and how each of its tables is joined."""

    name: str
    citation: str
    frame: pd.DataFrame
    joins: Mapping[str, Join]


def read_published(path: str | Path) -> pd.DataFrame:
    """Read and check one table file. ``value`` and ``tolerance`` are numbers (NaN where empty), ``printed`` the text.

    Raises:
        HarnessError: for a missing column, an unknown provenance tag, a value that is no number, or a doubled cell.
    """
    frame = read_table(path)
    name = Path(path).name
    lacking = [c for c in COLUMNS if c not in frame.columns]
    if lacking:
        raise HarnessError(f"{name} has no column {lacking[0]!r}{suggest(lacking[0], map(str, frame.columns))}.")
    unknown = sorted(set(frame["provenance"]) - set(PROVENANCE))
    if unknown:
        raise HarnessError(f"{name} has the provenance {unknown[0]!r}{suggest(unknown[0], PROVENANCE)}.")
    frame = frame.assign(**{c: "" for c in OPTIONAL if c not in frame.columns})
    axes = [c for c in frame.columns if c not in COLUMNS and c not in OPTIONAL]
    doubled = frame.duplicated(["table", "row", "column", *axes])
    if doubled.any():
        row = frame.loc[doubled].iloc[0]
        raise HarnessError(
            f"{name} has two values for {row['row']!r}, {row['column']!r} of the table {row['table']!r}."
        )
    return frame.assign(
        printed=frame["value"], value=parse_values(frame["value"]), tolerance=parse_values(frame["tolerance"])
    )


def load_paper(folder: str | Path) -> Paper:
    """All tables of ``results/published/<paper>/``. Raises HarnessError when there are none, or paper.yaml is wrong."""
    root = Path(folder)
    files = sorted(root.glob("*.csv"))
    if not files:
        known = [p.name for p in root.parent.glob("*") if p.is_dir()]
        raise HarnessError(f"There are no published tables in {str(root)!r}{suggest(root.name, known)}.")
    frame = pd.concat([read_published(f).assign(file=f.name) for f in files], ignore_index=True)
    described = _described(root / PAPER_FILE)
    joins = {str(name): _join(name, entry) for name, entry in (described.get("tables") or {}).items()}
    return Paper(root.name, str(described.get("citation", "")), frame, joins)


def papers(folder: str | Path) -> list[str]:
    """Names of the papers that have tables in ``results/published``."""
    return sorted(p.parent.name for p in Path(folder).glob(f"*/{PAPER_FILE}"))


def _described(path: Path) -> dict[str, Any]:
    import yaml

    if not path.is_file():
        return {}
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise HarnessError(f"{str(path)!r} is not valid YAML: {str(error).splitlines()[0]}.") from error
    if not isinstance(found, dict):
        raise HarnessError(f"{str(path)!r} must hold a mapping with the citation and the tables.")
    return found


def _join(table: str, entry: object) -> Join:
    known = [f.name for f in fields(Join)]
    if not isinstance(entry, Mapping):
        raise HarnessError(f"The table {table!r} of paper.yaml must be a mapping.")
    for key in entry:
        if key not in known:
            raise HarnessError(f"The table {table!r} of paper.yaml has the key {key!r}{suggest(str(key), known)}.")
    values: dict[str, Any] = {k: tuple(v) if k in ("over", "fixed") else v for k, v in entry.items()}
    for key in ("row_filters", "columns", "names"):
        values[key] = {str(k): v for k, v in (values.get(key) or {}).items()}
    made = Join(**values)
    if made.quantity not in QUANTITIES:
        raise HarnessError(
            f"The table {table!r} has the quantity {made.quantity!r}{suggest(made.quantity, QUANTITIES)}."
        )
    return made
