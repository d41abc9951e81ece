"""What tasks say about themselves (family, domain, split), and which pairs of source and target agree in it.

A resolved study holds it under ``task_attributes`` (task -> attribute -> value) and ``task_sets`` (a source that is a
set -> its ``tasks``, and whether the trial's own target is left out of it).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from analysis.columns import NONE_LABEL, label, labels
from harness.errors import HarnessError, suggest

LEFT_OUT = "left_out"
"""Column with the reason why a row counts for nothing in a matrix but as a reference; "" where it counts."""


@dataclass(frozen=True)
class TaskSet:
    """Members of a source that is a set; ``but_target``: without the target of the trial; ``groups``: its group of
    them."""

    tasks: tuple[str, ...]
    but_target: bool = False
    groups: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Attributes:
    """Attributes of tasks by name, and the members of sets by label."""

    tasks: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    sets: Mapping[str, TaskSet] = field(default_factory=dict)

    def names(self) -> list[str]:
        """All attributes that some task has, sorted."""
        return sorted({name for one in self.tasks.values() for name in one})

    def of(self, task: str, name: str) -> str:
        """A task's value of an attribute, "none" when it does not say."""
        return self.tasks.get(task, {}).get(name, NONE_LABEL)

    def members(self, source: str, target: str) -> tuple[str, ...]:
        """The tasks that a source stands for, in a trial with this target."""
        if source not in self.sets:
            return (source,)
        group = self.sets[source]
        if group.groups:
            return next((members for members in group.groups if target in members), ())
        return tuple(t for t in group.tasks if not (group.but_target and t == target))

    def related(self, source: str, target: str, name: str) -> bool:
        """Whether a task of the source is the target, or agrees with it in an attribute that both have."""
        mine = self.of(target, name)
        return any(
            task == target or (mine != NONE_LABEL and self.of(task, name) == mine)
            for task in self.members(source, target)
        )

    def require(self, name: str, use: str) -> None:
        """Raise HarnessError, naming the nearest attribute, unless some task has this one."""
        known = self.names()
        if not known:
            raise HarnessError(f"{use} names {name!r}, but these results hold no attributes of tasks: give the study's "
                               "file instead of its name.")  # fmt: skip
        if name not in known:
            raise HarnessError(f"{use} names {name!r}, which no task has as an attribute{suggest(name, known)}.")


def attributes_of(study: Mapping[str, Any], analysis: Mapping[str, Any] | None = None) -> Attributes:
    """The attributes that a resolved study holds; ``families`` of the study or analysis count as attribute family."""
    tasks: dict[str, dict[str, str]] = {}
    for task, found in (study.get("task_attributes") or {}).items():
        tasks[str(task)] = {str(name): label(value) for name, value in found.items()}
    for families in (study.get("families"), (analysis or {}).get("families")):
        for task, family in (families or {}).items():
            tasks.setdefault(str(task), {})["family"] = str(family)
    sets = {
        str(name): TaskSet(
            tuple(map(str, one["tasks"])),
            bool(one.get("but_target")),
            tuple(tuple(map(str, group)) for group in one.get("groups") or ()),
        )
        for name, one in (study.get("task_sets") or {}).items()
    }
    return Attributes(tasks, sets)


def as_written(study: Mapping[str, Any]) -> dict[str, Any]:
    """A resolved study without what its tasks say about themselves."""
    return {key: value for key, value in study.items() if key not in ("task_attributes", "task_sets")}


def related_pairs(sources: Iterable[str], targets: Iterable[str], attributes: Attributes, name: str) -> np.ndarray:
    """Whether each source [R] and each target [C] are related by an attribute: bool [R, C]."""
    columns = list(targets)
    found = [[attributes.related(source, target, name) for target in columns] for source in sources]
    return np.array(found, dtype=bool).reshape(-1, len(columns))


def counted(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows that ``left_out`` does not except."""
    return frame.loc[frame[LEFT_OUT] == ""] if LEFT_OUT in frame.columns else frame


def leave_out_related(frame: pd.DataFrame, attributes: Attributes, names: Iterable[str]) -> pd.DataFrame:
    """A copy with the column ``left_out``: why a row is not to count, for rows whose source and target are related."""
    source, target = labels(frame["source"]), labels(frame["target"])
    pairs = pd.DataFrame({"source": source, "target": target}).drop_duplicates()
    why: dict[tuple[str, str], str] = {}
    for a, b in pairs.itertuples(index=False, name=None):
        shared = [name for name in names if a != NONE_LABEL and attributes.related(a, b, name)]
        why[a, b] = f"source and target agree in {' and '.join(shared)}" if shared else ""
    texts = [why[pair] for pair in zip(source, target, strict=True)]
    return frame.assign(**{LEFT_OUT: pd.Series(texts, index=frame.index, dtype=object)})
