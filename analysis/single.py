"""One matrix or one table of correlations from an outcome frame: what the command line asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import pandas as pd

from analysis.ceiling import Ceiling, noise_ceiling
from analysis.coefficients import Kind
from analysis.conditions import Condition, condition
from analysis.correlation import correlate
from analysis.declared import main_metric, main_split
from analysis.estimator_tables import estimator_study, estimator_table
from analysis.joined_axes import with_joined
from analysis.matrix import TransferMatrix, transfer_matrix
from analysis.score_matrices import score_matrix
from analysis.section_parts import estimators_in
from analysis.seeds import seed_values
from analysis.tables import Table, plain_table
from analysis.units import NOT_ESTIMABLE


def matrix_of(
    frame: pd.DataFrame, value: str | None = None, *, filter: Mapping[str, object] | None = None, **options: Any
) -> TransferMatrix:
    """The matrix of a metric or an estimator; ``options`` are those of ``transfer_matrix``.

    ``value`` is a metric, an estimator (``name`` or ``name/metric``) or None for the main metric.
    """
    filters = dict(filter or {})
    frame = with_joined(frame, (options.get("rows"), options.get("cols")))
    metrics = {str(m) for m in frame["metric"].dropna()}
    if value is None or value in metrics:
        metric = value or main_metric(frame)
        role = "outcome" if "role" not in frame.columns else _role_of(frame, metric)
        return transfer_matrix(
            frame, value=metric, filter=filters, split=main_split(frame, metric), role=role, **options
        )
    what = condition(frame, value, "")
    return transfer_matrix(
        frame, value=what.metric, filter=what.fitting(frame, filters), role=what.role,
        split=main_split(what.rows(frame), what.metric), **options,
    )  # fmt: skip


def _role_of(frame: pd.DataFrame, metric: str) -> str:
    """Outcomes where the metric is one of theirs, else the only role that measures it."""
    roles = set(frame.loc[frame["metric"] == metric, "role"].astype(str))
    return "outcome" if "outcome" in roles or len(roles) != 1 else roles.pop()


def correlation_of(
    frame: pd.DataFrame, x: str | None, y: str, *, kind: str = "weighted_kendall", variant: str | None = None,
    rows: str = "source", cols: str = "target", value: str | None = None,
    filter: Mapping[str, object] | None = None, over: Sequence[str] = (),
) -> Table:  # fmt: skip
    """Correlations of ``x`` (all estimators when None) and of the baselines with ``y``, with intervals and ceiling."""
    frame = with_joined(frame, (rows, cols))
    metric = value or main_metric(frame)
    what = condition(frame, y, metric)
    options = {"rows": rows, "cols": cols, "over": tuple(over)}
    outcome = _of(frame, what, filter or {}, options)
    names = [x] if x else [m if sum(m == n for n, _ in found) == 1 else f"{m}/{k}" for found in [estimators_in(frame)]
                           for m, k in found]  # fmt: skip
    scores = {name: _of(frame, condition(frame, name, metric), filter or {}, options) for name in names}
    if len(outcome.row_labels) < 2:
        return _plain(scores, outcome, kind, variant)
    ceiling = _ceiling(frame, what, filter or {}, options, cast(Kind, kind))
    study = estimator_study(scores, outcome, cast(Kind, kind), variant, ceiling=ceiling)
    return estimator_table(study, f"Correlation with {y}")


def _of(
    frame: pd.DataFrame, what: Condition, filters: Mapping[str, object], options: Mapping[str, Any]
) -> TransferMatrix:
    return score_matrix(frame, what, options["rows"], options["cols"], filter=filters, over=options["over"])


def _ceiling(
    frame: pd.DataFrame, what: Condition, filters: Mapping[str, object], options: Mapping[str, Any], kind: Kind
) -> dict[str, Ceiling]:
    rows = what.rows(frame)
    if "seed" not in rows.columns or rows.loc[rows["value"].notna(), "seed"].isna().all():
        return {}
    values = seed_values(rows, value=what.metric, role=what.role, filter=what.fitting(frame, filters),
                         split=main_split(rows, what.metric), **options)  # fmt: skip
    return noise_ceiling(values, kind)


def _plain(scores: Mapping[str, TransferMatrix], outcome: TransferMatrix, kind: str, variant: str | None) -> Table:
    """Of a single row: what can be said of each column, without baselines and tests."""
    rows = []
    for name, x in scores.items():
        for target, one in correlate(x, outcome, cast(Kind, kind), variant).per_target.items():
            rows.append((name, target, str(one), one.variant, str(one.n), str(one.ties)))
    notes = [f"{outcome.quantity}. Noise ceiling and baselines: {NOT_ESTIMABLE} from one {outcome.rows}."]
    head = ("", outcome.cols, kind, "variant", "n", "ties")
    return plain_table(f"Correlation with {outcome.title}", head, rows, notes, stubs=2)
