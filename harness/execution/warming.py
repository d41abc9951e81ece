"""Bringing data and weights to a node before any work there is timed.

Only where the node has a scratch disk of its own: data are then read once, by the first worker that starts on the
node, which copies, unpacks and decodes what is not there yet; the other workers of the node wait for it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from typing import Any

from harness.backbones.base import Backbone
from harness.graph import Stage
from harness.store import scratch_root
from harness.tasks.base import Task, TaskSet


def named_values(stages: Iterable[Stage]) -> tuple[Task | Backbone, ...]:
    """Return the tasks and backbones that stages read, each once; nothing where there is no scratch disk."""
    if scratch_root() is None:
        return ()
    seen: dict[int, Any] = {}
    for stage in stages:
        for value in stage.values:
            if isinstance(value, (Task, TaskSet, Backbone)):
                seen.setdefault(id(value), value)
    found = {_text(one): one for value in seen.values() for one in _members(value)}
    return tuple(found[text] for text in sorted(found))


def warm(values: Iterable[Task | Backbone]) -> int:
    """Read values once on this node; return how many this process read.

    What cannot be read is left to the stage that needs it, which says so in its row.
    """
    from harness.data.locations import one_at_a_time

    values = tuple(values)
    scratch = scratch_root()
    if not values or scratch is None:
        return 0
    digest = hashlib.sha256("\n".join(_text(value) for value in values).encode()).hexdigest()[:16]
    done = scratch / "warmed" / digest
    with one_at_a_time(f"warm-{digest}"):
        if done.exists():
            return 0
        for value in values:
            _read(value)
        done.parent.mkdir(parents=True, exist_ok=True)
        done.touch()
    return len(values)


def _members(value: Task | TaskSet | Backbone) -> Iterator[Task | Backbone]:
    if isinstance(value, TaskSet):
        yield from value.tasks
    else:
        yield value


def _text(value: Task | Backbone) -> str:
    return json.dumps([type(value).__name__, value.identity()], sort_keys=True, default=str)


def _read(value: Task | Backbone) -> None:
    try:
        if isinstance(value, Task):
            for split in value.sizes:
                value.split(split)
        else:
            published = getattr(value, "published", None)
            if callable(published):
                published()
    except Exception as error:
        print(f"{value} could not be read ahead: {error}", flush=True)  # noqa: T201  (a worker's own log)
