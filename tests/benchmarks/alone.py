"""One trial computed on its own: every stage it needs, from scratch, sharing nothing with any other trial.

What a script that loops over trials does. Used by the comparison runs, each of which calls `value_of` for every trial.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import harness
from harness.execution.cache import MemoryCache
from harness.execution.context import Context, Place
from harness.graph import Node, Stage

STAGE_MEMORY = 1 << 30


@functools.lru_cache(maxsize=1)
def planned_trials(study: str, only: tuple[str, ...]) -> list[tuple[str, Node]]:
    """Return the id and the terminal stage of every trial of a study (of the part that ``only`` names), in order."""
    from harness.planning.trials import plan_block
    from harness.study import expand

    found: dict[str, Node] = {}
    for block in expand(harness.load_study(study, only=only)).blocks:
        planned = plan_block(block)
        found.update(zip(planned.ids, planned.terminals, strict=True))
    return sorted(found.items())


def value_of(study: str, only: Sequence[str], index: int) -> tuple[str, float]:
    """Compute one trial and return its id and its first measured value."""
    import torch

    torch.set_num_threads(1)
    trial, terminal = planned_trials(study, tuple(only))[index]
    assert isinstance(terminal, Stage), "a tuned trial has no single terminal stage"
    with tempfile.TemporaryDirectory() as scratch:
        place = Place(Path(scratch), MemoryCache(STAGE_MEMORY))
        measured = compute(terminal, place, {})
    return trial, float(measured.rows[0].value)


def compute(node: Stage, place: Place, done: dict[str, Any]) -> Any:
    """Run a stage after its inputs; ``done`` keeps what this trial has computed already."""
    if node.key not in done:
        arguments = {name: _filled(value, place, done) for name, value in node.arguments.items()}
        if node.kind.takes_context:
            arguments["ctx"] = Context(place, node.key)
        done[node.key] = node.kind(**arguments)
    return done[node.key]


def _filled(value: Any, place: Place, done: dict[str, Any]) -> Any:
    if isinstance(value, Stage):
        return compute(value, place, done)
    if isinstance(value, tuple):
        return tuple(_filled(item, place, done) for item in value)
    return value
