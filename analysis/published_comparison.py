"""Ours beside theirs: every published value that can be recomputed, as match, differ or not comparable (and why)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
import pandas as pd

from analysis.columns import restrict, textual
from analysis.correlation import correlate
from analysis.matrix import TransferMatrix, transfer_matrix
from analysis.published import Join, Paper
from analysis.tables import Table, TableCell
from harness.errors import HarnessError

Status = Literal["match", "differ", "not comparable"]
STATUSES: tuple[Status, ...] = ("match", "differ", "not comparable")


@dataclass(frozen=True)
class PublishedMatch:
    """One published value beside ours (in the published unit).

    ``tolerance``: published (rounding) plus the half width of the 95 % interval of our mean over seeds.  ``why``: the
    reason when not comparable; the known cause, if one is recorded, when it differs.  ``paired``: of differences, the
    reading in which every trial is set against its own target's baseline; NaN where it was not asked for.
    """

    paper: str
    table: str
    row: str
    column: str
    published: float
    ours: float
    tolerance: float
    seeds: int
    status: Status
    why: str
    unit: str
    paired: float = float("nan")


@dataclass(frozen=True)
class _Ours:
    """Our number for a published cell, the half width that seeds give it, or why there is none."""

    value: float = float("nan")
    half_width: float = float("nan")
    seeds: int = 0
    why: str = ""
    paired: float = float("nan")


def compare_published(
    frame: pd.DataFrame, paper: Paper, *, tables: Sequence[str] | None = None, trials: pd.DataFrame | None = None
) -> list[PublishedMatch]:
    """Recompute the tables of a paper from an outcome frame.

    Tables without a join, or with quantity ``none``, are reference only and are left out.

    Raises:
        HarnessError: when none of the paper's tables can be joined.
    """
    wanted = [t for t, j in paper.joins.items() if j.quantity != "none" and (tables is None or t in tables)]
    if not wanted:
        raise HarnessError(f"paper.yaml of {paper.name!r} does not say how any of its tables is recomputed.")
    found: list[PublishedMatch] = []
    for table in wanted:
        join = paper.joins[table]
        rows = paper.frame.loc[paper.frame["table"] == table]
        ours = _recompute(frame, trials, join, rows)
        found += [_match(paper.name, join, row, ours) for row in rows.to_dict("records")]
    return found


def _match(paper: str, join: Join, row: Mapping[Any, Any], ours: Mapping[tuple[str, str], _Ours]) -> PublishedMatch:
    where = (str(row["row"]), str(row["column"]))
    mine = ours.get(where, _Ours(why="our study has no such cell"))
    if row["average_of"]:
        mine = _averaged(str(row["average_of"]), where[0], ours)
    value, published = mine.value * join.scale, float(row["value"])
    stated = float(row["tolerance"])
    parts = [stated, mine.half_width * abs(join.scale)]
    tolerance = float(np.nansum(parts)) if np.isfinite(parts).any() else float("nan")
    status: Status = "not comparable"
    why = mine.why
    if not why and np.isnan(published):
        why = "no number was published"
    if not why and np.isnan(tolerance):
        why = "one seed and no published tolerance: nothing says how far apart is too far"
    if not why:
        status = "match" if abs(value - published) <= tolerance + 1e-9 else "differ"
        why = "" if status == "match" else str(row["note"]) or "no cause is known"
    return PublishedMatch(paper, str(row["table"]), *where, published, value, tolerance, mine.seeds, status, why,
                          str(row["unit"]), mine.paired * join.scale)  # fmt: skip


def _averaged(wanted: str, row: str, ours: Mapping[tuple[str, str], _Ours]) -> _Ours:
    names = [c for r, c in ours if r == row] if wanted == "*" else wanted.split("|")
    parts = [ours.get((row, name), _Ours(why="missing")) for name in names]
    lacking = sum(bool(p.why) for p in parts)
    if lacking or not parts:
        return _Ours(why=f"our mean would lack {lacking} of {len(names)} cells")
    widths = np.array([p.half_width for p in parts])
    half = float(np.sqrt((widths**2).sum()) / len(parts)) if np.isfinite(widths).all() else float("nan")
    return _Ours(float(np.mean([p.value for p in parts])), half, min(p.seeds for p in parts))


def _recompute(
    frame: pd.DataFrame, trials: pd.DataFrame | None, join: Join, rows: pd.DataFrame
) -> dict[tuple[str, str], _Ours]:
    cells = rows.loc[rows["average_of"] == "", ["row", "column"]].itertuples(index=False, name=None)
    wanted = [(str(r), str(c)) for r, c in cells]
    makers = {"value": _values, "correlation": _correlations, "difference": _differences}
    try:
        return makers[join.quantity](frame, trials, join, wanted)
    except HarnessError as error:
        return dict.fromkeys(wanted, _Ours(why=str(error)))


def _values(
    frame: pd.DataFrame, trials: pd.DataFrame | None, join: Join, wanted: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], _Ours]:
    matrix = transfer_matrix(
        frame, join.rows, join.cols, join.value, relative_to=join.relative_to, how=cast(Any, join.how), over=join.over,
        filter=join.filter, split=join.split, trials=trials,
    )  # fmt: skip
    return {(r, c): _cell(matrix, join.names.get(r, r), join.names.get(c, c)) for r, c in wanted}


def _cell(matrix: TransferMatrix, row: str, col: str) -> _Ours:
    for axis, label, known in ((matrix.rows, row, matrix.row_labels), (matrix.cols, col, matrix.col_labels)):
        if label not in known:
            return _Ours(why=f"our study has no {axis} {label!r}")
    cell = matrix.cell(row, col)
    if cell.reason:
        return _Ours(why=f"{cell.reason}: {cell.detail}" if cell.detail else cell.reason)
    return _Ours(cell.value, seed_half_width(cell.spread, cell.seeds), cell.seeds)


def seed_half_width(spread: float, seeds: int, level: float = 0.95) -> float:
    """Half width of Student's interval of a mean over seeds; NaN with fewer than two."""
    from scipy import stats

    if seeds < 2 or not np.isfinite(spread):
        return float("nan")
    return float(stats.t.ppf((1 + level) / 2, seeds - 1) * spread / np.sqrt(seeds))


