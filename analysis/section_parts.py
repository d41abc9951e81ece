"""What a section shows beside its main figure: who is best, what helps what, rankings, baselines, noise ceiling."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd

from analysis.best_source import best_source_table, best_sources
from analysis.ceiling import Ceiling
from analysis.columns import labels
from analysis.correlation import Correlations
from analysis.critical_differences import draw_critical_difference
from analysis.estimator_figures import draw_estimators
from analysis.estimator_readings import coefficients_table, cost_table, costs, per_target_table, readings
from analysis.estimator_tables import estimator_study, estimator_table
from analysis.matrix import TransferMatrix
from analysis.permutation import matrix_test
from analysis.ranking_tests import RankingTest, rank_methods, wilcoxon_pairs
from analysis.related import related_summary
from analysis.scatters import draw_scatter
from analysis.seeds import SeedValues
from analysis.tables import Table, plain_table
from analysis.transfer_graphs import draw_graph, strongest_transfers
from analysis.units import NOT_ESTIMABLE

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.figure import Figure

_MOST_NODES = 24
_MOST_PANELS = 24
_FEWEST_RANKED = 3


class Parts(Protocol):
    """The part of a section that these functions add to."""

    tables: list[tuple[str, Table]]
    notes: list[str]
    warnings: list[str]

    def draw(self, name: str, alt: str, make: Callable[[], Figure]) -> None:
        """Add a figure."""


def slug(title: str) -> str:
    """A file name for a title: lower-case letters and digits with hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:80] or "analysis"


def add_graph(made: Parts, matrix: TransferMatrix, name: str) -> None:
    """The strongest gains over the baseline as a graph; nothing when there are none or too many tasks."""
    names = {*matrix.row_labels, *matrix.col_labels}
    tasks = set(matrix.row_labels) & set(matrix.col_labels)
    if matrix.relative_to is None or matrix.how == "z" or not tasks or len(names) > _MOST_NODES:
        return
    if strongest_transfers(matrix):
        title = f"What helps what: {matrix.title}"
        made.draw(f"{name}-graph", f"Graph of the strongest gains: {matrix.quantity}", partial(draw_graph, matrix,
                                                                                         title=title))  # fmt: skip


def add_best_sources(made: Parts, values: SeedValues, name: str) -> None:
    """The best row of each column, chosen on one half of the seeds and scored on the other."""
    if values.matrix.shape[0] < 2 or not np.isfinite(values.matrix.values).any():
        return
    found = best_sources(values)
    if found:
        made.tables.append((f"{name}-best", best_source_table(values, found)))


def add_related_summary(
    made: Parts, everything: TransferMatrix, without: TransferMatrix, same: Mapping[str, str], name: str
) -> None:
    """Best source and mean of every target with related cells and without them."""
    table = related_summary(everything, without, " or ".join(same))
    if table is not None:
        made.tables.append((f"{name}-summary", table))


def add_ranking(made: Parts, matrix: TransferMatrix, name: str) -> None:
    """Friedman, Nemenyi and Wilcoxon over the columns of a table with three rows or more, and their diagram."""
    if matrix.shape[0] < _FEWEST_RANKED or matrix.shape[1] < _FEWEST_RANKED:
        return
    scores = {row: matrix.values[i] for i, row in enumerate(matrix.row_labels)}
    test = rank_methods(scores, higher_is_better=matrix.higher_is_better)
    if test.reason:
        made.notes.append(f"No test of ranks: {test.reason}.")
        return
    title = f"Mean ranks of {matrix.rows}s over {matrix.cols}s"
    made.draw(f"{name}-ranks", title, partial(draw_critical_difference, test, title=title))
    made.tables.append((f"{name}-ranks", ranking_table(test, scores, matrix)))


