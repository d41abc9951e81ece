"""Scopes: what acts on the source stage, on the target stage, or on both.

A recipe's keyword for the target's parameter ``steps`` is ``steps``, for the source's ``source_steps``; these keywords
are also the names of the columns. ``source: {steps: 5}`` in a study is the second of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harness.methods.base import TRIAL_AXES
from harness.signatures import SOURCE_PREFIX
from harness.study.document import KeyPath
from harness.study.schema import SCOPES
from harness.study.structure import Reporter, shown, written

CELL_AXES = (*TRIAL_AXES, "method")
"""The axes that every study has, by which cells may be matched."""

TABLE_COLUMNS = frozenset(
    (
        *CELL_AXES,
        *("study", "trial_id", "role", "baseline", "parent", "params", "task", "split", "metric", "value", "n_eval"),
        *("step", "status", "flags", "reason", "device", "threads", "width", "precision", "seconds", "key", "plan"),
        *("finished_at", "numerics", "checkpoint"),
    )
)
"""Columns of the tables that an axis of the study's own must not be called by."""


@dataclass(frozen=True)
class Scoped:
    """One named thing in a scope. ``columns``: the recipe keywords that it sets."""

    name: str
    scope: str
    value: Any
    path: KeyPath

    @property
    def columns(self) -> tuple[str, ...]:
        """The keywords: one, or for the scope ``both`` two."""
        of_source = SOURCE_PREFIX + self.name
        return {"target": (self.name,), "source": (of_source,), "both": (self.name, of_source)}[self.scope]

    def spoken(self) -> str:
        """Return its name as a sentence quotes it."""
        return repr(self.name if self.scope == "target" else f"{self.scope}.{self.name}")


def scoped(data: Mapping[str, Any], path: KeyPath, reporter: Reporter, skip: tuple[str, ...] = ()) -> Iterator[Scoped]:
    """Yield what a mapping holds, its ``source:``, ``target:`` and ``both:`` blocks opened.

    Reports a scope that is no mapping. ``skip``: keys that mean something else.
    """
    for key, value in data.items():
        at = (*path, key)
        if key in skip:
            continue
        if key not in SCOPES:
            yield Scoped(key, "target", value, at)
        elif isinstance(value, Mapping):
            yield from (Scoped(name, key, inner, (*at, name)) for name, inner in value.items())
        else:
            what = f"holds what acts on {'both stages' if key == 'both' else f'the {key} stage'}"
            reporter.add(at, f"{written(at)} {what} and must be a mapping, not {shown(value)}")


def spoken(column: str) -> str:
    """Return a column as a study writes it: ``source.steps`` for ``source_steps``."""
    if column.startswith(SOURCE_PREFIX) and column not in TRIAL_AXES:
        return f"source.{column.removeprefix(SOURCE_PREFIX)}"
    return column


def column_of(name: str) -> str:
    """Return the column of an axis as written in zip, per or ``--only``: of ``source.steps`` it is ``source_steps``."""
    scope, dot, rest = name.partition(".")
    return {"source": SOURCE_PREFIX, "target": "", "both": ""}[scope] + rest if dot and scope in SCOPES else name