def _correlations(
    frame: pd.DataFrame, trials: pd.DataFrame | None, join: Join, wanted: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], _Ours]:
    outcome = transfer_matrix(frame, join.rows, join.cols, join.value, filter=join.filter, split=join.split,
                              over=join.over)  # fmt: skip
    found: dict[tuple[str, str], _Ours] = {}
    for row in dict.fromkeys(r for r, _ in wanted):
        columns = [c for r, c in wanted if r == row]
        try:
            score = transfer_matrix(frame, join.rows, join.cols, join.score, role="estimator", split=join.split,
                                    filter={"method": join.names.get(row, row)})  # fmt: skip
        except HarnessError as error:
            found |= {(row, c): _Ours(why=str(error)) for c in columns}
            continue
        made = correlate(score, outcome, cast(Any, join.kind), join.variant, n_resamples=0)
        for column in columns:
            one = made.per_target.get(join.names.get(column, column))
            if one is None:
                found[row, column] = _Ours(why=f"our study has no {join.cols} {column!r}")
            elif one.reason:
                found[row, column] = _Ours(why=one.reason)
            else:
                found[row, column] = _Ours(one.estimate, seeds=1)
    return found


def _differences(
    frame: pd.DataFrame, trials: pd.DataFrame | None, join: Join, wanted: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], _Ours]:
    text = textual(frame)
    rows = text.loc[(text["metric"] == join.value) & text["value"].notna()]
    rows = restrict(rows.loc[rows["split"] == join.split] if join.split else rows, join.filter)
    found = {}
    for row, column in wanted:
        sides = join.columns.get(column)
        if sides is None:
            found[row, column] = _Ours(why=f"paper.yaml does not say what {column!r} is")
            continue
        of_row = join.row_filters.get(row, {})
        x = restrict(rows, {**of_row, **sides["x"]})
        y = restrict(rows, {**({} if column in join.fixed else of_row), **sides["y"]})
        base = rows.loc[rows["baseline"] == join.paired] if join.paired else rows.iloc[:0]
        paired = paired_difference(x, y, base) if len(base) else float("nan")
        found[row, column] = _Ours(pooled_difference(x, y), seeds=1, paired=paired)
    return found


def pooled_difference(x: pd.DataFrame, y: pd.DataFrame) -> float:
    """Mean of x minus mean of y, unweighted over trials."""
    return float(x["value"].mean() - y["value"].mean())


def paired_difference(x: pd.DataFrame, y: pd.DataFrame, base: pd.DataFrame) -> float:
    """The same after each trial's own target's mean in ``base`` is taken off, so that the targets' difficulty cancels.

    NaN when a trial's target has no baseline.
    """
    own = base.groupby("target")["value"].mean()
    parts = [(part["value"] - part["target"].map(own)) for part in (x, y)]
    return float("nan") if any(p.isna().any() for p in parts) else float(parts[0].mean() - parts[1].mean())


def published_table(found: Sequence[PublishedMatch], every: bool = False) -> Table:
    """Counts by table, then what differs and what cannot be compared (``every``: also what matches)."""
    shown = [m for m in found if every or m.status != "match"]
    shown = sorted(shown, key=lambda m: -1 if m.status == "differ" else STATUSES.index(m.status))
    paired = any(np.isfinite(m.paired) for m in found)
    rows = tuple(
        tuple(TableCell(t) for t in (f"{m.paper}/{m.table}", m.row, m.column, f"{m.published:g}", _shown(m.ours),
                                     _shown(m.ours - m.published, True), _shown(m.tolerance), m.status,
                                     *((_shown(m.paired),) if paired else ()), m.why))
        for m in shown
    )  # fmt: skip
    notes = []
    for table in dict.fromkeys(m.table for m in found):
        ours = [m for m in found if m.table == table]
        notes.append(f"{table}: " + ", ".join(f"{sum(m.status == s for m in ours)} {s}" for s in STATUSES)
                     + f" of {len(ours)}.")  # fmt: skip
    notes.append("Tolerance: half of the last printed digit (or as stated), plus our 95% interval over seeds.")
    if paired:
        notes.append(
            "Paired: every trial against its own target's baseline, so that targets of other difficulty cancel."
        )
    extra = ("paired",) if paired else ()
    head = ("table", "row", "column", "published", "ours", "difference", "tolerance", "", *extra, "why")
    records = tuple(dict(m.__dict__) for m in found)
    return Table("Published values beside ours", head, rows, tuple(notes), records, 3)


def _shown(value: float, signed: bool = False) -> str:
    return "" if np.isnan(value) else f"{value:+.4g}" if signed else f"{value:.4g}"
