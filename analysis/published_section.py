"""The part of a report that sets outcomes beside published tables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from analysis.published import load_paper, papers
from analysis.published_averages import averages_table, check_averages
from analysis.published_comparison import compare_published, published_table
from analysis.section_parts import slug
from analysis.sections import ReportData, Section
from harness.errors import HarnessError

FOLDER = "published"


def published_folder(results: Path) -> Path:
    """``published`` in the results folder, else that of the default results folder."""
    own = results / FOLDER
    return own if own.is_dir() else Path("results") / FOLDER


def papers_of(data: ReportData, results: Path) -> list[str]:
    """Papers to compare with: those that the study names, and the one of its own name; none without tables here.

    A study names them in ``published`` or in analyses of kind ``compare``, as ``paper`` or ``paper/table``.
    """
    if not published_folder(results).is_dir():
        return []
    named = [p.split("/")[0] for p in published_names(data.study)]
    own = str(data.study["study"])
    return list(dict.fromkeys([*named, *([own] if own in papers(published_folder(results)) else [])]))


def published_names(study: Mapping[str, Any]) -> list[str]:
    """What a study names to be compared with: ``paper`` or ``paper/table``."""
    analyses = [a for a in study.get("analyses") or [] if is_published(a)]
    return [*(str(p) for p in study.get("published") or []), *(str(a["published"]) for a in analyses)]


def is_published(analysis: Mapping[str, Any]) -> bool:
    """Whether an analysis compares with published values (and not two conditions with each other)."""
    return bool(analysis.get("kind") == "compare" and analysis.get("published") and not analysis.get("x"))


def _tables_of(study: Mapping[str, Any], paper: str) -> list[str] | None:
    """The tables of a paper that a study names; None for all."""
    named = [p.partition("/")[2] for p in published_names(study) if p.split("/")[0] == paper]
    return None if not named or "" in named else named


def published_sections(data: ReportData, results: Path) -> list[Section]:
    """One section per paper; what is wrong with a paper's tables becomes the section's problem."""
    found = []
    for name in papers_of(data, results):
        title = f"Published values: {name}"
        made = Section(slug(title), title, "comparison")
        try:
            paper = load_paper(published_folder(results) / name)
            made.notes.append(paper.citation)
            found_values = compare_published(data.frame, paper, trials=data.trials, tables=_tables_of(data.study, name))
            made.tables.append((made.name, published_table(found_values, every=True)))
            odd = averages_table(check_averages(paper.frame))
            if odd.rows:
                made.tables.append((f"{made.name}-averages", odd))
        except HarnessError as error:
            made.problem = str(error)
        found.append(made)
    return found