def ranking_table(test: RankingTest, scores: Mapping[str, np.ndarray], matrix: TransferMatrix) -> Table:
    """Every pair: difference of mean ranks against the critical difference, and Wilcoxon's test."""
    ranks = dict(zip(test.names, test.mean_ranks, strict=True))
    rows = []
    for pair in wilcoxon_pairs(scores):
        apart = abs(ranks[pair.x] - ranks[pair.y])
        p = f"{pair.p_value:.2g} ({pair.adjusted:.2g})" if np.isfinite(pair.p_value) else pair.reason
        median = matrix.unit.text(pair.median_difference, True)
        rows.append((pair.x, pair.y, f"{apart:.2f}", "yes" if apart > test.critical_difference else "no", median, p))
    head = ("", "", "ranks apart", f"more than CD = {test.critical_difference:.2f}", "median difference",
            "Wilcoxon p (Holm)")  # fmt: skip
    notes = [f"Friedman: χ² = {test.statistic:.2f}, p = {test.p_value:.2g} over {test.n_tasks} {matrix.cols}s"
             f" ({test.dropped} dropped for a missing value). CD: Nemenyi at {test.level:.0%}."]  # fmt: skip
    return plain_table(f"Pairs of {matrix.rows}s", head, rows, notes, stubs=2)


def add_scatter(made: Parts, x: TransferMatrix, y: TransferMatrix, found: Correlations, name: str) -> None:
    """Predicted against actual, a panel per target."""
    if 0 < len(found.per_target) <= _MOST_PANELS:
        title = f"{y.title} against {x.title}"
        made.draw(f"{name}-scatter", f"Scatter: {title}", partial(draw_scatter, x, y, found, title=title))


def add_matrix_test(made: Parts, x: TransferMatrix, y: TransferMatrix) -> None:
    """One sentence on matrix against matrix under permuted labels."""
    test = matrix_test(x, y, "spearman", n_permutations=999)
    what = f"Matrix against matrix (Mantel, Spearman): {test}."
    if what not in made.notes:
        made.notes.append(what)


def add_estimators(
    made: Parts, scores: Mapping[str, TransferMatrix], outcome: TransferMatrix,
    ceilings: Mapping[str, Mapping[str, Ceiling]], families: Mapping[str, str] | None, name: str, title: str,
) -> None:  # fmt: skip
    """All estimators and the baselines that any must beat, by every coefficient. ``ceilings``: by coefficient."""
    if len(outcome.row_labels) < 2:
        made.notes.append("No table of estimators: it needs at least two rows.")
        return
    ceiling = ceilings.get("weighted_kendall", {})
    study = estimator_study(scores, outcome, ceiling=ceiling, families=families, n_resamples=1000)
    made.tables.append((f"{name}-estimators", estimator_table(study, title)))
    if len(scores) < 2:  # of one condition the section's own table says all of this
        return
    made.draw(f"{name}-estimators", f"Estimators and baselines with intervals: {title}",
              partial(draw_estimators, study, title))  # fmt: skip
    found = readings(study.every, outcome, families=families)
    coefficients = coefficients_table(found, study.baselines, ceilings, f"{title}: all coefficients", outcome.cols)
    made.tables.append((f"{name}-coefficients", coefficients))
    made.tables.append((f"{name}-per-{slug(outcome.cols)}", per_target_table(found, f"{title}: each {outcome.cols}",
                                                                              outcome.cols)))  # fmt: skip


def add_costs(made: Parts, frame: pd.DataFrame, name: str, title: str) -> None:
    """What the scores of every estimator took; nothing where none was computed."""
    found = costs(frame) if {"role", "seconds", "memory_bytes", "key"} <= set(frame.columns) else {}
    if found:
        made.tables.append((f"{name}-costs", cost_table(found, title)))


def ceiling_note(ceiling: Mapping[str, Ceiling]) -> str:
    """The mean ceiling as a sentence."""
    if "" not in ceiling:
        return f"Noise ceiling: {NOT_ESTIMABLE}."
    mean = ceiling[""]
    how = f" ({mean.correction}; {mean.seeds} seeds)" if not mean.reason else ""
    return f"Noise ceiling of the mean over targets: {mean}{how}."


def estimators_in(frame: pd.DataFrame) -> list[tuple[str, str]]:
    """(method, metric) of every estimator that has a score."""
    if "role" not in frame.columns:
        return []
    rows = frame.loc[(frame["role"] == "estimator") & frame["value"].notna()]
    return sorted({(m, str(k)) for m, k in zip(labels(rows["method"]), rows["metric"], strict=True)})


def families_of(study: Mapping[str, Any], analysis: Mapping[str, Any]) -> dict[str, str] | None:
    """Label -> family, from the analysis or the study; None when neither says."""
    found = analysis.get("families") or study.get("families")
    return {str(k): str(v) for k, v in found.items()} if isinstance(found, Mapping) and found else None
