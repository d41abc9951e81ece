"""Sections of a report on how its numbers came about: shared examples between tasks, and where the time went."""

from __future__ import annotations

from pathlib import Path

from analysis.sections import ReportData, Section
from analysis.shared_examples import FILE, MARKED_SHARE, SYMBOL, shared_table
from analysis.time_spent import read_time, time_table


def run_sections(data: ReportData, results: Path) -> list[Section]:
    """The sections that fit: none for outcomes that were imported."""
    if data.study.get("imported_from"):
        return []
    return [shared_section(data), *time_section(data, results)]


def shared_section(data: ReportData) -> Section:
    """Which test examples are in a source's training data; without a comparison, how to make one."""
    made = Section("shared-examples", "Shared examples", "check")
    if data.shared is None:
        made.notes.append(
            "Not checked whether test examples are in the training data of sources. This does it, before or after a "
            f"run: harness data leakage {data.study['study']} (it leaves {FILE} beside this page)."
        )
        return made
    table = shared_table(data.shared)
    if table is None:
        made.notes.append(f"{len(data.shared)} pairs of source and target compared: no test example is shared.")
        return made
    share = f"{MARKED_SHARE:.0%} of the test examples or more"
    made.notes.append(f"Matrices mark cells of sources that share {share}: {SYMBOL}.")
    made.tables.append((made.name, table))
    return made


def time_section(data: ReportData, results: Path) -> list[Section]:
    """Seconds by part of the work; no section when no stage says how long it took."""
    spent = read_time(results, str(data.study["study"]))
    if not spent.seconds:
        return []
    made = Section("where-the-time-went", "Where the time went", "count")
    made.tables.append((made.name, time_table(spent)))
    return [made]
