"""One section of a report for each declared analysis: its figures, tables and what a reader should be told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from analysis.attributes import attributes_of, counted, leave_out_related
from analysis.baselines import How, Pairing
from analysis.ceiling import Ceiling, noise_ceiling
from analysis.columns import label, ordered, require_column, restrict, textual
from analysis.comparison import compare
from analysis.conditions import Condition, condition
from analysis.correlation import correlate
from analysis.declared import fixed_by_baseline, label_order, main_metric, main_split
from analysis.estimator_readings import KINDS
from analysis.forest import draw_forest
from analysis.grouping import mean_matrix
from analysis.heatmaps import draw
from analysis.imputation import COUNTED, FailedReading
from analysis.joined_axes import with_joined
from analysis.layer_section import add_layer_transfer
from analysis.line_plots import draw_lines, lines
from analysis.matrix import TransferMatrix, transfer_matrix
from analysis.related import mark_related, readings
from analysis.score_matrices import score_matrix
from analysis.section_parts import (
    add_best_sources,
    add_costs,
    add_estimators,
    add_graph,
    add_matrix_test,
    add_ranking,
    add_related_summary,
    add_scatter,
    ceiling_note,
    estimators_in,
    families_of,
    slug,
)
from analysis.seeds import SeedValues, seed_values
from analysis.shared_examples import SharedExamples, mark_shared
from analysis.statistics_tables import comparison_table, correlation_table
from analysis.tables import Table, matrix_table
from analysis.transfer_sections import add_agreement, add_gains, add_groups
from harness.errors import HarnessError, suggest

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class ReportData:
    """What all sections draw from: outcomes, planned trials, and the resolved study.

    ``shared``: examples that tasks share, None when nothing was compared. ``marked``: attributes of tasks; cells whose
    source and target agree in one of them are marked.
    """

    frame: pd.DataFrame
    trials: pd.DataFrame
    study: Mapping[str, Any]
    shared: Sequence[SharedExamples] | None = None
    marked: tuple[str, ...] = ()

    def joined(self, analysis: Mapping[str, Any]) -> ReportData:
        """The same with a column for every axis of the analysis that is several taken together, ``a+b``."""
        names = [analysis.get(key) for key in ("rows", "cols", "facet", "per")]
        frame, trials = with_joined(self.frame, names), with_joined(self.trials, names)
        return self if frame is self.frame else replace(self, frame=frame, trials=trials)


@dataclass(frozen=True)
class View:
    """One drawing of an analysis: a value of its facet, in one of the readings that ``same`` asks for."""

    data: ReportData
    suffix: str
    filters: dict[str, object]
    facet: str = ""


@dataclass(frozen=True)
class Drawing:
    """A figure to be drawn (inside ``figures.style()``) under ``name``; ``alt`` says in words what it shows."""

    name: str
    alt: str
    make: Callable[[], Figure]


@dataclass
class Section:
    """A section of the page. ``problem`` is set when the analysis could not be drawn.

    ``files``: what other programs read, by path beside the page.
    """

    name: str
    title: str
    kind: str
    lead: str = ""
    drawings: list[Drawing] = field(default_factory=list)
    tables: list[tuple[str, Table]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    problem: str = ""
    files: dict[str, str] = field(default_factory=dict)

    def draw(self, name: str, alt: str, make: Callable[[], Figure]) -> None:
        """Add a figure."""
        self.drawings.append(Drawing(name, alt, make))


def section(data: ReportData, analysis: Mapping[str, Any]) -> Section:
    """Draw one analysis. What is wrong with it becomes the section's ``problem``; other sections go on."""
    kind = str(analysis.get("kind", "matrix"))
    title = str(analysis.get("name") or _title(analysis))
    made = Section(slug(title), title, kind)
    try:
        if kind not in _KINDS:
            raise HarnessError(f"There is no analysis of kind {kind!r}{suggest(kind, _KINDS)}.")
        _KINDS[kind](data.joined(analysis), analysis, made)
    except HarnessError as error:
        made.problem = str(error)
    return made


def _matrix(data: ReportData, analysis: Mapping[str, Any], made: Section) -> None:
    first: dict[str, TransferMatrix] = {}
    for view in _views(data, analysis):
        matrix = _matrix_of(view.data, analysis, view.filters, made.title + view.suffix)
        name = slug(made.title + view.suffix)
        made.drawings.append(_heatmap(name, matrix, analysis))
        made.tables.append((name, matrix_table(matrix)))
        _tell(made, matrix, view.suffix)
        _other_readings(view, analysis, matrix, made, name)
        add_graph(made, matrix, name)
        if matrix.rows == "source" and _baseline(analysis) is None:
            add_best_sources(made, _seed_values(view.data, analysis, view.filters), name)
        if view.facet in first:
            add_related_summary(made, first[view.facet], matrix, analysis["same"], name)
        first.setdefault(view.facet, matrix)


