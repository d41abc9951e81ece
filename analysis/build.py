"""From an outcome frame to a transfer matrix: choose rows, refuse silent averages, collapse seeds, explain gaps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import pandas as pd

from analysis.attributes import LEFT_OUT
from analysis.baselines import PAIRING_TEXT, How, Pairing, Relative, baseline_rows, relative_to, replaced_axes
from analysis.cautions import flags_noted, mixed, partial, unbalanced
from analysis.cells import Collapsed, Grid
from analysis.columns import SEEDS, as_labels, axes_of, ordered, require_column, restrict, textual, varying
from analysis.imputation import FailedReading, impute
from analysis.matrix import TransferMatrix
from analysis.references import against_reference, pairing_text, resolve
from analysis.units import LOWER_IS_BETTER, base_metric, is_fraction, unit_of
from harness.errors import HarnessError, suggest

_STATES = {
    "skipped": "skipped",
    "diverged": "diverged",
    "excluded": "excluded",
    "related": "related",
    "pending": "not run",
    "done": "not measured",
    "ok": "not measured",
}


@dataclass(frozen=True)
class Request:
    """The arguments of ``transfer_matrix``, which documents them."""

    rows: str
    cols: str
    metric: str
    relative_to: str | None = None
    how: How = "difference"
    paired: Pairing = True
    over: tuple[str, ...] = ()
    filter: Mapping[str, object] = field(default_factory=dict)
    split: str | None = "test"
    role: str = "outcome"
    flagged: Literal["keep", "drop"] = "keep"
    failed: FailedReading = "drop"
    chance: float | Mapping[str, float] | None = None
    order: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    replaces: tuple[str, ...] | None = None
    higher_is_better: bool | None = None
    title: str | None = None
    is_reference: bool = False


def build(frame: pd.DataFrame, trials: pd.DataFrame | None, request: Request) -> TransferMatrix:
    """Carry out ``transfer_matrix``."""
    _check(frame, request)
    text = textual(frame)
    if request.relative_to is not None:
        name, declared = resolve(text, request.relative_to)
        request = replace(request, relative_to=name, is_reference=not declared)
    shown = restrict(_of_role(text, request.role), request.filter)
    measured, rest = measured_rows(shown, frame, request.metric, request.split)
    measured, flagged = _drop_flagged(measured, request.flagged)
    measured, rest, flagged = impute(measured, rest, flagged, request)
    _refuse_silent_mean(measured, request)
    circumstances, fraction = measured, is_fraction(request.metric, measured["value"].to_numpy(dtype=float))
    missing = [rest, flagged, planned_rows(trials, request, shown)]
    if request.relative_to is not None:
        relative, baseline = _relative(text, measured, request)
        measured, circumstances = relative.rows, pd.concat([measured, baseline])
        missing.append(relative.lacking)
    measured, related = _leave_out(measured)
    absent, related = _leave_out(_stack([*missing, related]))
    absent = _stack([absent, related])
    grid = _grid([measured, absent], request)
    cells = grid.collapse(measured)
    reasons, details = grid.explain(absent, cells.count == 0, "not run" if trials is None else "not planned")
    warnings = (*mixed(circumstances), *unbalanced(cells), *partial(grid, cells, absent), *flags_noted(cells))
    return _assemble(request, grid, cells, reasons, details, warnings, fraction)


def _assemble(
    request: Request,
    grid: Grid,
    cells: Collapsed,
    reasons: np.ndarray,
    details: np.ndarray,
    warnings: tuple[str, ...],
    fraction: bool,
) -> TransferMatrix:
    how = None if request.relative_to is None else "z" if request.relative_to == "z" else request.how
    return TransferMatrix(
        rows=request.rows,
        cols=request.cols,
        row_labels=grid.row_labels,
        col_labels=grid.col_labels,
        values=cells.values,
        spread=cells.spread,
        seeds=cells.seeds,
        count=cells.count,
        reasons=reasons,
        details=details,
        flags=cells.flags,
        trial_ids=cells.trial_ids,
        baseline_ids=cells.baseline_ids,
        metric=request.metric,
        split=request.split,
        title=request.title if request.title is not None else _title(request),
        unit=unit_of(cells.values, fraction, how),
        higher_is_better=better(request.metric, request.higher_is_better),
        relative_to=request.relative_to,
        how=how,
        pairing=None if how is None else _pairing(request),
        over=request.over,
        conditions=request.filter,
        warnings=warnings,
        n_eval=cells.n_eval,
    )


def _pairing(request: Request) -> str:
    if request.is_reference:
        return pairing_text(str(request.relative_to), request.paired, PAIRING_TEXT)
    return PAIRING_TEXT[request.paired]


def better(metric: str, declared: bool | None) -> bool:
    """Whether more is better: as declared, else by the metric's name."""
    return base_metric(metric) not in LOWER_IS_BETTER if declared is None else declared


