"""Tables as Markdown, LaTeX (booktabs), CSV and HTML; every cell of a matrix keeps the trials behind it."""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from analysis.intervals import cell_intervals
from analysis.matrix import TransferMatrix
from analysis.units import NOT_ESTIMABLE, minus

_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "†": r"\dag{}",
    "‡": r"\ddag{}",
    "§": r"\S{}",
    "\N{MINUS SIGN}": r"$-$",
    "→": r"$\rightarrow$",
    "—": "---",
    "τ": r"$\tau$",
    "ρ": r"$\rho$",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}
_IDS_SHOWN = 6


@dataclass(frozen=True)
class TableCell:
    """One printed cell: ``rank`` 1 is the best of its group (bold), 2 the second (underlined), 0 neither."""

    text: str
    rank: int = 0
    missing: bool = False
    detail: str = ""


@dataclass(frozen=True)
class Table:
    """A table ready to print.

    Attributes:
        header: column heads; the first ``stubs`` columns are labels.
        rows: cells, as many as heads in each row.
        notes: sentences below the table.
        records: what the CSV holds, one mapping a line, in full precision; empty: the printed cells.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[TableCell, ...], ...]
    notes: tuple[str, ...] = ()
    records: tuple[Mapping[str, object], ...] = ()
    stubs: int = 1

    def to_markdown(self) -> str:
        """A GitHub table: best bold, second underlined by ``<u>``."""
        marks = {0: "{}", 1: "**{}**", 2: "<u>{}</u>"}
        lines = ["| " + " | ".join(_markdown(h) for h in self.header) + " |"]
        lines.append("|" + "|".join(":--" if k < self.stubs else "--:" for k in range(len(self.header))) + "|")
        lines += ["| " + " | ".join(marks[c.rank].format(_markdown(c.text)) for c in row) + " |" for row in self.rows]
        return "\n".join([*lines, *(f"\n{_markdown(note)}" for note in self.notes)]) + "\n"

    def to_latex(self) -> str:
        """A ``tabular`` with booktabs rules: best bold, second underlined."""
        marks = {0: "{}", 1: r"\textbf{{{}}}", 2: r"\underline{{{}}}"}
        columns = "l" * self.stubs + "r" * (len(self.header) - self.stubs)
        lines = [f"% {' '.join(note.split())}" for note in (self.title, *self.notes)]
        lines += [rf"\begin{{tabular}}{{{columns}}}", r"\toprule"]
        lines += [" & ".join(_latex(h) for h in self.header) + r" \\", r"\midrule"]
        lines += [" & ".join(marks[c.rank].format(_latex(c.text)) for c in row) + r" \\" for row in self.rows]
        return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"

    def to_csv(self) -> str:
        """The records in full precision, trial ids included; the printed cells when there are no records."""
        buffer = io.StringIO()
        if self.records:
            writer = csv.DictWriter(buffer, list(self.records[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.records)
        else:
            plain = csv.writer(buffer, lineterminator="\n")
            plain.writerow(self.header)
            plain.writerows([c.text for c in row] for row in self.rows)
        return buffer.getvalue()

    def to_html(self) -> str:
        """A ``<table>`` with all text escaped; how a value came about is in the cell's ``title``."""
        kinds = {0: "", 1: "best", 2: "second"}
        head = "".join(f'<th scope="col">{_html(h)}</th>' for h in self.header)
        body = []
        for row in self.rows:
            cells = []
            for k, cell in enumerate(row):
                names = " ".join(n for n in (kinds[cell.rank], "missing" if cell.missing else "") if n)
                extra = (f' class="{names}"' if names else "") + (
                    f' title="{_html(cell.detail)}"' if cell.detail else ""
                )
                tag, scope = ("th", ' scope="row"') if k < self.stubs else ("td", "")
                cells.append(f"<{tag}{scope}{extra}>{_html(minus(cell.text) if tag == 'td' else cell.text)}</{tag}>")
            body.append(f"<tr>{''.join(cells)}</tr>")
        rows = "\n".join(body)
        return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table>"


def plain_table(
    title: str, header: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[str] = (), stubs: int = 1
) -> Table:
    """A table of texts."""
    return Table(title, tuple(header), tuple(tuple(TableCell(t) for t in row) for row in rows), tuple(notes), (), stubs)


