"""What a study's tasks declare about themselves (family, domain, split), by the labels that stand in columns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.study.model import SourceEntry, Study
    from harness.tasks.base import Task


def task_attributes(study: Study) -> dict[str, dict[str, Any]]:
    """Return what a report needs to tell related cells from others; JSON-able, and in no key.

    ``task_attributes``: for each task by name its declared attributes. ``task_sets``: for each source that is a set,
    by label, the names of its ``tasks``, and whether the trial's own target is left out of it (``but_target``); of one
    that is the target's group, its ``groups`` and the ``digest`` of the file that they come from.
    """
    tasks = {task.name: dict(task.attributes) for task in _tasks(study)}
    sets = {
        entry.label: {
            "tasks": [task.name for task in entry.tasks],
            "but_target": entry.per_target and not entry.groups,
            **_groups(entry),
        }
        for grid in study.grids
        for entry in grid.sources
        if len(entry.tasks) > 1 or entry.per_target
    }
    return {"task_attributes": tasks, "task_sets": sets}


def _groups(entry: SourceEntry) -> dict[str, Any]:
    if not entry.groups:
        return {}
    return {"groups": [[task.name for task in group] for group in entry.groups], "digest": entry.digest}


def _tasks(study: Study) -> Iterator[Task]:
    for grid in study.grids:
        yield from grid.targets
        for entry in grid.sources:
            yield from entry.tasks
        for bound in grid.bound:
            yield from bound.source.tasks if bound.source is not None else ()
