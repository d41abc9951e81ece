"""Compares what a study learns from with what it is tested on, and writes down which examples both have.

Every split is read once for its fingerprints, which the cache keeps by data identity; pairs of tasks are then compared
by fingerprints alone.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from harness.errors import HarnessError
from harness.planning.leakage import LEARNED, TESTED, Pairs, SharedCount, leakage_path, pair_digest, used_pairs
from harness.tasks.base import Task

if TYPE_CHECKING:
    from harness.data.fingerprints import Prints
    from harness.data.leakage import Leakage, Pair
    from harness.study import Expansion, Study

FEWEST_KEPT: Final = 8
MOST_KEPT: Final = 60
"""Pairs of examples kept for showing, of each pair of tasks: the fewer, the more pairs of tasks there are."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Compared:
    """Two tasks and what was found between the one's training examples and the other's test examples."""

    learned: Task
    tested: Task
    found: Leakage

    def count(self) -> SharedCount:
        """Return the counts alone, as they are written down."""
        digest = pair_digest(self.learned, self.tested)
        found = self.found
        return SharedCount(self.learned.name, self.tested.name, TESTED, found.exact, found.near, found.n_tested, digest)


def check_leakage(study: Study, expansion: Expansion, results: str | Path, say: Say | None = None) -> list[Compared]:
    """Compare all pairs of tasks that a study uses and write the counts into its results folder; return the findings.

    say: told of each split that must be read first. Raises HarnessError when data cannot be read.
    """
    found = compare_tasks(used_pairs(expansion.blocks), say)
    path = leakage_path(study.name, results)
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(json.dumps(dataclasses.asdict(one.count()), ensure_ascii=False) for one in found)
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    fresh.write_text(f"[\n{lines}\n]\n" if lines else "[]\n", encoding="utf-8")
    fresh.replace(path)
    return found


def compare_tasks(pairs: Pairs, say: Say | None = None) -> list[Compared]:
    """Compare the training examples of the first with the test examples of the second of each pair, in that order."""
    from harness.data.leakage import compare

    prints = _Prints(say or (lambda _: None))
    kept = max(FEWEST_KEPT, MOST_KEPT // max(1, len(pairs)))
    return [
        Compared(
            learned,
            tested,
            compare(
                (f"{learned.name} {LEARNED}", f"{tested.name} {TESTED}"),
                prints.of(learned, LEARNED),
                prints.of(tested, TESTED),
                kept,
            ),
        )
        for learned, tested in pairs
    ]


def closest(found: Sequence[Compared], most: int) -> list[tuple[Compared, Pair]]:
    """Return pairs of examples to look at: of each pair of tasks in turn the closest one, then the next, up to `most`.

    Those with exact duplicates, and then those with the largest shares, come first.
    """
    ordered = sorted(found, key=lambda one: (-min(1, one.found.exact), -one.found.share))
    ranks = [(rank, place) for place, one in enumerate(ordered) for rank in range(len(one.found.pairs))]
    return [(ordered[place], ordered[place].found.pairs[rank]) for rank, place in sorted(ranks)[:most]]


class _Prints:
    """The fingerprints of splits, each fetched once."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._held: dict[tuple[Task, str], Prints] = {}

    def of(self, task: Task, split: str) -> Prints:
        """Return the fingerprints of one split of a task."""
        if (task, split) not in self._held:
            self._held[task, split] = self._fetched(task, split)
        return self._held[task, split]

    def _fetched(self, task: Task, split: str) -> Prints:
        from harness.data.fingerprints import kept
        from harness.graph.code import CodeDigests

        def load() -> Any:
            self._say(f"reading {task.name} {split} ({task.sizes[split]:,} examples)")
            return task.split(split).inputs

        # The identities of our own tasks change with what their code gives; a user's code may change without.
        own = [name for name in task.modules() if not name.startswith("harness.")]
        code = CodeDigests(own).of(own).digest if own else ""
        identity: Mapping[str, Any] = {"task": task.identity(), "split": split, "code": code}
        try:
            return kept(identity, load)
        except HarnessError:
            raise
        except Exception as error:
            raise HarnessError(
                f"task {task.name!r}: split {split!r} cannot be read: {type(error).__name__}: {error}"
            ) from error