def matrix_table(
    matrix: TransferMatrix, *, best: Literal["rows", "cols"] | None = "cols", marginals: bool = True
) -> Table:
    """Print a matrix: value ± spread, the reason where there is none; marginal means say when they lack cells.

    Args:
        best: mark the best and second best within each column ("cols") or each row ("rows").
    """
    ranks = _ranks(matrix, best)
    row_means, col_means = matrix.marginal("rows"), matrix.marginal("cols")
    rows = []
    for i, name in enumerate(matrix.row_labels):
        cells = [_cell(matrix, i, j, int(ranks[i, j])) for j in range(len(matrix.col_labels))]
        means = [_mean_cell(matrix, row_means, i, len(matrix.col_labels))] if marginals else []
        rows.append((TableCell(name), *cells, *means))
    if marginals:
        means = [_mean_cell(matrix, col_means, j, len(matrix.row_labels)) for j in range(len(matrix.col_labels))]
        rows.append((TableCell("mean"), *means, TableCell("")))
    head = (f"{matrix.rows} \\ {matrix.cols}", *matrix.col_labels, *(("mean",) if marginals else ()))
    notes = [f"{matrix.quantity}. {matrix.spread_note}"]
    if best and int((ranks == 1).sum()):
        notes.append(f"Bold: best of each {'column' if best == 'cols' else 'row'}; underlined: second.")
    if marginals and (matrix.reasons != "").any():
        notes.append("Means marked * are over the measured cells only.")
    notes += [f"{mark.symbol} {mark.note}" for mark in matrix.marks if (mark.cells & (matrix.reasons == "")).any()]
    return Table(matrix.title, head, tuple(rows), tuple(notes), tuple(_records(matrix)))


def _cell(matrix: TransferMatrix, i: int, j: int, rank: int) -> TableCell:
    if matrix.reasons[i, j]:
        return TableCell(str(matrix.reasons[i, j]), missing=True, detail=str(matrix.details[i, j]))
    text = matrix.text(i, j) + matrix.symbols(i, j)
    ids = matrix.trial_ids[i, j]
    more = f" and {len(ids) - _IDS_SHOWN} more" if len(ids) > _IDS_SHOWN else ""
    flags = f"; {matrix.flags[i, j]}" if matrix.flags[i, j] else ""
    seeds = "1 seed" if matrix.seeds[i, j] == 1 else f"{matrix.seeds[i, j]} seeds"
    detail = f"{seeds}{flags}; trials {', '.join(ids[:_IDS_SHOWN])}{more}"
    return TableCell(text, rank, detail=detail)


def _mean_cell(matrix: TransferMatrix, means: tuple[np.ndarray, np.ndarray], k: int, full: int) -> TableCell:
    value, n = float(means[0][k]), int(means[1][k])
    if n == 0:
        return TableCell("", missing=True, detail="no cell has a value")
    return TableCell(matrix.unit.text(value, matrix.signed) + ("*" if n < full else ""), detail=f"mean of {n} cells")


def _ranks(matrix: TransferMatrix, best: str | None) -> np.ndarray:
    """1 for the best and 2 for the second best of each column or row (equal values share a rank), else 0."""
    ranks = np.zeros(matrix.shape, dtype=int)
    if best is None:
        return ranks
    values = matrix.values if matrix.higher_is_better else -matrix.values
    lines, out = (values.T, ranks.T) if best == "cols" else (values, ranks)
    for line, marks in zip(lines, out, strict=True):
        distinct = np.unique(line[np.isfinite(line)])[::-1]
        if len(distinct) > 1:
            marks[line == distinct[0]] = 1
            if len(distinct) > 2:
                marks[line == distinct[1]] = 2
    return ranks


def _records(matrix: TransferMatrix) -> list[Mapping[str, object]]:
    """Every cell in full precision; what was not measured is empty and has its reason beside it.

    ``low`` and ``high`` are the 95 % interval from seeds and the test sample (``cell_intervals``).
    """
    found: list[Mapping[str, object]] = []
    intervals = cell_intervals(matrix)
    ends = zip(intervals.low.ravel(), intervals.high.ravel(), intervals.test_error.ravel(), strict=True)
    for k, (cell, (low, high, error)) in enumerate(zip(matrix.cells(), ends, strict=True)):
        measured = cell.reason == ""
        spread: object = NOT_ESTIMABLE if measured else ""
        found.append(
            {
                matrix.rows: cell.row,
                matrix.cols: cell.col,
                "metric": matrix.metric,
                "split": matrix.split or "",
                "relative_to": matrix.relative_to or "",
                "reading": matrix.how or "absolute",
                "value": repr(cell.value) if measured else "",
                "spread": repr(cell.spread) if np.isfinite(cell.spread) else spread,
                "low": repr(float(low)) if np.isfinite(low) else spread,
                "high": repr(float(high)) if np.isfinite(high) else spread,
                "test_error": repr(float(error)) if np.isfinite(error) else spread,
                "seeds": cell.seeds,
                "trials": cell.count,
                "reason": cell.reason,
                "detail": cell.detail,
                "flags": cell.flags,
                **{m.name: "yes" if m.cells.flat[k] else "" for m in matrix.marks},
                "trial_ids": " ".join(cell.trial_ids),
                "baseline_ids": " ".join(cell.baseline_ids),
            }
        )
    return found


def _html(text: str) -> str:
    return html.escape(text, quote=True)


def _latex(text: str) -> str:
    return "".join(_LATEX.get(c, c) for c in text)


def _markdown(text: str) -> str:
    for mark in ("\\", "|", "*", "`"):
        text = text.replace(mark, "\\" + mark)
    return " ".join(text.replace("<", "&lt;").split())
