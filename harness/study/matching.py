"""Matches: ``{source: a, target: [b, c], shots: 5}``, checked against the axes and values that there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.errors import suggest
from harness.study.document import KeyPath
from harness.study.labels import Key, key_of
from harness.study.model import Match
from harness.study.names import Names
from harness.study.scalars import Scalar
from harness.study.scopes import column_of, scoped, spoken
from harness.study.structure import Reporter, shown

Vocabulary = Mapping[str, Sequence[Scalar]]
"""Column -> the labels that it has in a grid, baselines included."""


_UNSETTLING = ("methods", "estimators", "baselines", "axes", "pairs", "zip", "include")
"""Sections without which it cannot be said what a rule would have matched."""


@dataclass(frozen=True)
class _Claim:
    message: str
    rule: bool
    after: tuple[KeyPath, ...]


class Claims:
    """Things that must hold in at least one of the grids that share them."""

    def __init__(self) -> None:
        self._claims: dict[KeyPath, _Claim] = {}
        self._accepted: set[KeyPath] = set()

    def claim(self, path: KeyPath, message: str, rule: bool = False, after: tuple[KeyPath, ...] = ()) -> None:
        """State what is wrong with ``path`` should no grid accept it.

        rule: ``path`` is a rule that must match a cell. after: other claims, without which this one says nothing.
        """
        self._claims.setdefault(path, _Claim(message, rule, after))

    def accept(self, path: KeyPath) -> None:
        """Say that a grid accepts ``path``."""
        self._accepted.add(path)

    def report(self, reporter: Reporter) -> None:
        """Report what no grid accepted, one sentence for a rule and what is inside it."""
        failed = {path: claim for path, claim in self._claims.items() if path not in self._accepted}
        unsettled = reporter.is_tainted_section(_UNSETTLING)
        for path, claim in failed.items():
            if (
                not self._is_inside(path, failed)
                and not any(other in failed for other in claim.after)
                and not (unsettled and (claim.rule or claim.after))
            ):
                reporter.add(path, claim.message)

    @staticmethod
    def _is_inside(path: KeyPath, failed: Mapping[KeyPath, _Claim]) -> bool:
        """Whether something inside ``path`` failed of itself."""
        inside = (other for other in failed if len(other) > len(path) and other[: len(path)] == path)
        return any(not failed[other].after for other in inside)


class Matcher:
    """Resolves the matches of one grid."""

    def __init__(self, vocabulary: Vocabulary, names: Names, claims: Claims) -> None:
        self.vocabulary = vocabulary
        self.names = names
        self.claims = claims
        self._keys = {column: {key_of(label): label for label in labels} for column, labels in vocabulary.items()}

    def match(self, data: Mapping[str, Any], path: KeyPath, rule: KeyPath) -> Match:
        """Return the match that stands at ``path`` and belongs to the rule at ``rule``."""
        reporter = self.names.reporter
        terms: dict[str, frozenset[Key]] = {}
        if not data:
            reporter.add(path, "this match names no axis, so it would match every cell")
        blocks = {key: value for key, value in data.items() if isinstance(value, Mapping)}
        for key, value in data.items():
            if key not in blocks:
                self._term(column_of(key), key, value, (*path, key), rule, terms)
        for item in scoped(blocks, path, reporter):
            self._term(item.columns[0], spoken(item.columns[0]), item.value, item.path, rule, terms)
        return Match(terms, rule)

    def _term(
        self, column: str, name: str, value: Any, path: KeyPath, rule: KeyPath, terms: dict[str, frozenset[Key]]
    ) -> None:
        reporter = self.names.reporter
        if isinstance(value, Mapping):
            reporter.add(path, f"{name} in a match must be a value or a list of values, not a mapping")
            return
        values = value if isinstance(value, list) else [value]
        if not values:
            reporter.add(path, f"the list of values for {name} is empty")
        if column not in self.vocabulary:
            terms[column] = frozenset(key_of(item) for item in values)
            if reporter.is_tainted_name(name.rpartition(".")[2]):
                self.claims.accept(path)
                self.claims.accept(rule)
            self.claims.claim(path, f"unknown axis {name!r}{suggest(name, map(spoken, self.vocabulary))}")
            return
        self.claims.accept(path)
        keys = [self._value(column, name, item, (*path, index), rule) for index, item in enumerate(values)]
        terms[column] = frozenset(keys)

    def _value(self, column: str, name: str, value: Any, path: KeyPath, rule: KeyPath) -> Key:
        known = self._keys[column]
        if isinstance(value, str) and key_of(value) not in known and column in ("source", "target"):
            value = self.names.canonical_task(value)
        key = key_of(value)
        if key in known or self.names.is_lost(value):
            self.claims.accept(path)
        if self.names.is_lost(value):
            self.claims.accept(rule)
        labels = [str(label) for label in self.vocabulary[column]]
        near = suggest(str(value), labels)
        self.claims.claim(path, f"the axis {name!r} has no value {shown(value)}{near}")
        return key
