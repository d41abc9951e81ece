"""Sections on what a transfer matrix says of tasks: who helps whom, whether methods agree, what could be grouped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np

from analysis.agreement import Agreement, agreement_table, agreements
from analysis.ceiling import Ceiling
from analysis.correlation import SYMBOLS
from analysis.gains import Advantage, Gain, Gains, advantage, gains
from analysis.group_files import groups_yaml
from analysis.grouping import Grouping, agreement, group_tasks
from analysis.heatmaps import draw
from analysis.interval_plots import Line, Part, draw_intervals
from analysis.matrix import TransferMatrix
from analysis.section_parts import Parts
from analysis.tables import Table, TableCell
from analysis.units import NOT_ESTIMABLE, minus
from harness.task_groups import groups_digest

GROUPS_FOLDER = "groups"


def add_gains(made: Parts, matrix: TransferMatrix, analysis: Mapping[str, Any], name: str) -> None:
    """Rows and columns by their mean gain, with intervals; ``x`` against the rows that fit ``y`` where it is asked."""
    found = gains(matrix)
    parts = [
        Part(f"{matrix.rows}s, as they help", _lines(found.rows, matrix)),
        Part("sets of tasks", _lines(found.sets, matrix)),
        Part(f"{matrix.cols}s, as they are helped", _lines(found.cols, matrix)),
        Part("", _lines((found.overall,), matrix, True)),
    ]
    note = "mean over the other axis with its 95 % interval; beside it: cells above the baseline of all cells"
    title = f"Who helps, who is helped: {matrix.title}"
    made.draw(name, f"Mean gains with intervals: {matrix.quantity}",
              partial(draw_intervals, parts, title, matrix.quantity, note))  # fmt: skip
    made.tables.append((name, gains_table(found, matrix)))
    if analysis.get("x"):
        pattern = str(analysis.get("y") or "*")
        made.notes.append(advantage_note(advantage(matrix, str(analysis["x"]), pattern), matrix, pattern))


def _lines(found: Sequence[Gain], matrix: TransferMatrix, summary: bool = False) -> tuple[Line, ...]:
    scale = matrix.unit.scale
    return tuple(
        Line(
            "all cells" if summary else g.label, g.mean * scale, g.low * scale, g.high * scale,
            f"{matrix.unit.text(g.mean, True)}   {g.above}/{g.n}", summary=summary,
        )
        for g in found
        if g.n
    )  # fmt: skip


def gains_table(found: Gains, matrix: TransferMatrix) -> Table:
    """Every row, set and column: mean gain, share of cells above the baseline, both with intervals."""
    several = [(f"{matrix.rows} ", found.rows), ("set ", found.sets), (f"{matrix.cols} ", found.cols), ("", (
        found.overall,))]  # fmt: skip
    rows = [_gain_row(prefix, g, matrix) for prefix, group in several for g in group]
    records = [
        {"kind": prefix.strip() or "all", "label": g.label, "mean": g.mean, "low": g.low, "high": g.high, "n": g.n,
         "above": g.above, "ties": g.ties, "share_low": g.share_low, "share_high": g.share_high}
        for prefix, group in several
        for g in group
    ]  # fmt: skip
    notes = (
        f"{matrix.quantity}; {found.self_cells} cells of a task with itself left out. Intervals (95 %) of a mean: over "
        f"the {matrix.cols}s (or {matrix.rows}s) of that line, of all cells over both together. They take the tasks as "
        "drawn from more such tasks; seeds and test samples are in them as far as they differ between tasks.",
        "Above: cells better than the baseline, of all cells with a value (ties are not above); interval: Wilson's, of "
        "all cells the bootstrap's over both axes.",
    )
    head = ("", "mean", "95 % interval", "above", "share", "95 % interval", "ties")
    return Table(f"Gains, {matrix.title}", head, tuple(rows), notes, tuple(records))


def _gain_row(prefix: str, g: Gain, matrix: TransferMatrix) -> tuple[TableCell, ...]:
    unit = matrix.unit
    ends = f"{unit.text(g.low, True)} to {unit.text(g.high, True)}" if np.isfinite(g.low) else NOT_ESTIMABLE
    share = f"{g.share_low:.0%} to {g.share_high:.0%}" if np.isfinite(g.share_low) else NOT_ESTIMABLE
    return (
        TableCell(f"{prefix}{g.label}"), TableCell(unit.text(g.mean, True)), TableCell(ends, detail=g.reason),
        TableCell(f"{g.above} of {g.n}"), TableCell(f"{g.share:.0%}" if g.n else ""), TableCell(share),
        TableCell(str(g.ties)),
    )  # fmt: skip


def advantage_note(found: Advantage, matrix: TransferMatrix, pattern: str) -> str:
    """One row against the mean of others as a sentence."""
    unit = matrix.unit
    ends = f"[{unit.text(found.low, True)}, {unit.text(found.high, True)}]" if np.isfinite(found.low) else (
        f"[interval {NOT_ESTIMABLE}: {found.reason}]")  # fmt: skip
    name = f" {unit.name}" if unit.name else ""
    return (
        f"{matrix.title}: {found.row!r} minus the mean of the {len(found.others)} rows {pattern!r}: "
        f"{unit.text(found.mean, True)} {ends}{name} over {found.n} {matrix.cols}s, better on {found.wins}; "
        f"{found.as_good} of these rows {'is' if found.as_good == 1 else 'are'} as good in the mean."
    )


def add_agreement(
    made: Parts, matrices: Mapping[str, TransferMatrix], ceilings: Mapping[str, Ceiling], axis: str, title: str,
    name: str,
) -> None:  # fmt: skip
    """Rank correlation of every two matrices: intervals, what chance gives, and the noise ceilings."""
    found = agreements(matrices)
    quantity = next(iter(matrices.values())).quantity
    heading = f"Do {axis}s prefer the same transfers? {title}"
    parts = [Part("pooled over cells", _pairs(found, True)), Part("mean over columns", _pairs(found, False))]
    symbol = SYMBOLS[found[0].pooled.kind]
    note = "grey: 95 % of the coefficients when the labels of tasks are permuted"
    across = f"{symbol} ({found[0].pooled.kind}), {quantity}"
    alt = f"Rank correlations between {axis}s: {quantity}"
    made.draw(name, alt, partial(draw_intervals, parts, heading, across, note))
    made.tables.append((name, agreement_table(found, ceilings, quantity, axis, heading)))


def _pairs(found: Sequence[Agreement], pooled: bool) -> tuple[Line, ...]:
    lines = []
    for one in found:
        value = one.pooled if pooled else one.mean
        band = (one.test.null_low, one.test.null_high) if pooled and not one.test.reason else None
        lines.append(Line(f"{one.x}, {one.y}", value.estimate, value.low, value.high, str(value), band))
    return tuple(lines)


def add_groups(
    made: Parts, files: dict[str, str], matrices: Mapping[str, TransferMatrix], analysis: Mapping[str, Any],
    study: str, title: str, names: Mapping[str, str],
) -> None:  # fmt: skip
    """Group the tasks of each matrix: heatmap in their order, table, and the file that a second study takes.

    files: report file -> text, added to.  names: file name of each matrix's drawings.
    """
    found: dict[str, Grouping] = {}
    for key, matrix in matrices.items():
        made_of = group_tasks(matrix, analysis.get("linkage") or "average", analysis.get("groups"))
        found[key] = made_of
        name = names[key]
        made.draw(name, f"Heatmap in the order of groups: {matrix.quantity}",
                  partial(draw_groups, matrix, made_of))  # fmt: skip
        made.tables.append((name, groups_table(made_of, matrix)))
        made_from = {
            "study": study, "analysis": title, "matrix": matrix.title, "value": matrix.quantity,
            "averaged_over": list(matrix.over),
        }  # fmt: skip
        files[f"{GROUPS_FOLDER}/{name}.yaml"] = groups_yaml(made_of, made_from)
        made.notes.append(
            f"{matrix.title}: {groups_sentence(made_of)} Written to {GROUPS_FOLDER}/{name}.yaml, digest "
            f"{groups_digest(made_of.groups)[:12]}: a study co-trains them with sources: [{{groups: that file}}]."
        )
    for first, second in combinations(found, 2):
        index = agreement(found[first], found[second])
        scale = "(equal: 1; on average by chance: 0)"
        made.notes.append(f"Groups of {first} and of {second}: adjusted Rand index {index:.2f} {scale}.")


def draw_groups(matrix: TransferMatrix, found: Grouping) -> Any:
    """The matrix with its tasks in the order of their groups, bracketed, with the dendrogram where there is one."""
    rows = np.array([matrix.row_labels.index(name) for name in found.labels])
    cols = np.array([matrix.col_labels.index(name) for name in found.labels])
    return draw(matrix.reordered(rows, cols), groups=found.of(), tree=found.tree)


def groups_sentence(found: Grouping) -> str:
    """How many groups, by what, how good, and what chance would give."""
    how = "the number of the largest mean silhouette" if found.chosen_by == "silhouette" else "a given number"
    text = f"{len(found.groups)} groups by {found.linkage} {'clustering' if found.linkage == 'spectral' else 'linkage'}"
    text += f" ({how}: {found.silhouette:.2f}"
    if found.null.size:
        text += (f"; gains dealt out anew among the pairs: {np.median(found.null):.2f} in the middle, p = "
                 f"{found.p_value:.2g}, {found.null.size} times")  # fmt: skip
    filled = f"; {found.filled} pairs without a gain counted as the mean" if found.filled else ""
    return minus(f"{text}{filled}).")


def groups_table(found: Grouping, matrix: TransferMatrix) -> Table:
    """Groups with their members and mean mutual gain within and towards the others; silhouettes by number of groups."""
    unit = matrix.unit
    sign = 1.0 if matrix.higher_is_better else -1.0
    rows = []
    for number, members in enumerate(found.groups):
        inside = found.numbers == number
        within = found.mutual[np.ix_(inside, inside)]
        towards = found.mutual[np.ix_(inside, ~inside)]
        means = [unit.text(sign * float(np.nanmean(part)), True) if np.isfinite(part).any() else "" for part in (
            within, towards)]  # fmt: skip
        rows.append((TableCell(f"group {number + 1}"), TableCell(", ".join(members)), *map(TableCell, means)))
    tried = ", ".join(f"{k}: {value:.2f}" for k, value in sorted(found.silhouettes.items()))
    notes = (
        f"{matrix.quantity}; mutual: the mean of both directions of a pair, {matrix.rows} and {matrix.cols} exchanged. "
        "Distance of two tasks: the largest mutual gain of any pair minus theirs.",
        minus(f"Mean silhouette by number of groups: {tried}."),
    )
    head = ("", "tasks", "mutual gain within", "towards others")
    return Table(f"Groups, {matrix.title}", head, tuple(rows), notes, stubs=2)
