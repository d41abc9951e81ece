"""The report of a study: figures, tables, the outcomes, and one page that holds everything and needs no network."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.attributes import as_written
from analysis.columns import flag_texts
from analysis.declared import analyses_of
from analysis.figure_files import write_figures
from analysis.load import load_outcomes, load_trials
from analysis.published_section import is_published, published_sections
from analysis.run_sections import run_sections
from analysis.sections import Drawing, ReportData, Section, section
from analysis.shared_examples import read_shared
from analysis.summary import (
    circumstances_table,
    counts,
    counts_table,
    failures_table,
    flags_text,
    provenance_rows,
    reasons_table,
)
from analysis.tables import Table, plain_table
from harness.errors import HarnessError
from harness.store import local_folder

if TYPE_CHECKING:
    import pandas as pd
    from markupsafe import Markup

_LARGEST_INLINE_SVG = 400_000
_MANIFEST = "files.json"
_SMALL_TABLE = 12


@dataclass(frozen=True)
class ReportPaths:
    """Where a report lies. ``problems`` names the analyses that could not be drawn, one sentence each."""

    html: Path
    folder: Path
    figures: tuple[Path, ...]
    tables: tuple[Path, ...]
    outcomes: Path
    problems: tuple[str, ...]


def report(study: Mapping[str, Any], results: str | Path, out: str | Path | None = None) -> ReportPaths:
    """Draw exactly the analyses that a study declares (without any: a matrix for every method).

    Args:
        study: the resolved study, as plain data; ``study`` is its name, ``analyses`` the list of what to draw.
        results: the results folder with the store.
        out: folder of the report; ``<results>/<study>`` when None. Files of an earlier report there are replaced.

    An analysis that cannot be drawn has its reason on the page and in ``problems``; the others are drawn.

    Raises:
        HarnessError: when there is no store, no such study, or the folder cannot be written.
    """
    name = str(study["study"])
    root = Path(results)
    own = local_folder(results) / name
    data = ReportData(load_outcomes(root, name), load_trials(root, name), study, read_shared(own))
    folder = Path(out) if out is not None else own
    try:
        return _write(data, root, folder)
    except OSError as error:
        raise HarnessError(f"The report cannot be written to {str(folder)!r}: {error.strerror or error}.") from error


def _write(data: ReportData, root: Path, folder: Path) -> ReportPaths:
    analyses, notes = analyses_of(data.study, data.frame)
    drawn = [section(data, analysis) for analysis in analyses if not is_published(analysis)]
    sections = _distinct([*drawn, *published_sections(data, root), *run_sections(data, root)])
    folder.mkdir(parents=True, exist_ok=True)
    _remove_earlier(folder)
    figures, shown = _draw(sections, folder / "figures")
    tables = [path for part in sections for name, table in part.tables for path in _table_files(name, table, folder)]
    outcomes = folder / "outcomes.csv"
    write_outcomes(data.frame, outcomes)
    others = [_other_file(folder / name, text) for part in sections for name, text in part.files.items()]
    page = folder / "report.html"
    _replace(page, _page(data, root, sections, shown, notes))
    written = [str(p.relative_to(folder)) for p in (*figures, *tables, *others, outcomes, page)]
    _replace(folder / _MANIFEST, json.dumps(written, indent=1) + "\n")
    problems = tuple(f"{part.title}: {part.problem}" for part in sections if part.problem)
    return ReportPaths(page, folder, tuple(figures), tuple(tables), outcomes, problems)


def write_outcomes(frame: pd.DataFrame, path: Path) -> None:
    """Write the long outcomes as CSV, flags as text."""
    import pyarrow as pa
    import pyarrow.csv

    plain = frame.assign(flags=flag_texts(frame["flags"])) if "flags" in frame.columns else frame
    pyarrow.csv.write_csv(pa.Table.from_pandas(plain, preserve_index=False), path)


def _distinct(sections: list[Section]) -> list[Section]:
    """Give sections and files of equal name a number."""
    taken: set[str] = {"trials", "provenance"}
    for part in sections:
        part.name = _free(part.name, taken)
    drawn: set[str] = set()
    printed: set[str] = set()
    for part in sections:
        part.drawings = [Drawing(_free(d.name, drawn), d.alt, d.make) for d in part.drawings]
        part.tables = [(_free(name, printed), table) for name, table in part.tables]
    return sections


def _free(name: str, taken: set[str]) -> str:
    candidate, k = name, 2
    while candidate in taken:
        candidate, k = f"{name}-{k}", k + 1
    taken.add(candidate)
    return candidate


def _draw(sections: list[Section], folder: Path) -> tuple[list[Path], dict[str, list[dict[str, object]]]]:
    """Write every figure in all formats; give the files, and for each section what the page shows."""
    written = write_figures([(d.name, d.make) for part in sections for d in part.drawings], folder)
    shown: dict[str, list[dict[str, object]]] = {}
    rest = iter(written)
    for part in sections:
        shown[part.name] = []
        for drawing in part.drawings:
            files = next(rest)
            small = files.paths["svg"].stat().st_size <= _LARGEST_INLINE_SVG
            uri = data_uri(files.paths["svg" if small else "png"])
            shown[part.name].append(
                {"name": drawing.name, "alt": drawing.alt, "uri": uri, "width": round(files.width * 96)}
            )
    return [path for files in written for path in files.paths.values()], shown


def data_uri(path: Path) -> str:
    """A file's bytes as a ``data:`` address."""
    kind = "image/svg+xml" if path.suffix == ".svg" else "image/png"
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"


