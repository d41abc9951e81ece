"""The commands that read outcomes and print or draw one thing: import, compare, heatmap, correlate, table, cells."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cli.lookup import find
from harness.cli.text import plural
from harness.errors import HarnessError, suggest

if TYPE_CHECKING:
    import pandas as pd

    from analysis.matrix import TransferMatrix
    from analysis.published_comparison import PublishedMatch
    from analysis.tables import Table

DONE = 0
DIFFERS = 4
TABLES = (".csv", ".parquet")
FORMATS = {".md": "markdown", ".tex": "latex", ".csv": "csv", ".html": "html"}


def import_(arguments: argparse.Namespace) -> int:
    """Bring foreign outcomes into the results, or write them as one table of our schema."""
    from analysis import store_outcomes
    from analysis.import_files import open_table, read_import

    file = Path(arguments.file)
    if file.suffix in (".yaml", ".yml"):
        made = read_import(file)
        frame, study = made.frame, made.study
    else:
        wide = {"rows": arguments.wide, "cols": arguments.cols} if arguments.wide else {}
        frame = open_table(
            file, value=arguments.value, columns=dict(_pair(t) for t in arguments.rename), scale=arguments.scale,
            fixed=dict(_pair(t) for t in arguments.fix), **wide,
        ).assign(study=arguments.name or file.stem)  # fmt: skip
        study = {"study": arguments.name or file.stem, "analyses": []}
    if arguments.name:
        frame, study = frame.assign(study=arguments.name), {**study, "study": arguments.name}
    if arguments.to:
        _write_outcomes(frame, Path(arguments.to))
        print(f"wrote {plural(len(frame), 'value')} to {arguments.to}")
        return DONE
    count = store_outcomes(frame, arguments.results, study)
    print(f"imported {plural(count, 'trial')}, {plural(len(frame), 'value')}, as {study['study']}")
    return DONE


def compare(arguments: argparse.Namespace) -> int:
    """Print published values beside ours; status 4 when something differs."""
    from analysis import averages_table, check_averages, compare_published, load_paper, published_table
    from analysis.published import papers

    folder = Path(arguments.published)
    if arguments.averages:
        names = arguments.papers or papers(folder)
        checks = [check for name in names for check in check_averages(load_paper(folder / name).frame)]
        print(averages_table(checks).to_markdown(), end="")
        return DONE
    if not arguments.study:
        raise HarnessError("name the study to compare, or give --averages")
    frame, trials, name = _outcomes(arguments)
    found: list[PublishedMatch] = []
    for paper in arguments.papers or _papers_of(name, arguments, papers(folder)):
        found += compare_published(frame, load_paper(folder / paper), trials=trials)
    if arguments.json:
        print(json.dumps([m.__dict__ for m in found], indent=2))
    else:
        print(published_table(found, arguments.all).to_markdown(), end="")
    return DIFFERS if any(m.status == "differ" for m in found) else DONE


def heatmap(arguments: argparse.Namespace) -> int:
    """Draw one matrix to a file."""
    import analysis

    path = analysis.heatmap(_matrix(arguments), arguments.to, cluster=arguments.cluster)
    print(f"wrote {path}")
    return DONE


def table(arguments: argparse.Namespace) -> int:
    """Print one matrix as a table."""
    from analysis import matrix_table

    matrix = _matrix(arguments)
    for warning in matrix.warnings:
        print(f"note: {warning}", file=sys.stderr)
    return _emit(matrix_table(matrix), arguments)


def correlate(arguments: argparse.Namespace) -> int:
    """Print the correlations of one condition, or of all estimators, with what they predict."""
    from analysis.single import correlation_of

    frame, _, _ = _outcomes(arguments)
    made = correlation_of(frame, arguments.x, arguments.y, kind=arguments.kind, variant=arguments.variant,
                          rows=arguments.rows, cols=arguments.cols, value=arguments.value,
                          filter=_conditions(arguments.where), over=arguments.over)  # fmt: skip
    return _emit(made, arguments)


def show_cell(arguments: argparse.Namespace) -> int:
    """Print every trial behind one cell of a study's matrix."""
    import harness.api
    from harness.cli.show import trial_lines

    arguments.study, arguments.relative_to, arguments.wide = arguments.trial, None, None
    wanted = dict(_pair(part) for part in arguments.cell.split(","))
    if set(wanted) != {"row", "col"}:
        raise HarnessError(f"--cell takes row=LABEL,col=LABEL, not {arguments.cell!r}")
    cell = _matrix(arguments).cell(wanted["row"], wanted["col"])
    if cell.reason:
        print(f"{cell.row}, {cell.col}: {cell.reason}{': ' + cell.detail if cell.detail else ''}")
    else:
        print(f"{cell.row}, {cell.col}: {cell.value:.6g} from {plural(cell.count, 'trial')}")
    for trial in (*cell.trial_ids, *cell.baseline_ids):
        print()
        print("\n".join(trial_lines(harness.api.show(trial, arguments.results))))
    return DONE