def _table(data: ReportData, analysis: Mapping[str, Any], made: Section) -> None:
    asked = {"rows": "method", "cols": "target"} | dict(analysis)
    for view in _views(data, asked):
        matrix = _matrix_of(view.data, asked, view.filters, made.title + view.suffix)
        name = slug(made.title + view.suffix)
        made.tables.append((name, matrix_table(matrix)))
        _tell(made, matrix, view.suffix)
        _other_readings(view, asked, matrix, made, name)
        add_ranking(made, matrix, name)


def _lines(data: ReportData, analysis: Mapping[str, Any], made: Section) -> None:
    x = _needed(analysis, "x")
    for view in _views(data, analysis):
        metric = str(analysis.get("value") or analysis.get("y") or main_metric(data.frame))
        drawn = lines(
            view.data.frame,
            x,
            metric,
            by=analysis.get("rows") or analysis.get("per"),
            relative_to=_baseline(analysis),
            how=_how(analysis),
            paired=_pairing(analysis),
            over=analysis.get("over") or (),
            filter=view.filters,
            split=main_split(data.frame, metric),
            trials=view.data.trials,
            order=label_order(data.study),
            replaces=fixed_by_baseline(data.study, _baseline(analysis)),
            title=made.title + view.suffix,
        )
        name = slug(made.title + view.suffix)
        made.drawings.append(Drawing(name, f"Lines: {drawn.matrix.quantity} against {x}", partial(draw_lines, drawn)))
        made.tables.append((name, matrix_table(drawn.matrix, marginals=False)))
        made.notes.append(drawn.note)
        _tell(made, drawn.matrix, view.suffix)


def _correlation(data: ReportData, analysis: Mapping[str, Any], made: Section) -> None:
    families = families_of(data.study, analysis)
    for view in _views(data, analysis):
        seen, suffix, filters = view.data, view.suffix, view.filters
        y = _condition_matrix(seen, analysis, filters, _needed(analysis, "y"))
        ceilings = _ceilings(seen, analysis, filters)
        name = slug(made.title + suffix)
        if analysis.get("x"):
            x = _condition_matrix(seen, analysis, filters, str(analysis["x"]))
            _one_correlation(made, x, y, name, f"{analysis['x']} against {analysis['y']}{suffix}", suffix)
            scores = {str(analysis["x"]): x}
        else:
            scores = _all_estimators(seen, analysis, filters)
        made.notes.append(ceiling_note(ceilings.get("weighted_kendall", {})))
        add_estimators(made, scores, y, ceilings, families, name, f"Estimators and baselines{suffix}")
        if not analysis.get("x"):
            add_costs(made, _fitting_rows(seen, filters), name, f"What the scores cost{suffix}")
        for matrix in (*scores.values(), y):
            _tell(made, matrix, suffix)


def _one_correlation(made: Section, x: TransferMatrix, y: TransferMatrix, name: str, title: str, suffix: str) -> None:
    """Intervals, points and tests of one matrix against another."""
    found = correlate(x, y)
    others = {kind: correlate(x, y, kind, n_resamples=0) for kind in ("kendall", "spearman", "pearson")}
    made.draw(name, f"Intervals: {title}", partial(draw_forest, found, title))
    add_scatter(made, x, y, found, name)
    made.tables.append((name, correlation_table(found, others, title, x.cols)))
    made.notes += [f"{suffix.strip(' ,')}: {n}" if suffix else n for n in found.notes]
    add_matrix_test(made, x, y)


def _all_estimators(
    data: ReportData, analysis: Mapping[str, Any], filters: Mapping[str, object]
) -> dict[str, TransferMatrix]:
    """The matrix of every estimator that has scores; none when only the baselines are there to be shown."""
    found = {}
    pairs = estimators_in(data.frame)
    for method, metric in pairs:
        several = sum(m == method for m, _ in pairs) > 1
        text = f"{method}/{metric}" if several else method
        found[text] = _condition_matrix(data, analysis, filters, text)
    return found


