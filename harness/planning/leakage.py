"""Which pairs of tasks a study's trials stand on, and what is known of the examples they share.

Only reads what `harness.leakage` has found and written; nothing is compared here, and no data are looked at.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from harness.errors import HarnessError
from harness.graph.canonical import canonical_json
from harness.tasks.base import Task, TaskSet

if TYPE_CHECKING:
    from harness.study import Block

FILE: Final = "leakage.json"
LEARNED: Final = "train"
TESTED: Final = "test"

Pairs = Sequence[tuple[Task, Task]]
"""Pairs of tasks: the one learned from, and the one tested on."""


@dataclass(frozen=True)
class SharedCount:
    """Of `of` test examples of the target, how many are among the source's training examples.

    exact: equal ones; near: those that only look or read alike; data: a digest of what was compared.
    """

    source: str
    target: str
    split: str
    exact: int
    near: int
    of: int
    data: str

    @property
    def share(self) -> float:
        """Test examples with any duplicate, as a share of all."""
        return (self.exact + self.near) / self.of if self.of else 0.0


@dataclass(frozen=True)
class LeakageSummary:
    """What a plan tells: the pairs that the study uses, those of them that were compared, and what was found there."""

    study: str
    pairs: int
    found: tuple[SharedCount, ...]

    @property
    def missing(self) -> int:
        """Pairs that were not compared, or whose data have changed since."""
        return self.pairs - len(self.found)

    @property
    def exact(self) -> int:
        """Pairs with exact duplicates."""
        return sum(count.exact > 0 for count in self.found)

    @property
    def near(self) -> int:
        """Pairs with near duplicates only."""
        return sum(count.near > 0 and not count.exact for count in self.found)

    def worst(self) -> SharedCount | None:
        """Return the pair with the largest share of duplicates, None when no pair has any."""
        leaking = [count for count in self.found if count.exact + count.near]
        return max(leaking, key=lambda count: (count.share, count.exact), default=None)


def leakage_path(study: str, results: str | Path) -> Path:
    """Return where what is known of a study's shared examples lies."""
    from harness.store import local_folder

    return local_folder(results) / study / FILE


def used_pairs(blocks: Iterable[Block]) -> Pairs:
    """Return the pairs that trials learn from and are tested on, each once; task sets are taken apart.

    Every target also stands beside itself: its own training examples are learned from. Pairs of which one holds texts
    and the other does not, and those without the splits to compare, are left out.
    """
    found: dict[tuple[str, str], tuple[Task, Task]] = {}
    for block in blocks:
        for source, target in _cells(block):
            members = source.tasks if isinstance(source, TaskSet) else (source,)
            for learned in (target, *members):
                if isinstance(learned, Task) and comparable(learned, target):
                    found.setdefault((learned.name, target.name), (learned, target))
    return list(found.values())


def comparable(learned: Task, tested: Task) -> bool:
    """Say whether two tasks hold examples of one kind and have the splits to compare."""
    alike = len(learned.input_shape) == len(tested.input_shape)
    return alike and LEARNED in learned.sizes and TESTED in tested.sizes


def pair_digest(learned: Task, tested: Task) -> str:
    """Return a digest of what two tasks' data are, known without reading them."""
    return hashlib.sha256(f"{_task_digest(learned)} {_task_digest(tested)}".encode()).hexdigest()[:16]


@functools.lru_cache(maxsize=4096)
def _task_digest(task: Task) -> str:
    """Return a digest of a task's identity; each stands in many pairs."""
    return hashlib.sha256(canonical_json(task.identity()).encode()).hexdigest()


def summarise_leakage(study: str, pairs: Pairs, results: str | Path) -> LeakageSummary:
    """Return what is known of the pairs that a study uses."""
    known = {(count.source, count.target): count for count in read_leakage(study, results)}
    found = []
    for learned, tested in pairs:
        count = known.get((learned.name, tested.name))
        if count is not None and count.data == pair_digest(learned, tested):
            found.append(count)
    return LeakageSummary(study, len(pairs), tuple(found))


def read_leakage(study: str, results: str | Path) -> list[SharedCount]:
    """Return what was found for a study; nothing when it was never compared.

    Raises HarnessError when the file is not such a list.
    """
    path = leakage_path(study, results)
    try:
        return [SharedCount(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))]
    except FileNotFoundError:
        return []
    except (ValueError, TypeError) as error:
        raise HarnessError(f"{path} is damaged: remove it and run `harness data leakage {study}`") from error


def _cells(block: Block) -> Iterable[tuple[Any, Task]]:
    """Return the (source, target) of a block's rows, each pair once; the source is None where there is no such axis."""
    import numpy as np

    axes = {axis.name: position for position, axis in enumerate(block.axes)}
    if "target" not in axes or not len(block.rows):
        return []
    names = [name for name in ("target", "source") if name in axes]
    cells = np.unique(block.rows[:, [axes[name] for name in names]], axis=0).tolist()
    targets = block.axes[axes["target"]].values
    sources = block.axes[axes["source"]].values if "source" in axes else ()
    return [(sources[cell[1]] if sources else None, _task(targets[cell[0]])) for cell in cells]


def _task(value: object) -> Task:
    if not isinstance(value, Task):
        raise TypeError(f"a target is a task, not {value!r}")
    return value
