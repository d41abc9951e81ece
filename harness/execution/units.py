"""Units of work: a stage, or a transient stage fused with its consumers, run as one chain in one worker.

A transient artifact stays in the worker that made it. So the stage that makes it, the consumers that read it, and
other transient stages that these read, form one unit. A consumer that cannot be in the unit (another resource class,
an input that itself depends on the unit, too large a unit) gets the artifact through the store instead.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Protocol

from harness.execution.messages import Rung
from harness.graph import Resources, Stage
from harness.graph.stage import Keep

MAX_FUSED = 64
"""A unit has at most this many stages; a transient artifact with more consumers goes through the store."""

_numbers = count()


@dataclass(slots=True, eq=False)
class Unit:
    """Stages that one worker runs in one go, in topological order.

    ``wanted``: keys that still need a result. ``saved``: transient members whose artifact goes to the store.
    ``signature``: what units must share to fill one batch. ``reads``: external inputs; ``unmet``: how many of them are
    not known yet. ``suspect``: how many units to run together at most since one of them may have killed its worker.
    """

    stages: tuple[Stage, ...]
    signature: Hashable
    resources: Resources
    width: int
    priority: float = 0.0
    saved: frozenset[str] = frozenset()
    wanted: set[str] = field(default_factory=set)
    reads: tuple[str, ...] = ()
    unmet: int = 0
    queued: bool = False
    rung: Rung = field(default_factory=Rung)
    suspect: int = 0
    crashes: int = 0
    number: int = field(default_factory=lambda: next(_numbers))


class Neighbourhood(Protocol):
    """What unit formation must know about the graph around a stage."""

    def consumers_of(self, key: str) -> Sequence[str]:
        """Return the keys of the stages that will read this key in this session."""

    def formable(self, key: str) -> Stage | None:
        """Return the stage if it is to be run and belongs to no unit yet."""

    def read_later(self, key: str) -> bool:
        """Say whether an option of an open choice is, or may come to read, this key."""

    def depth(self, key: str) -> int:
        """Return the length of the longest path from an input-free stage to this one."""

    def keep_of(self, stage: Stage) -> Keep:
        """Return where a stage's artifact lives."""

    def known(self, key: str) -> bool:
        """Say whether what this key leaves can be had without running anything."""


def form_unit(stage: Stage, around: Neighbourhood, resources_of: Callable[[Stage], Resources]) -> Unit:
    """Return the unit that ``stage`` belongs to; inputs come before consumers, so this is the unit's first stage."""
    if around.keep_of(stage) != "transient" or not around.consumers_of(stage.key):
        members = {stage.key: stage}
    else:
        members = _fuse(stage, around, resources_of)
    ordered = tuple(sorted(members.values(), key=lambda member: around.depth(member.key)))
    saved = frozenset(key for key, member in members.items() if _needs_saving(member, members, around))
    return Unit(
        stages=ordered,
        signature=tuple(_signature(member) for member in ordered),
        resources=resources_of(stage),
        width=max(_width(member) for member in ordered),
        saved=saved,
        wanted=set(members),
    )


def _signature(stage: Stage) -> Hashable:
    return (stage.kind.name, None) if stage.kind.batch is None else stage.group()


def _width(stage: Stage) -> int:
    return 1 if stage.kind.batch is None else stage.kind.batch.width


def _needs_saving(stage: Stage, members: Mapping[str, Stage], around: Neighbourhood) -> bool:
    if around.keep_of(stage) != "transient":
        return False
    outside = any(consumer not in members for consumer in around.consumers_of(stage.key))
    return outside or around.read_later(stage.key)


def _fuse(first: Stage, around: Neighbourhood, resources_of: Callable[[Stage], Resources]) -> dict[str, Stage]:
    """Grow a unit from a transient stage: consumers of its transient members, and transient inputs of these."""
    members = {first.key: first}
    resources = resources_of(first)
    growing = [first]
    while growing:
        made = growing.pop()
        for key in around.consumers_of(made.key):
            taken = None if key in members else _take(key, members, around)
            if taken is None or len(members) + len(taken) > MAX_FUSED:
                continue
            if any(resources_of(stage) != resources for stage in taken):
                continue
            for stage in taken:
                members[stage.key] = stage
            growing.extend(stage for stage in taken if around.keep_of(stage) == "transient")
    return members


def _take(key: str, members: Mapping[str, Stage], around: Neighbourhood) -> list[Stage] | None:
    """Return the consumer ``key`` with the transient inputs that it needs beside it, or None if it cannot be fused."""
    consumer = around.formable(key)
    if consumer is None:
        return None
    taken = [consumer]
    for node in consumer.inputs:
        if node.key in members:
            continue
        other = around.formable(node.key)
        if other is not None and around.keep_of(other) == "transient":
            if other not in taken:
                taken.append(other)
        elif _depends(node, members, around):
            return None
    for stage in taken[1:]:
        if any(_depends(node, members, around) for node in stage.inputs if node.key not in members):
            return None
    return taken


def _depends(start: Stage, members: Mapping[str, Stage], around: Neighbourhood) -> bool:
    """Say whether a node outside the unit needs one inside it, which would make the unit wait for itself."""
    shallowest = min(around.depth(key) for key in members)
    waiting, seen = [start], {start.key}
    while waiting:
        node = waiting.pop()
        if node.key in members:
            return True
        if around.depth(node.key) <= shallowest or around.known(node.key):
            continue
        for other in node.inputs:
            if other.key not in seen:
                seen.add(other.key)
                waiting.append(other)
    return False


def needed_members(unit: Unit, around: Neighbourhood) -> list[Stage]:
    """Return the wanted stages and the members that must run again to feed them, in topological order."""
    needed = set(unit.wanted)
    for stage in reversed(unit.stages):
        if stage.key in needed:
            needed.update(key for key in _inputs(stage) if not around.known(key))
    return [stage for stage in unit.stages if stage.key in needed]


def externals(unit: Unit, around: Neighbourhood) -> set[str]:
    """Return the keys that a unit needs from outside it."""
    needed = needed_members(unit, around)
    inside = {stage.key for stage in needed}
    return {key for stage in needed for key in _inputs(stage) if key not in inside}


def _inputs(stage: Stage) -> Iterable[str]:
    return (node.key for node in stage.inputs)