def _ceilings(
    data: ReportData, analysis: Mapping[str, Any], filters: Mapping[str, object]
) -> dict[str, dict[str, Ceiling]]:
    """The noise ceiling of the outcome that is predicted, by coefficient; none where no trial has a seed."""
    what = condition(data.frame, _needed(analysis, "y"), str(analysis.get("value") or main_metric(data.frame)))
    cols, rows = _axes(analysis)
    frame = what.rows(data.frame)
    if frame.loc[frame["value"].notna(), "seed"].isna().all():
        return {}
    values = seed_values(frame, rows, cols, what.metric, over=analysis.get("over") or (), role=what.role,
                         filter=what.fitting(data.frame, filters), split=main_split(frame, what.metric))  # fmt: skip
    return {kind: noise_ceiling(values, kind) for kind in KINDS}


def _fitting_rows(data: ReportData, filters: Mapping[str, object]) -> pd.DataFrame:
    """The rows that fit the filters on what estimators have too: a filter on the method is none on them."""
    return restrict(data.frame, {column: value for column, value in filters.items() if column != "method"}, False)


def _compare(data: ReportData, analysis: Mapping[str, Any], made: Section) -> None:
    x, y = _needed(analysis, "x"), _needed(analysis, "y")
    rows = []
    for view in _views(data, analysis):
        metric = str(analysis.get("value") or main_metric(data.frame))
        found = compare(
            counted(view.data.frame),
            x,
            y,
            metric,
            rows=analysis.get("rows", "source"),
            cols=analysis.get("cols", "target"),
            over=analysis.get("over") or (),
            filter=view.filters,
            split=main_split(data.frame, metric),
        )
        rows.append((view.suffix.strip(" ,") or "all", found))
        made.warnings += [w for w in found.warnings if w not in made.warnings]
    made.tables.append((made.name, comparison_table(made.title, rows)))


def _layer_transfer(data: ReportData, analysis: Mapping[str, Any], made: Section) -> None:
    if analysis.get("same"):
        raise HarnessError("An analysis of kind 'layer_transfer' has no cells to leave out by 'same'.")
    for view in _views(data, analysis):
        title = made.title + view.suffix
        add_layer_transfer(made, view.data.frame, data.study, analysis, view.filters, title, slug(title))


def _gains(data: ReportData, analysis: Mapping[str, Any], made: Section) -> None:
    for view in _views(data, analysis):
        matrix = _matrix_of(view.data, analysis, view.filters, made.title + view.suffix)
        add_gains(made, matrix, analysis, slug(made.title + view.suffix))
        _tell(made, matrix, view.suffix)


def _agreement(data: ReportData, analysis: Mapping[str, Any], made: Section) -> None:
    facet = _needed(analysis, "facet")
    for reading, views in _by_reading(data, analysis):
        matrices, ceilings = {}, {}
        for view in views:
            value = str(view.filters[facet])
            matrices[value] = _matrix_of(view.data, analysis, view.filters, made.title + view.suffix)
            ceilings[value] = noise_ceiling(_seed_values(view.data, analysis, view.filters), "spearman")[""]
            _tell(made, matrices[value], view.suffix)
        add_agreement(made, matrices, ceilings, facet, made.title + reading, slug(made.title + reading))


def _groups(data: ReportData, analysis: Mapping[str, Any], made: Section) -> None:
    facet = analysis.get("facet")
    for reading, views in _by_reading(data, analysis):
        matrices, names = {}, {}
        for view in views:
            key = str(view.filters[facet]) if facet else made.title + reading
            names[key] = slug(made.title + view.suffix)
            matrices[key] = _matrix_of(view.data, analysis, view.filters, made.title + view.suffix)
            _tell(made, matrices[key], view.suffix)
        if facet and len(matrices) > 1:
            title = made.title + reading
            everything = mean_matrix(list(matrices.values()), str(facet), title)
            matrices, names = {f"all {facet}s": everything, **matrices}, {f"all {facet}s": slug(title), **names}
        add_groups(made, made.files, matrices, analysis, str(data.study["study"]), made.title, names)


_KINDS: dict[str, Callable[[ReportData, Mapping[str, Any], Section], None]] = {
    "matrix": _matrix,
    "table": _table,
    "lines": _lines,
    "correlation": _correlation,
    "compare": _compare,
    "layer_transfer": _layer_transfer,
    "gains": _gains,
    "agreement": _agreement,
    "groups": _groups,
}


def _needed(analysis: Mapping[str, Any], key: str) -> str:
    if not analysis.get(key):
        raise HarnessError(f"An analysis of kind {analysis.get('kind')!r} needs {key!r}.")
    return str(analysis[key])


