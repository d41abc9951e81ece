"""``harness store merge``: bring the results of one folder into another, and say what differs."""

from __future__ import annotations

import argparse
import csv
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.text import columns, plural, size
from harness.errors import HarnessError

if TYPE_CHECKING:
    from harness.store import Store
    from harness.store.merge import Conflict, Merged

DONE = 0
LEFT_OUT = 3
MOST_SHOWN = 40
_WIDTH = 60


def merge(arguments: argparse.Namespace) -> int:
    """Merge folders of results; status 3 when something differs or is damaged, and was therefore left as it was."""
    from harness.store import Store, local_folder
    from harness.store.merge import merge as merge_stores

    folders = [_results(folder) for folder in (arguments.folder, *arguments.others)]
    target = arguments.into or folders.pop(0)
    folders = list(dict.fromkeys(folders))
    for folder in folders:  # all of them before anything is written
        if not Store.exists(folder):
            raise HarnessError(f"there are no results under '{folder}' to merge")
        if local_folder(folder).resolve() == local_folder(target).resolve():
            raise HarnessError(f"'{folder}' cannot be merged with itself")
    if arguments.conflicts and not Path(arguments.conflicts).absolute().parent.is_dir():
        raise HarnessError(f"there is no folder for '{arguments.conflicts}'")
    others = [Store.open(folder) for folder in folders]
    into = _receiver(target, arguments.into is not None, arguments.dry_run)
    conflicts: list[Conflict] = []
    whole = True
    for folder, other in zip(folders, others, strict=True):
        done = merge_stores(into, other, arguments.dry_run)
        print("\n".join(_lines(folder, done, arguments.dry_run)))
        conflicts += done.conflicts
        whole &= not done.damaged and not done.changed
    if conflicts:
        _tell(conflicts, into, others)
    if arguments.conflicts:
        _write(conflicts, Path(arguments.conflicts))
    return DONE if whole and not conflicts else LEFT_OUT


def _results(folder: str) -> str:
    """Return the results folder that is meant by itself or by the store in it."""
    path = Path(folder)
    return str(path.parent) if path.name == "store" and (path / "records" / "_delta_log").is_dir() else folder


def _receiver(target: str, may_be_new: bool, dry_run: bool) -> Store:
    from harness.store import Store

    if not may_be_new or Store.exists(target):
        return Store.open(target)
    if dry_run:
        raise HarnessError(f"there is no store in '{target}' to compare with: leave out --dry-run, or --into")
    return Store.open(target, create=True)


def _lines(folder: str, done: Merged, dry_run: bool) -> list[str]:
    """What came of one folder."""
    verb = "would be added" if dry_run else "added"
    stages = [
        (done.added, verb), (done.equal, "computed twice, equal"), (done.present, "there already"),
        (done.taken_back, "withdrawn here before, left out"), (done.changed, "changed meanwhile, left out"),
    ]  # fmt: skip
    differing = sum(conflict.what == "stage" for conflict in done.conflicts)
    stages += [(differing, "with other outcomes, left out"), (len(done.damaged), "with a damaged artifact, left out")]
    said = "; ".join(f"{count:,} {what}" for count, what in stages if count) or "none"
    rest = [
        (plural(done.artifacts, "artifact") + f" ({size(done.nbytes)})", done.artifacts),
        (plural(done.attempts, "row") + " on failures and repetitions", done.attempts),
        (plural(done.runs, "row") + " of provenance", done.runs),
    ]
    new = "; ".join(text for text, count in rest if count)
    lines = [f"{folder}: stages: {said}"]
    lines += [f"  {verb}: {new}"] if new else []
    lines += [f"  studies {verb}: {', '.join(done.studies)}"] if done.studies else []
    return lines + [f"  error: stage {finding.key}: {finding.where}: {finding.message}" for finding in done.damaged]


def _tell(conflicts: list[Conflict], into: Store, others: list[Store]) -> None:
    """Print what differs, and what that means."""
    trials = _trials([conflict.name for conflict in conflicts], [into, *others])
    print(f"\nkept as in {into.results}:")
    head = ("what", "name", "of", "differs in", "kept", "left out")
    rows = [
        (one.what, one.name[:_WIDTH], trials.get(one.name, one.kind), *map(_short, (one.differs, one.ours, one.theirs)))
        for one in conflicts[:MOST_SHOWN]
    ]
    print(columns([head, *rows]))
    if len(conflicts) > MOST_SHOWN:
        print(f"... and {len(conflicts) - MOST_SHOWN:,} more; --conflicts FILE.csv writes them all")
    if any(one.what == "plan" for one in conflicts):
        print("Stages of a plan that was left out are there: `harness run` on the study that holds both finds them.")


def _short(text: str) -> str:
    return text if len(text) <= _WIDTH else text[: _WIDTH - 3] + "..."


def _trials(keys: list[str], stores: list[Store]) -> dict[str, str]:
    """Map terminal stages to the trial that they are the outcome of, in words."""
    found: dict[str, str] = {}
    wanted = set(keys)
    for store in stores:
        for row in store.trials(columns=["key", "trial_id", "source", "target", "method"]).to_pylist():
            if row["key"] in wanted:
                words = f"trial {row['trial_id'][:12]} ({row['source'] or 'none'} > {row['target']}, {row['method']})"
                found.setdefault(row["key"], words)
    return found


def _write(conflicts: list[Conflict], target: Path) -> None:
    names = ("what", "name", "kind", "differs", "ours", "theirs")
    with target.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(dataclasses.asdict(conflict) for conflict in conflicts)
    print(f"wrote {plural(len(conflicts), 'conflict')} to {target}")