def measured_rows(
    shown: pd.DataFrame, frame: pd.DataFrame, metric: str, split: str | None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows that hold a value of ``metric`` on ``split``, and the rows of trials that do not, with their ``state``.

    Raises:
        HarnessError: when rows exist, but none of that metric or of that split.
    """
    known = [str(m) for m in frame["metric"].dropna().unique()]
    if known and metric not in known:
        raise HarnessError(f"No outcome measures {metric!r}{suggest(metric, known)}.")
    of_metric = shown["metric"] == metric
    fits = of_metric & np.isfinite(shown["value"].to_numpy(dtype=float))
    if split is not None and "split" in shown.columns:
        splits = sorted(str(s) for s in shown.loc[fits, "split"].dropna().unique())
        if splits and split not in splits:
            raise HarnessError(f"{metric!r} was not measured on the split {split!r}{suggest(split, splits)}.")
        fits &= shown["split"] == split
    elif "split" in shown.columns and shown.loc[fits, "split"].nunique() > 1:
        splits = sorted(str(s) for s in shown.loc[fits, "split"].unique())
        raise HarnessError(f"{metric!r} was measured on several splits ({', '.join(splits)}); name one.")
    measured = shown.loc[fits]
    _refuse_repeats(measured, metric)
    others = shown.loc[~shown["trial_id"].isin(measured["trial_id"])]
    # Of a trial's rows the one of this metric says best why there is no number: a NaN or infinity was measured.
    others = others.assign(state=_states(others, "status")).sort_values(
        "metric", key=lambda column: column != metric, kind="stable"
    )
    no_number = (others["metric"] == metric) & ~np.isfinite(others["value"].to_numpy(dtype=float))
    others.loc[no_number & (others["state"] == "not measured"), "state"] = "undefined"
    return measured, others.drop_duplicates("trial_id")


def _refuse_repeats(measured: pd.DataFrame, metric: str) -> None:
    """A trial has one value of a metric for an evaluation task; several (of several steps) are never averaged."""
    identity = [c for c in ("study", "trial_id", "role", "baseline", "task") if c in measured.columns]
    repeated = measured.duplicated(identity)
    if repeated.any():
        trial = measured.loc[repeated, "trial_id"].iloc[0]
        raise HarnessError(f"Trial {trial} has several values of {metric!r}; filter them to one, by step for example.")


def _states(rows: pd.DataFrame, column: str) -> pd.Series:
    """Reason names for a column of statuses; an unknown status is a kind of failure."""
    if column not in rows.columns:
        return pd.Series("not measured", index=rows.index, dtype=object)
    return rows[column].map(lambda s: _STATES.get(str(s), "failed")).astype(object)


def _check(frame: pd.DataFrame, request: Request) -> None:
    for name, use in ((request.rows, "rows"), (request.cols, "cols"), *((a, "over") for a in request.over)):
        require_column(frame, name, use)
    if request.rows == request.cols:
        raise HarnessError(f"Rows and columns of a matrix are both {request.rows!r}; name two different axes.")


def _of_role(frame: pd.DataFrame, role: str) -> pd.DataFrame:
    return frame.loc[frame["role"] == role] if "role" in frame.columns else frame


def _drop_flagged(measured: pd.DataFrame, flagged: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    if flagged == "keep" or "flags" not in measured.columns:
        return measured, measured.iloc[:0]
    marked = measured["flags"] != ""
    return measured.loc[~marked], measured.loc[marked].assign(state="flagged")


def _refuse_silent_mean(measured: pd.DataFrame, request: Request) -> None:
    """An axis may vary inside a cell only when it is a seed or named in ``over``."""
    allowed = {request.rows, request.cols, *request.over, *SEEDS}
    others = [a for a in axes_of(measured) if a not in allowed]
    found = varying(measured, [request.rows, request.cols], others)
    if found:
        parts = "; ".join(f"{axis!r} varies ({', '.join(values)})" for axis, values in found.items())
        raise HarnessError(
            f"Cells of {request.rows} x {request.cols} would average silently: {parts}. "
            f"Filter or facet by it, or name it in over=."
        )


def _relative(text: pd.DataFrame, measured: pd.DataFrame, request: Request) -> tuple[Relative, pd.DataFrame]:
    """Measured rows against their baseline (or reference), and the baseline's measured rows."""
    if request.is_reference:
        return _referred(text, measured, request)
    everything = baseline_rows(text, str(request.relative_to))
    replaced = replaced_axes(_of_role(text, request.role), everything, request.replaces)
    conditions = {column: value for column, value in request.filter.items() if column not in replaced}
    planned = restrict(everything, conditions, strict=False)
    baseline, _ = measured_rows(planned, text, request.metric, request.split)
    baseline, _ = _drop_flagged(baseline, request.flagged)
    return relative_to(measured, baseline, replaced, request.how, request.paired, request.metric), baseline


def _referred(text: pd.DataFrame, measured: pd.DataFrame, request: Request) -> tuple[Relative, pd.DataFrame]:
    """Measured rows against the target's own task, its best row, or its mean and spread."""
    conditions = {c: v for c, v in request.filter.items() if c not in (request.rows, "source")}
    shown = restrict(_of_role(text, request.role), conditions, strict=False)
    everything, _ = _drop_flagged(measured_rows(shown, text, request.metric, request.split)[0], request.flagged)
    return against_reference(
        measured,
        everything,
        str(request.relative_to),
        (request.rows, request.cols),
        request.how,
        request.paired,
        request.metric,
        better(request.metric, request.higher_is_better),
    )


def planned_rows(trials: pd.DataFrame | None, request: Request, shown: pd.DataFrame) -> pd.DataFrame:
    """Planned trials without an outcome row that fit the request, with their ``state``; empty when unknown."""
    empty = pd.DataFrame({"trial_id": [], "state": [], request.rows: [], request.cols: []})
    if trials is None or request.rows not in trials.columns or request.cols not in trials.columns:
        return empty
    ours = restrict(_of_role(textual(trials), request.role), request.filter, strict=False)
    ours = ours.loc[~ours["trial_id"].isin(shown["trial_id"])]
    return ours.assign(state=_states(ours, "state"))


def _leave_out(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows that count, and those that the column ``left_out`` excepts, whose state says so."""
    if LEFT_OUT not in rows.columns:
        return rows, rows.iloc[:0]
    texts = rows[LEFT_OUT].fillna("")
    out = texts != ""
    return rows.loc[~out], rows.loc[out].assign(state="related", reason=texts[out])


def _stack(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    filled = [part for part in parts if len(part)]
    return pd.concat(filled, ignore_index=True) if filled else parts[-1].iloc[:0]


def _grid(parts: Sequence[pd.DataFrame], request: Request) -> Grid:
    def order(axis: str) -> tuple[str, ...]:
        found = [str(v) for part in parts if len(part) for v in part[axis].unique()]
        return ordered(found, request.order.get(axis, ()))

    row_labels, col_labels = order(request.rows), order(request.cols)
    if not row_labels:
        raise HarnessError("No outcome fits the filter.")
    return Grid(request.rows, request.cols, row_labels, col_labels)


def _title(request: Request) -> str:
    parts = [f"{request.rows} \N{RIGHTWARDS ARROW} {request.cols}"]
    parts += [f"{axis} = {', '.join(as_labels(value))}" for axis, value in request.filter.items()]
    return ", ".join(parts)
