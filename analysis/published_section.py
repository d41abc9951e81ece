"""The part of a report that sets outcomes beside published tables."""

from __future__ import annotations

from pathlib import Path

from analysis.published import load_paper, papers
from analysis.published_averages import averages_table, check_averages
from analysis.published_comparison import compare_published, published_table
from analysis.sections import ReportData, Section, slug
from harness.errors import HarnessError

FOLDER = "published"


def published_folder(results: Path) -> Path:
    """``published`` in the results folder, else that of the default results folder."""
    own = results / FOLDER
    return own if own.is_dir() else Path("results") / FOLDER


def papers_of(data: ReportData, results: Path) -> list[str]:
    """Papers to compare with: those that the study names, and the one of its own name; none without tables here."""
    if not published_folder(results).is_dir():
        return []
    named = [str(p) for p in data.study.get("published") or []]
    own = str(data.study["study"])
    return list(dict.fromkeys([*named, *([own] if own in papers(published_folder(results)) else [])]))


def published_sections(data: ReportData, results: Path) -> list[Section]:
    """One section per paper; what is wrong with a paper's tables becomes the section's problem."""
    found = []
    for name in papers_of(data, results):
        title = f"Published values: {name}"
        made = Section(slug(title), title, "comparison")
        try:
            paper = load_paper(published_folder(results) / name)
            made.notes.append(paper.citation)
            made.tables.append((made.name, published_table(compare_published(data.frame, paper, trials=data.trials),
                                                           every=True)))  # fmt: skip
            odd = averages_table(check_averages(paper.frame))
            if odd.rows:
                made.tables.append((f"{made.name}-averages", odd))
        except HarnessError as error:
            made.problem = str(error)
        found.append(made)
    return found