def _title(analysis: Mapping[str, Any]) -> str:
    kind = str(analysis.get("kind", "matrix"))
    parts = [str(analysis["value"])] if analysis.get("value") else []
    if kind == "layer_transfer":
        parts = [f"Layer transfer{': ' if parts else ''}{parts[0] if parts else ''}"]
    if kind in ("correlation", "compare", "lines"):
        parts.append(f"{analysis.get('x', '?')} against {analysis.get('y') or analysis.get('value') or 'outcome'}")
    if kind in ("matrix", "table"):
        rows = analysis.get("rows", "source" if kind == "matrix" else "method")
        parts.append(f"{rows} \N{RIGHTWARDS ARROW} {analysis.get('cols', 'target')}")
    filters: Mapping[str, object] = analysis.get("filter") or {}
    parts += [f"{k} = {', '.join(map(label, v)) if isinstance(v, list) else label(v)}" for k, v in filters.items()]
    if analysis.get("relative_to"):
        parts.append(f"relative to {analysis['relative_to']}")
    return ", ".join(parts)


def _views(data: ReportData, analysis: Mapping[str, Any]) -> Iterator[View]:
    """Every value of the facet, in every reading of cells whose source and target are related."""
    wanted, attributes = readings(data.study, analysis)
    for reading in wanted:
        parts = (data.frame, data.trials)
        if reading.dropped:
            parts = (leave_out_related(data.frame, attributes, reading.dropped),
                     leave_out_related(data.trials, attributes, reading.dropped))  # fmt: skip
        seen = ReportData(*parts, data.study, data.shared, reading.marked)
        for facet, filters in _facets(data, analysis):
            yield View(seen, facet + reading.suffix, filters, facet)


def _by_reading(data: ReportData, analysis: Mapping[str, Any]) -> Iterator[tuple[str, list[View]]]:
    """The views of each reading together: the values of the facet that are set against one another."""
    views: dict[str, list[View]] = {}
    for view in _views(data, analysis):
        views.setdefault(view.suffix.removeprefix(view.facet), []).append(view)
    yield from views.items()


def _facets(data: ReportData, analysis: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, object]]]:
    """For every value of the facet a title suffix and the filter; once without facet."""
    filters: dict[str, object] = dict(analysis.get("filter") or {})
    facet = analysis.get("facet")
    if not facet:
        yield "", filters
        return
    require_column(data.frame, facet, "facet")
    rows = data.frame.loc[data.frame["role"] == "outcome"] if "role" in data.frame.columns else data.frame
    values = ordered(textual(rows)[facet].map(label), label_order(data.study).get(facet, ()))
    wanted = filters.get(facet)
    allowed = None if wanted is None else {label(v) for v in (wanted if isinstance(wanted, list) else [wanted])}
    for value in values:
        if allowed is None or value in allowed:
            yield f", {facet} = {value}", {**filters, facet: value}


_PAIRINGS: Mapping[str, Pairing] = {"paired": True, "target": "target", "pooled": False}


def _pairing(analysis: Mapping[str, Any]) -> Pairing:
    """Whether a value is set against its own target's baseline of the same seed, the target's mean, or one mean."""
    return _PAIRINGS[analysis.get("pairing") or "paired"]


_CELLS: Mapping[str, How] = {
    "absolute_gain": "difference",
    "relative_gain": "relative_gain",
    "relative_error_reduction": "relative_error_reduction",
}


def _how(analysis: Mapping[str, Any]) -> How:
    """How a value is set against its baseline: as ``cell`` says, or ``how``."""
    cell = str(analysis.get("cell") or "")
    return _CELLS[cell] if cell in _CELLS else cast(How, analysis.get("how") or "difference")


def _baseline(analysis: Mapping[str, Any]) -> str | None:
    """What values are relative to; nothing for raw cells, whatever is named."""
    cell = analysis.get("cell")
    if cell is not None and cell not in (*_CELLS, "raw"):
        raise HarnessError(f"A cell cannot be {cell!r}{suggest(str(cell), (*_CELLS, 'raw'))}.")
    named = analysis.get("relative_to")
    if cell in _CELLS and not named:
        raise HarnessError(f"A cell that is {cell!r} needs relative_to: the baseline that it is relative to.")
    return None if cell == "raw" or not named else str(named)


