"""What resolving a grid needs: its layers (the shared top level, its own entry) and what all grids share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from harness.study.document import KeyPath
from harness.study.labels import key_of
from harness.study.matching import Claims, Vocabulary
from harness.study.model import Recipe
from harness.study.names import Names
from harness.study.scalars import Scalar
from harness.study.schema import GridFields
from harness.study.structure import Reporter, shown

T = TypeVar("T")
Layer = tuple[GridFields, KeyPath]
Only = tuple[str, list[Any], KeyPath]
"""A restriction of the grid: axis, values, and the path by which problems name it."""


@dataclass
class Shared:
    """What the grids of a study share while they are resolved."""

    reporter: Reporter
    names: Names
    claims: Claims
    only: Sequence[Only]
    recipes: dict[str, Recipe] = field(default_factory=dict)
    vocabularies: list[Vocabulary] = field(default_factory=list)
    _cache: dict[tuple[str, KeyPath], Any] = field(default_factory=dict)

    def cached(self, what: str, path: KeyPath, make: Callable[[], T]) -> T:
        """Return what ``make`` made when it was first asked for what stands at ``path``."""
        if (what, path) not in self._cache:
            self._cache[what, path] = make()
        found: T = self._cache[what, path]
        return found

    def labels(self) -> dict[str, set[Scalar]]:
        """Return all labels of all grids by column."""
        found: dict[str, set[Scalar]] = {}
        for vocabulary in self.vocabularies:
            for column, labels in vocabulary.items():
                found.setdefault(column, set()).update(labels)
        return found


@dataclass(frozen=True)
class Layers:
    """One grid at ``path``: what is shared at the top level, then its own entry."""

    shared: Shared
    path: KeyPath
    stack: Sequence[Layer]

    @property
    def reporter(self) -> Reporter:
        """Where problems go."""
        return self.shared.reporter

    @property
    def names(self) -> Names:
        """What resolves names."""
        return self.shared.names

    @property
    def claims(self) -> Claims:
        """What some grid must accept."""
        return self.shared.claims

    def pick(self, name: str) -> tuple[Any, KeyPath]:
        """Return (value, path) of a key from the last layer that gives it; (None, path of the grid) when none does."""
        for fields, path in reversed(self.stack):
            value = getattr(fields, name)
            if value is not None and name in fields.model_fields_set:
                return value, (*path, name)
        return None, (*self.path, name)

    def all(self, name: str) -> list[tuple[Any, KeyPath]]:
        """Return (value, path) of a key for every layer that gives it, the shared one first."""
        found = [(getattr(fields, name), (*path, name)) for fields, path in self.stack]
        return [(value, path) for value, path in found if value]

    def missing(self, key: str) -> None:
        """Report a key that no layer gives, unless one did and it was broken."""
        if not any(self.reporter.is_tainted((*path, key)) for _, path in self.stack):
            self.reporter.add_at(self.reporter.document.place(self.path), f"the key {key!r} is missing")

    def unique(self, found: Iterable[tuple[Scalar, T, KeyPath]], axis: str) -> tuple[T, ...]:
        """Return the values of (label, value, path) triples; report labels that stand twice."""
        kept: dict[Any, T] = {}
        for label, value, path in found:
            if key_of(label) in kept:
                self.reporter.add_at(
                    self.reporter.document.place(path), f"{shown(label)} stands twice among the {axis}"
                )
            kept.setdefault(key_of(label), value)
        return tuple(kept.values())
