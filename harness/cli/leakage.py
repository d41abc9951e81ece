"""``harness data leakage STUDY`` or ``TASK ...``: test examples that are among training examples."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import harness.api
from harness.cli.lookup import find_file
from harness.cli.tasks import file_name
from harness.cli.text import columns, plural
from harness.data.locations import data_root
from harness.errors import HarnessError, nearest
from harness.registry import TASKS

if TYPE_CHECKING:
    from harness.leakage import Compared
    from harness.planning.leakage import Pairs

MOST_SHOWN = 60
"""Pairs of examples in a picture."""

MOST_LISTED = 40


def leakage(arguments: argparse.Namespace) -> int:
    """Compare the tasks of a study, or those named with each other; print the pairs that share examples."""
    found, name = _compared(arguments.names, arguments.results)
    counts = sorted((one.count() for one in found), key=lambda count: (-count.exact, -count.share))
    if arguments.json:
        print(json.dumps([dataclasses.asdict(count) for count in counts], indent=2, ensure_ascii=False))
    else:
        shared = [count for count in counts if count.exact + count.near]
        rows = [
            (c.source, c.target, f"{c.exact:,}", f"{c.near:,}", f"{c.of:,}", f"{c.share:.1%}")
            for c in shared[:MOST_LISTED]
        ]
        if rows:
            print(columns([("trained on", "tested on", "exact", "near", "of", "share"), *rows]))
        if len(shared) > len(rows):
            print(f"and {plural(len(shared) - len(rows), 'pair')} with smaller shares")
        print(f"{plural(len(counts), 'pair')} of tasks compared; {len(shared):,} share examples")
    if arguments.show is not None:
        target = Path(arguments.show) if arguments.show else data_root() / "sheets" / f"{file_name(name)}-pairs.png"
        print(f"closest pairs: {show(found, target)}", file=sys.stderr if arguments.json else sys.stdout)
    return 0


def show(found: Sequence[Compared], target: Path) -> Path:
    """Write a picture of the closest pairs of examples, from all pairs of tasks in turn."""
    from harness.data.pair_sheet import ShownPair, pair_sheet
    from harness.leakage import closest
    from harness.planning.leakage import LEARNED, TESTED

    splits = {}
    shown = []
    for one, pair in closest(found, MOST_SHOWN):
        sides = []
        for task, split, position in ((one.learned, LEARNED, pair.learned), (one.tested, TESTED, pair.tested)):
            if (task, split) not in splits:
                splits[task, split] = task.split(split)
            loaded = splits[task, split]
            label = loaded.labels[position]
            known = label.ndim == 0 and not label.is_floating_point()
            sides.append((loaded.inputs[position], task.class_names[int(label)] if known else "several"))
        tasks = one.learned.name if one.learned == one.tested else f"{one.learned.name} > {one.tested.name}"
        likeness = "exact" if pair.exact else f"{pair.likeness:.3f}"
        (learned, learned_class), (tested, tested_class) = sides
        shown.append(ShownPair(learned, tested, learned_class, tested_class, f"{likeness} {tasks}"))
    return pair_sheet(shown, target)


def _compared(names: Sequence[str], results: str) -> tuple[list[Compared], str]:
    """Return what was found and what to call it: for tasks, all pairs of them, each with itself first."""
    first = names[0]
    if len(names) == 1 and "(" not in first and first not in TASKS:
        study = harness.api.load_study(_study_file(first, results))
        return harness.api.leakage(study, results, say=_say), study.name
    from harness.leakage import compare_tasks

    return compare_tasks(_all_pairs(names), _say), "_".join(names)


def _study_file(name: str, results: str) -> Path:
    """Return the file of a study. Raises HarnessError, with the nearest task where one is near, when there is none."""
    try:
        return find_file(name, results)
    except HarnessError:
        near = nearest(name, TASKS.names())
        if near is None:
            raise
        raise HarnessError(f"there is neither a study nor a task {name!r} (did you mean the task {near!r}?)") from None


def _all_pairs(names: Sequence[str]) -> Pairs:
    from harness.planning.leakage import comparable
    from harness.study.one_task import task_named

    tasks = [task_named(name) for name in dict.fromkeys(names)]
    pairs = [(learned, tested) for tested in tasks for learned in sorted(tasks, key=lambda task: task != tested)]
    return [pair for pair in pairs if comparable(*pair)]


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr)
