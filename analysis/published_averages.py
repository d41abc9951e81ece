"""Printed averages against the cells that they are averages of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from analysis.tables import Table, TableCell

Verdict = Literal["follows", "rounding", "does not follow", "not checkable"]


@dataclass(frozen=True)
class AverageCheck:
    """One printed average: ``mean`` of the ``n`` printed cells; ``listed``: known before (its ``note`` says so).

    Verdict: ``follows`` when the mean of the printed cells rounds to it; ``rounding`` when it does not, but cells
    rounded as printed could hide the difference; ``does not follow`` when they could not; ``not checkable`` when cells
    are missing.
    """

    paper: str
    table: str
    row: str
    column: str
    published: float
    mean: float
    n: int
    verdict: Verdict
    note: str


def check_averages(frame: pd.DataFrame) -> list[AverageCheck]:
    """Check every row with ``average_of`` in published tables (``read_published``); extra columns tell rows apart."""
    extra = [c for c in frame.columns if c not in _PLAIN]
    keys = ["paper", "table", "row", *extra]
    found = []
    for _, rows in frame.groupby(keys, sort=False, dropna=False):
        averages = rows.loc[rows["average_of"] != ""]
        found += [_check({str(k): v for k, v in average.items()}, rows) for average in averages.to_dict("records")]
    return found


_PLAIN = frozenset(
    {"paper", "table", "row", "column", "value", "unit", "tolerance", "provenance", "note", "average_of", "printed"}
    | {"file"}
)


def _check(average: dict[str, object], rows: pd.DataFrame) -> AverageCheck:
    wanted = str(average["average_of"])
    plain = rows.loc[rows["average_of"] == ""]
    names = list(plain["column"]) if wanted == "*" else wanted.split("|")
    cells = plain if wanted == "*" else rows  # an average may be one of other averages when it names them
    chosen = cells.loc[cells["column"].isin(names) & cells["value"].notna()]
    published, n = float(str(average["value"])), len(chosen)
    mean = float(chosen["value"].mean()) if n else float("nan")
    verdict: Verdict = "not checkable"
    if n == len(names) and n:
        off = abs(published - mean)
        own, theirs = _half_unit(str(average["printed"])), max(_half_unit(str(p)) for p in chosen["printed"])
        verdict = "follows" if off <= own + 1e-9 else "rounding" if off <= own + theirs + 1e-9 else "does not follow"
    row = str(average["row"])
    return AverageCheck(str(average["paper"]), str(average["table"]), row, str(average["column"]), published, mean, n,
                        verdict, str(average["note"]))  # fmt: skip


def _half_unit(printed: str) -> float:
    """Half of the last printed digit: "90.3" stands for anything within 0.05."""
    return 0.5 * 10.0 ** -len(printed.partition(".")[2])


def averages_table(checks: Sequence[AverageCheck]) -> Table:
    """The averages that are not the rounded mean of their printed cells, and how many are."""
    odd = [c for c in checks if c.verdict in ("rounding", "does not follow")]
    rows = tuple(
        tuple(TableCell(t) for t in (c.paper, c.table, c.row, c.column, f"{c.published:g}", f"{c.mean:.3f}",
                                     f"{c.published - c.mean:+.3f}", str(c.n), c.verdict, c.note))
        for c in odd
    )  # fmt: skip
    head = ("paper", "table", "row", "column", "printed", "mean of cells", "difference", "cells", "verdict", "note")
    counted = ", ".join(f"{sum(c.verdict == v for c in checks)} {v}" for v in ("follows", "rounding", "does not follow",
                                                                              "not checkable"))  # fmt: skip
    return Table("Printed averages that are not the mean of their cells", head, rows,
                 (f"{len(checks)} printed averages: {counted}.",), (), 4)  # fmt: skip