def _table_files(name: str, table: Table, folder: Path) -> list[Path]:
    texts = {"csv": table.to_csv(), "md": table.to_markdown(), "tex": table.to_latex()}
    paths = [folder / "tables" / f"{name}.{ending}" for ending in texts]
    paths[0].parent.mkdir(parents=True, exist_ok=True)
    for path, text in zip(paths, texts.values(), strict=True):
        path.write_text(text, encoding="utf-8")
    return paths


def _other_file(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    _replace(path, text)
    return path


def _remove_earlier(folder: Path) -> None:
    """Remove what an earlier report wrote here, so that no figure of an analysis since dropped stays behind."""
    manifest = folder / _MANIFEST
    if manifest.is_file():
        for name in json.loads(manifest.read_text(encoding="utf-8")):
            path = (folder / str(name)).resolve()
            if path.is_relative_to(folder.resolve()):
                path.unlink(missing_ok=True)


def _replace(path: Path, text: str) -> None:
    """Write a text file so that a reader sees the old or the new one, whole."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


@dataclass(frozen=True)
class _Printed:
    """A table as the template sees it."""

    table: Table

    @property
    def title(self) -> str:
        return self.table.title

    @property
    def notes(self) -> tuple[str, ...]:
        return self.table.notes

    @property
    def small(self) -> bool:
        return len(self.table.rows) <= _SMALL_TABLE and len(self.table.header) <= _SMALL_TABLE

    def html(self, text: bool = False) -> Markup:
        from markupsafe import Markup

        written = self.table.to_html()
        return Markup(written.replace("<table>", '<table class="text">', 1) if text else written)


def _page(
    data: ReportData,
    root: Path,
    sections: list[Section],
    shown: Mapping[str, list[dict[str, object]]],
    notes: list[str],
) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(loader=PackageLoader("analysis"), autoescape=True, undefined=StrictUndefined)
    runs = provenance_rows(root, data.frame)
    optional = {"reasons_table": reasons_table(data.trials), "failures_table": failures_table(data.trials)}
    return environment.get_template("report.html.j2").render(
        study=str(data.study["study"]),
        description=str(data.study.get("description") or ""),
        total=len(data.trials),
        counts=counts(data.trials),
        flags=flags_text(data.frame),
        notes=notes,
        sections=[_part(part, shown[part.name]) for part in sections],
        counts_table=_Printed(counts_table(data.trials)),
        circumstances_table=_Printed(circumstances_table(data.frame)),
        provenance_table=_Printed(plain_table("Runs", ("run", "made with"), runs)) if runs else None,
        study_text=json.dumps(as_written(data.study), indent=2, ensure_ascii=False, default=str),
        **{name: _Printed(table) if table else None for name, table in optional.items()},
    )


def _part(part: Section, figures: list[dict[str, object]]) -> dict[str, object]:
    return {
        "name": part.name,
        "title": part.title,
        "kind": part.kind,
        "problem": part.problem,
        "notes": part.notes,
        "warnings": part.warnings,
        "figures": figures,
        "tables": [(name, _Printed(table)) for name, table in part.tables],
    }
