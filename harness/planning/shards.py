"""Cutting a study's trials into shards that separate jobs run, and what these jobs share, which goes first.

A cut is made once, at submission, and kept in a file: costs are learned from past runs, so that two jobs that cut for
themselves at different times would disagree about who does what.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from harness.errors import HarnessError
from harness.graph import Node, Stage
from harness.planning.graph import closure

if TYPE_CHECKING:
    from harness.planning.plan import Plan

SHARED: Final = 0
"""The number of the part that all shards wait for; shards count from 1."""

UNKNOWN_SECONDS: Final = 1.0
"""Stands for the cost of a stage kind that has never run."""


@dataclass(frozen=True)
class Shards:
    """Where the list of a plan's distinct trials is cut: shard k has those from bounds[k - 1] to bounds[k].

    plan: fingerprint of the plan.  seconds: expected work of the shared part and of each shard.
    """

    plan: str
    bounds: tuple[int, ...]
    seconds: tuple[float, ...]
    shared: int

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def write(self, path: Path) -> None:
        """Write the cut as JSON, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}")
        draft.write_text(json.dumps(self.__dict__, indent=1) + "\n", encoding="utf-8")
        draft.replace(path)

    @staticmethod
    def read(path: Path) -> Shards:
        """Read a cut. Raises HarnessError when the file is missing or something else."""
        try:
            found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            bounds, seconds = tuple(map(int, found["bounds"])), tuple(map(float, found["seconds"]))
            return Shards(str(found["plan"]), bounds, seconds, int(found["shared"]))
        except FileNotFoundError:
            raise HarnessError(f"there is no file of shards at {path}: `harness submit` writes it") from None
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise HarnessError(f"{path} is no file of shards: {error}") from None


def cut(plan: Plan, number: int) -> Shards:
    """Cut a plan's trials into at most `number` shards of about equal expected work.

    Trials stay in the study's order, in which neighbours share data and features. Work that several trials share is
    divided among them, except sources and what else outlives its job: that is the shared part's.
    """
    terminals = list(plan.terminals.values())
    number = max(1, min(number, len(terminals)))
    consumers: dict[str, int] = {}
    below: list[list[Stage]] = []
    for terminal in terminals:
        stages = [node for node in closure(terminal) if isinstance(node, Stage) and _open(plan, node)]
        below.append(stages)
        for stage in stages:
            consumers[stage.key] = consumers.get(stage.key, 0) + 1
    lasting = {
        stage.key: stage for stages in below for stage in stages if _outlives(plan, stage) and consumers[stage.key] > 1
    }
    work = [
        sum(_seconds(plan, stage) / consumers[stage.key] for stage in stages if stage.key not in lasting)
        for stages in below
    ]
    bounds = _balanced(work, number)
    seconds = [sum(work[start:end]) for start, end in itertools.pairwise(bounds)]
    shared = shared_stages(plan, bounds)
    return Shards(
        plan.fingerprint,
        tuple(bounds),
        (sum(_seconds(plan, stage) for stage in shared if _open(plan, stage)), *seconds),
        len(shared),
    )


def nodes_of(plan: Plan, shards: Shards, number: int) -> list[Node]:
    """Return what a job asks for: the trials of shard `number`, or with 0 what several shards share.

    Raises HarnessError when the shards were cut from another plan or there is no such shard.
    """
    if shards.plan != plan.fingerprint:
        raise HarnessError("these shards were cut from another version of the study: submit it again")
    if not SHARED <= number <= len(shards):
        raise HarnessError(
            f"there is no shard {number}: they are numbered 1 to {len(shards)}, and 0 is what they share"
        )
    if number == SHARED:
        return list(shared_stages(plan, shards.bounds))
    return list(plan.terminals.values())[shards.bounds[number - 1] : shards.bounds[number]]


def shared_stages(plan: Plan, bounds: Sequence[int]) -> list[Stage]:
    """Return the stages that several shards need and whose results outlive the job that makes them, inputs first."""
    first: dict[str, int] = {}
    found: dict[str, Stage] = {}
    terminals = list(plan.terminals.values())
    for shard, (start, end) in enumerate(itertools.pairwise(bounds)):
        for terminal in terminals[start:end]:
            for node in closure(terminal):
                if isinstance(node, Stage) and first.setdefault(node.key, shard) != shard and _outlives(plan, node):
                    found[node.key] = node
    return [node for key, node in plan.graph.nodes.items() if key in found and isinstance(node, Stage)]


def _outlives(plan: Plan, stage: Stage) -> bool:
    keep = dict(getattr(plan.study.execution, "retention", None) or {}).get(stage.kind.name, stage.kind.keep)
    return keep == "durable" and stage.kind.result != "measurements"


def _open(plan: Plan, stage: Stage) -> bool:
    return plan.demand.status(stage.key) is None


def _seconds(plan: Plan, stage: Stage) -> float:
    past = plan.past.get(stage.kind.name)
    return UNKNOWN_SECONDS if past is None else past.mean_seconds


def _balanced(work: Sequence[float], number: int) -> list[int]:
    """Cut a row of works so that the dearest piece is as cheap as a cut of contiguous pieces allows (bisection)."""
    low, high = max(work, default=0.0), sum(work)
    for _ in range(60):
        middle = (low + high) / 2
        if len(_filled(work, middle)) - 1 <= number:
            high = middle
        else:
            low = middle
    bounds = _filled(work, high)
    while len(bounds) - 1 < number:  # cheap trials left: split the longest piece that can be
        widths = [end - start for start, end in itertools.pairwise(bounds)]
        widest = max(range(len(widths)), key=widths.__getitem__)
        if widths[widest] < 2:
            break
        bounds.insert(widest + 1, bounds[widest] + widths[widest] // 2)
    return bounds


def _filled(work: Sequence[float], limit: float) -> list[int]:
    bounds, total = [0], 0.0
    for place, seconds in enumerate(work):
        if total + seconds > limit * (1 + 1e-12) and place > bounds[-1]:
            bounds.append(place)
            total = 0.0
        total += seconds
    return [*bounds, len(work)]
