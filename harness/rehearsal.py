"""A rehearsal before a long run: two steps of each distinct kind of stage, at its largest target.

Nothing it computes is kept. It finds what would fail hours into a run (a backbone that does not fit the inputs, a
file that cannot be read, a batch too large for memory) and says what each kind of stage takes to start.
"""

from __future__ import annotations

import dataclasses
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.planning.graph import closure
from harness.tasks.base import Task, TaskSet

if TYPE_CHECKING:
    from harness.planning import Plan
    from harness.store import AttemptRow, StageRecord
    from harness.study import Block, Expansion, Study

STEPS = 2
SOURCE_PREFIX = "source_"


@dataclass(frozen=True)
class Rehearsed:
    """What one kind of stage took on one backbone. ``error`` is None when it went well."""

    method: str
    backbone: str
    stage: str
    seconds: float | None
    memory_bytes: int | None
    error: str | None


def rehearse(study: Study, expansion: Expansion) -> list[Rehearsed]:
    """Run the shortened study in this process, in a results folder that is thrown away.

    Returns one entry for each kind of stage on each backbone, the dearest where there are several, in the order in
    which they are needed.
    """
    from harness.execution import RunOptions, execute
    from harness.planning import build_plan
    from harness.store import Store

    # Two steps train nothing: what stands on them must be tried all the same.
    study = dataclasses.replace(study, on_untrained_source="run")
    plan = build_plan(study, shortened(expansion), plugins=study.plugins)
    with tempfile.TemporaryDirectory(prefix="harness-check-") as folder:
        store = Store.open(Path(folder), create=True)
        execute(plan, store, RunOptions(in_process=True, on_failure="continue", progress="none", compact=False))
        outcomes = dict(store.refresh())
        failures = {attempt.key: attempt for attempt in store.attempts()}
    found: dict[tuple[str, str], Rehearsed] = {}
    kinds = {stage.key: stage.kind.name for stage in plan.graph.stages()}
    for key, (method, backbone) in _users(plan).items():
        kind = kinds[key]
        record, failure = outcomes.get(key), failures.get(key)
        source = record or failure
        one = Rehearsed(
            method,
            backbone,
            kind,
            None if source is None else source.seconds,
            None if source is None else source.memory_bytes,
            _fault(record, failure),
        )
        found[kind, backbone] = _worse(found.get((kind, backbone)), one)
    return list(found.values())


def _users(plan: Plan) -> dict[str, tuple[str, str]]:
    """Return for every stage, inputs first, the label of a method and of the backbone of a trial that needs it."""
    users: dict[str, tuple[str, str]] = {}
    for block in plan.blocks:
        names = [axis.name for axis in block.block.axes]
        for row, terminal in zip(block.block.rows, block.terminals, strict=True):
            at = names.index("backbone") if "backbone" in names else None
            backbone = "" if at is None else str(block.block.axes[at].labels[row[at]])
            for node in closure(terminal):
                users.setdefault(node.key, (block.block.method, backbone))
    return {stage.key: users[stage.key] for stage in plan.graph.stages()}


def _fault(record: StageRecord | None, failure: AttemptRow | None) -> str | None:
    if record is not None:
        return "the loss became NaN or infinite" if record.status == "diverged" else None
    return "not run" if failure is None else f"{failure.status}: {failure.reason}"


def _worse(known: Rehearsed | None, other: Rehearsed) -> Rehearsed:
    """Return the one that failed, or else the one that took longer."""
    if known is None or (other.error is not None and known.error is None):
        return other
    if known.error is not None:
        return known
    return max(known, other, key=lambda item: item.seconds or 0.0)


def shortened(expansion: Expansion) -> Expansion:
    """Keep of every block one row for each backbone, the largest, and cut its budgets to two steps."""
    return dataclasses.replace(expansion, blocks=[_shorten(block) for block in expansion.blocks if len(block.rows)])


def _shorten(block: Block) -> Block:
    import numpy as np

    rows = np.array(_largest_rows(block))
    budgets = _budgets(block)
    varied = {axis.name for axis in block.axes}
    fixed = {name: value for name, value in budgets.items() if name not in varied}
    return dataclasses.replace(
        block,
        axes=tuple(
            dataclasses.replace(axis, values=(budgets[axis.name],) * len(axis.values)) if axis.name in budgets else axis
            for axis in block.axes
        ),
        rows=block.rows[rows],
        setting=block.setting[rows],
        settings=tuple(
            dataclasses.replace(
                settings, params={**settings.params, **fixed}, labels={**settings.labels, **fixed}, tune=None
            )
            for settings in block.settings
        ),
        excluded=(),
    )


def _budgets(block: Block) -> dict[str, int | None]:
    """Return the recipe's parameters that say how long a training lasts, with their shortest value.

    Those are ``steps`` and ``epochs``, of the target stage and of the source stage. Where both can be given, epochs
    are left out, so that steps decide.
    """
    names = set(getattr(block.recipe, "parameters", ()))
    found: dict[str, int | None] = {}
    for prefix in ("", SOURCE_PREFIX):
        if f"{prefix}steps" in names:
            found[f"{prefix}steps"] = STEPS
        if f"{prefix}epochs" in names:
            found[f"{prefix}epochs"] = None if f"{prefix}steps" in names else 1
    return found


def _largest_rows(block: Block) -> list[int]:
    """Return, for each backbone of a block, the row with the most examples on its target and then its source."""
    import numpy as np

    names = [axis.name for axis in block.axes]
    size = np.zeros(len(block.rows))
    for name, weight in (("target", 1e9), ("source", 1.0)):
        if name in names:
            position = names.index(name)
            sizes = np.array([_examples(value) for value in block.axes[position].values], dtype=float)
            size += weight * sizes[block.rows[:, position]]
    if "backbone" not in names:
        return [int(size.argmax())]
    backbone = block.rows[:, names.index("backbone")]
    return [int(np.where(backbone == one, size, -1.0).argmax()) for one in np.unique(backbone)]


def _examples(value: object) -> int:
    if isinstance(value, TaskSet):
        return sum(_examples(task) for task in value.tasks)
    return sum(value.sizes.values()) if isinstance(value, Task) else 0