def _matrix_of(
    data: ReportData, analysis: Mapping[str, Any], filters: Mapping[str, object], title: str, flagged: str = "keep",
    failed: str = "drop",
) -> TransferMatrix:  # fmt: skip
    """The matrix of an analysis whose value is a metric or an estimator."""
    wanted = analysis.get("value")
    metrics = set(data.frame["metric"].dropna())
    what = None if wanted is None or wanted in metrics else condition(data.frame, wanted, "")
    metric = what.metric if what else str(wanted or main_metric(data.frame))
    matrix = transfer_matrix(
        data.frame,
        analysis.get("rows", "source"),
        analysis.get("cols", "target"),
        metric,
        relative_to=_baseline(analysis),
        how=_how(analysis),
        paired=_pairing(analysis),
        over=analysis.get("over") or (),
        filter=filters if what is None else what.fitting(data.frame, filters),
        split=main_split(data.frame if what is None else what.rows(data.frame), metric),
        role="outcome" if what is None else what.role,
        flagged="drop" if flagged == "drop" else "keep",
        failed=cast(FailedReading, failed),
        chance=analysis.get("chance"),
        trials=data.trials,
        order=label_order(data.study),
        replaces=fixed_by_baseline(data.study, _baseline(analysis)),
        title=title,
    )
    attributes = attributes_of(data.study, analysis)
    return mark_shared(mark_related(matrix, attributes, data.marked), data.shared, attributes)


def _condition_matrix(
    data: ReportData, analysis: Mapping[str, Any], filters: Mapping[str, object], text: str
) -> TransferMatrix:
    """The matrix of one side of a correlation: targets (or what ``per`` names) are the columns.

    Outcomes are taken relative to the baseline that the analysis names; scores of an estimator are as they are.
    """
    what: Condition = condition(data.frame, text, str(analysis.get("value") or main_metric(data.frame)))
    cols, rows = _axes(analysis)
    if what.role == "outcome" and _baseline(analysis) is not None:
        asked = {**analysis, "value": what.metric, "rows": rows, "cols": cols}
        return _matrix_of(data, asked, what.fitting(data.frame, filters), text)
    return score_matrix(
        data.frame, what, rows, cols, filter=filters, over=analysis.get("over") or (), order=label_order(data.study)
    )


def _axes(analysis: Mapping[str, Any]) -> tuple[str, str]:
    """The targets' axis (columns) and the axis of what is ranked (rows) of a correlation."""
    cols = str(analysis.get("per") or analysis.get("cols") or "target")
    return cols, str(analysis.get("rows") or ("source" if cols != "source" else "target"))


def _heatmap(name: str, matrix: TransferMatrix, analysis: Mapping[str, Any]) -> Drawing:
    made = partial(draw, matrix, cluster=analysis.get("cluster"))
    return Drawing(name, f"Heatmap: {matrix.quantity}, {matrix.rows} by {matrix.cols}", made)


def _seed_values(data: ReportData, analysis: Mapping[str, Any], filters: Mapping[str, object]) -> SeedValues:
    """The values per seed of the matrix of an analysis without baseline."""
    wanted = analysis.get("value")
    metrics = set(data.frame["metric"].dropna())
    what = None if wanted is None or wanted in metrics else condition(data.frame, wanted, "")
    metric = what.metric if what else str(wanted or main_metric(data.frame))
    return seed_values(
        data.frame, analysis.get("rows", "source"), analysis.get("cols", "target"), metric,
        over=analysis.get("over") or (), filter=filters if what is None else what.fitting(data.frame, filters),
        split=main_split(data.frame if what is None else what.rows(data.frame), metric),
        role="outcome" if what is None else what.role, order=label_order(data.study),
    )  # fmt: skip


def _tell(made: Section, matrix: TransferMatrix, suffix: str) -> None:
    """Collect a matrix's warnings and how its baseline was paired, each once."""
    where = f"{suffix.strip(' ,')}: " if suffix else ""
    made.warnings += [w for w in (where + text for text in matrix.warnings) if w not in made.warnings]
    if matrix.pairing:
        sentence = f"Relative to the baseline {matrix.relative_to!r}, {matrix.pairing}."
        made.notes += [sentence] if sentence not in made.notes else []


def _other_readings(view: View, analysis: Mapping[str, Any], matrix: TransferMatrix, made: Section, name: str) -> None:
    """The same table without flagged values, and with failed trials counted, where there are any."""
    if (matrix.flags != "").any():
        other = _matrix_of(view.data, analysis, view.filters, f"{matrix.title}, without flagged values", "drop")
        made.tables.append((f"{name}-without-flagged", matrix_table(other)))
    failures = np.isin(matrix.reasons.astype(str), COUNTED).any() or any(
        "lack trials" in w and any(state in w for state in COUNTED) for w in matrix.warnings
    )
    if failures and analysis.get("role", "outcome") == "outcome":
        reading = "chance" if analysis.get("chance") is not None else "worst"
        title = f"{matrix.title}, failed trials counted as {'chance' if reading == 'chance' else 'the worst value'}"
        other = _matrix_of(view.data, analysis, view.filters, title, "keep", reading)
        made.tables.append((f"{name}-failed-as-{reading}", matrix_table(other)))
