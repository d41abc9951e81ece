"""Reading a study: files to data, data to types, names to objects, grids to trials; every problem of it at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.errors import HarnessError, suggest
from harness.registry import is_path, load_plugins
from harness.study.assemble import assemble
from harness.study.document import Document, parse_value
from harness.study.grid import Expansion, expand_grids
from harness.study.labels import key_of
from harness.study.layers import Only, Shared
from harness.study.matching import Claims
from harness.study.model import Grid, Study
from harness.study.names import Names
from harness.study.problems import Place, StudyError
from harness.study.resolve import resolve_grids
from harness.study.schema import Analysis, StudyFile
from harness.study.scopes import column_of, spoken
from harness.study.structure import Reporter, check_structure, shown

RELATIVE_WORDS = ("baseline", "own", "target_best", "z")
"""What ``relative_to`` may say beside the name of a baseline."""


def load_study(path: str | Path, sets: Sequence[str] = (), only: Sequence[str] = ()) -> Study:
    """Read, validate and expand a study.

    sets: ``key=value`` texts laid over the file, with values by the study's own rules. only: ``axis=value,...`` texts
    to which the grid is restricted. Raises StudyError with all problems that were found.
    """
    path = Path(path)
    document = assemble(path, sets)
    reporter = Reporter(document)
    data = dict(document.data)
    file = check_structure(reporter)
    if file is None:
        raise StudyError(reporter.problems)
    modules = _load_plugins(file, reporter)
    claims = Claims()
    shared = Shared(reporter, Names(reporter), claims, _parse_only(only, reporter))
    grids = resolve_grids(file, shared)
    _check_analyses(file, shared)
    expansion = expand_grids(grids, claims, reporter)
    claims.report(reporter)
    if not reporter.problems:
        _check_not_empty(expansion, reporter)
    if reporter.problems:
        raise StudyError(reporter.problems)
    return Study(
        name=file.study,
        path=path,
        description=file.description or "",
        plugins=tuple(modules),
        plugin_files=tuple(_plugin_file(file.plugins[i], document, i) for i in range(len(file.plugins))),
        grids=grids,
        estimators=tuple(recipe for recipe in shared.recipes.values() if recipe.is_estimator),
        baselines=_baselines(grids),
        analyses=tuple(file.analyses),
        execution=file.execution,
        on_untrained_source=file.on_untrained_source,
        on_failure=file.on_failure,
        only=tuple(only),
        data=data,
        expansion=expansion,
    )


def _load_plugins(file: StudyFile, reporter: Reporter) -> list[str]:
    modules: list[str] = []
    for index, plugin in enumerate(file.plugins):
        at = ("plugins", index)
        if is_path(plugin) and not (reporter.document.folder(at) / plugin).is_file():
            reporter.add(at, f"there is no plugin file {plugin!r}")
            continue
        try:
            modules += load_plugins([plugin], reporter.document.folder(at))
        except HarnessError as error:
            reporter.add(at, str(error).splitlines()[0])
    return modules


def _plugin_file(plugin: str, document: Document, index: int) -> str:
    return str((document.folder(("plugins", index)) / plugin).resolve()) if is_path(plugin) else plugin


def _parse_only(only: Sequence[str], reporter: Reporter) -> list[Only]:
    """Return (axis, values, path) for each ``axis=value,...``; several for one axis are taken together."""
    found: dict[str, Only] = {}
    for index, text in enumerate(only):
        path = ("--only", index)
        reporter.document.places[path] = Place(f"--only {text}", 0)
        name, equals, rest = text.partition("=")
        if not equals or not name.strip() or not rest.strip():
            reporter.add(path, "the grid is restricted by axis=value or axis=value,value")
            continue
        column = column_of(name.strip())
        values = [_only_value(part, text) for part in _split(rest)]
        if column in found:
            values = [*found[column][1], *values]
        found[column] = (spoken(column), values, path)
    return list(found.values())


def _only_value(part: str, text: str) -> Any:
    return part if "(" in part else parse_value(part, f"--only {text}")


def _split(text: str) -> list[str]:
    """Split at commas that stand outside brackets."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in "([") - (letter in ")]")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


def _baselines(grids: Sequence[Grid]) -> tuple[str, ...]:
    names = (bound.baseline for grid in grids for bound in grid.bound)
    return tuple(dict.fromkeys(name for name in names if name is not None))


def _check_not_empty(expansion: Expansion, reporter: Reporter) -> None:
    if expansion.trials == 0:
        reporter.add_at(reporter.document.place(()), "the study has no trial: its pairs and rules leave no cell")


# --- analyses ---------------------------------------------------------------------------------------------------------


def _check_analyses(file: StudyFile, shared: Shared) -> None:
    """Check that analyses name axes, values and baselines that the study has."""
    reporter = shared.reporter
    labels = shared.labels()
    labels.setdefault("baseline", set()).update(_declared_baselines(file))
    for index, analysis in enumerate(file.analyses):
        path = ("analyses", index)
        for key, name in _axes_of(analysis):
            if column_of(name) not in labels and not reporter.is_tainted_name(name):
                known = suggest(name, [spoken(column) for column in labels])
                reporter.add((*path, key), f"{key} names the unknown axis {name!r}{known}")
        _check_filter(analysis, path, labels, shared)
        baseline = analysis.relative_to
        words = {*map(str, labels["baseline"]), *RELATIVE_WORDS}
        if baseline is not None and baseline not in words and not reporter.is_tainted_name(baseline):
            known = suggest(baseline, [str(name) for name in labels["baseline"]])
            reporter.add((*path, "relative_to"), f"the study has no baseline {baseline!r}{known}")


def _declared_baselines(file: StudyFile) -> set[str]:
    return {name for fields in (file, *(file.grids or ())) for name in fields.baselines}


def _axes_of(analysis: Analysis) -> list[tuple[str, str]]:
    """The axes that an analysis names, each with its key; `a+b`, two axes taken together, are two."""
    single = [(key, getattr(analysis, key)) for key in ("rows", "cols", "facet", "per")]
    several = [("over", name) for name in analysis.over or ()]
    return [(key, part) for key, name in [*single, *several] if name is not None for part in name.split("+")]


def _check_filter(analysis: Analysis, path: tuple[str, int], labels: dict[str, set[Any]], shared: Shared) -> None:
    for name, value in analysis.filter.items():
        at = (*path, "filter", name)
        if column_of(name) not in labels:
            if not shared.reporter.is_tainted_name(name):
                known = suggest(name, [spoken(column) for column in labels])
                shared.reporter.add(at, f"filter names the unknown axis {name!r}{known}")
            continue
        known_keys = {key_of(label) for label in labels[column_of(name)]}
        for item in value if isinstance(value, list) else [value]:
            meant = shared.names.canonical_task(item) if isinstance(item, str) else item
            if key_of(meant) not in known_keys and not shared.names.is_lost(item):
                near = suggest(str(item), [str(label) for label in labels[column_of(name)]])
                shared.reporter.add(at, f"the axis {name!r} has no value {shown(item)}{near}")