def _outcomes(arguments: argparse.Namespace) -> tuple[pd.DataFrame, pd.DataFrame | None, str]:
    """Outcomes, planned trials (None for a table) and the name of what the command line means."""
    from analysis import load_outcomes, load_trials
    from analysis.import_files import open_table

    path = Path(arguments.study)
    if path.suffix in TABLES:
        wide = {"rows": arguments.wide} if getattr(arguments, "wide", None) else {}
        return open_table(path, **wide), None, path.stem
    name = find(arguments.study, arguments.results).name
    return load_outcomes(arguments.results, name), load_trials(arguments.results, name), name


def _matrix(arguments: argparse.Namespace) -> TransferMatrix:
    from analysis.single import matrix_of

    frame, trials, _ = _outcomes(arguments)
    names = ("how", "failed", "chance", "flagged")
    options: dict[str, Any] = {n: getattr(arguments, n) for n in names if hasattr(arguments, n)}
    return matrix_of(frame, arguments.value, rows=arguments.rows, cols=arguments.cols, trials=trials,
                     filter=_conditions(arguments.where), over=arguments.over,
                     relative_to=arguments.relative_to, paired=not getattr(arguments, "pooled", False),
                     **options)  # fmt: skip


def _papers_of(name: str, arguments: argparse.Namespace, known: list[str]) -> list[str]:
    """The papers that an import names, else the one called like the study."""
    from analysis.published_section import published_names
    from harness.api import recorded_study

    try:
        study = recorded_study(name, arguments.results)
        named = list(dict.fromkeys(p.split("/")[0] for p in published_names(study)))
    except HarnessError:
        named = []
    if not named and name not in known:
        raise HarnessError(f"no published tables go by {name!r}: name a paper with --paper{suggest(name, known)}")
    return named or [name]


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise HarnessError(f"expected NAME=VALUE, not {text!r}")
    return name.strip(), value.strip()


def _conditions(texts: Iterable[str]) -> dict[str, object]:
    """``axis=a,b`` as a filter."""
    found: dict[str, object] = {}
    for text in texts:
        name, value = _pair(text)
        found[name] = [v.strip() for v in value.split(",")]
    return found


def _emit(made: Table, arguments: argparse.Namespace) -> int:
    """Print a table or write it, in the wanted format."""
    ending = Path(arguments.to).suffix if arguments.to else ".md"
    if arguments.format is None and ending not in FORMATS:
        raise HarnessError(f"a table is written to .md, .tex, .csv or .html, not to {Path(arguments.to).name!r}")
    wanted = arguments.format or FORMATS[ending]
    text: str = getattr(made, f"to_{wanted}")()
    if arguments.to:
        Path(arguments.to).write_text(text, encoding="utf-8")
        print(f"wrote {arguments.to}")
    else:
        print(text, end="" if text.endswith("\n") else "\n")
    return DONE


def _write_outcomes(frame: pd.DataFrame, target: Path) -> None:
    if target.suffix not in TABLES:
        raise HarnessError(f"outcomes are written to .csv and .parquet, not to {target.name!r}")
    target.parent.mkdir(parents=True, exist_ok=True)
    plain = frame.astype({c: "string" for c in frame.columns if frame[c].dtype == object})
    if target.suffix == ".csv":
        plain.to_csv(target, index=False)
    else:
        plain.to_parquet(target, index=False)
