"""A recipe in a grid: every parameter that it declares, coerced to its annotation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.graph.canonical import ArgumentError, coerce
from harness.signatures import SOURCE_PREFIX, Parameter
from harness.study.document import KeyPath
from harness.study.labels import key_of
from harness.study.matching import Claims
from harness.study.model import Bound, BoundAxis, Change, Given, NamedAxis, Recipe, Role, SourceEntry
from harness.study.names import Failed, Names
from harness.study.scalars import Scalar
from harness.study.schema import TuneSection
from harness.study.scopes import spoken
from harness.study.tuning import Candidate, TuneRule


@dataclass(frozen=True)
class Tune:
    """A ``tune:`` section with its candidates listed, not yet coerced to any recipe."""

    section: TuneSection
    candidates: Sequence[Candidate]
    per: tuple[str, ...] | None
    path: KeyPath

    def keyword(self, name: str) -> str:
        """Return the recipe keyword of a tuned parameter."""
        return SOURCE_PREFIX + name if self.section.scope == "source" else name

    def keywords(self) -> frozenset[str]:
        """Return all recipe keywords that some candidate sets."""
        return frozenset(self.keyword(name) for candidate in self.candidates for name in candidate)


@dataclass(frozen=True)
class Offer:
    """What a grid offers its recipes."""

    axes: Sequence[NamedAxis]
    params: Mapping[str, Given]
    changes: Sequence[Change]
    tune: Tune | None


class Binder:
    """Binds recipes to what a grid offers, and tells which of it found a taker."""

    def __init__(self, offer: Offer, names: Names, claims: Claims) -> None:
        self.offer = offer
        self.names = names
        self.claims = claims
        self._axes = {column: axis for axis in offer.axes for column in axis.columns}
        self._tuned = offer.tune.keywords() if offer.tune is not None else frozenset()

    def bind(
        self,
        role: Role,
        recipe: Recipe,
        baseline: str | None = None,
        source: SourceEntry | None = None,
        has_own_method: bool = False,
    ) -> Bound | None:
        """Return the recipe with its parameters, or None when some are wrong; what is wrong is reported."""
        params: dict[str, Any] = {}
        labels: dict[str, Scalar] = {}
        axes: dict[str, BoundAxis] = {}
        sound = True
        for keyword, parameter in recipe.parameters.items():
            self._accept(keyword)
            try:
                given = recipe.fixed.get(keyword)
                axis = self._axes.get(keyword) if given is None else None
                given = given or (self.offer.params.get(keyword) if axis is None else None)
                if given is not None:
                    params[keyword], labels[keyword] = self._coerced(given, parameter)
                elif axis is not None:
                    axes[keyword] = self._bound_axis(axis, parameter, recipe)
                elif parameter.required and keyword not in self._tuned:
                    message = f"{recipe.entry.name!r} needs the parameter {spoken(keyword)!r}, under params or axes"
                    raise self.names.fail(recipe.path, message)
            except Failed:
                sound = False
        changes, tune = self._changes(recipe), self._tune(role, recipe, source)
        if not sound or changes is None:
            return None
        return Bound(role, recipe, params, labels, axes, changes, tune, baseline, source, has_own_method)

    def _accept(self, keyword: str) -> None:
        if keyword in self._axes:
            self.claims.accept(self._axes[keyword].path)
        if keyword in self.offer.params:
            self.claims.accept(self.offer.params[keyword].path)
        for change in self.offer.changes:
            if keyword in change.values:
                self.claims.accept(change.values[keyword].path)
        if self.offer.tune is not None and keyword in self._tuned:
            for path in tuned_paths(self.offer.tune, keyword):
                self.claims.accept(path)

    def _coerced(self, given: Given, parameter: Parameter) -> tuple[Any, Scalar]:
        return self.names.value(given.value, parameter.annotation, spoken(parameter.keyword), given.path)

    def _bound_axis(self, axis: NamedAxis, parameter: Parameter, recipe: Recipe) -> BoundAxis:
        values: list[Any] = []
        labels: list[Scalar] = []
        failed: Failed | None = None
        for index, (raw, label) in enumerate(zip(axis.values, axis.labels, strict=True)):
            try:
                value, own = self._axis_value(raw, label, parameter, recipe, (*axis.path, index))
                values.append(value)
                labels.append(own)
            except Failed as error:
                failed = error
        if failed is not None:
            raise failed
        return BoundAxis(tuple(values), tuple(labels), values[0] if parameter.required else parameter.default)

    def _axis_value(
        self, raw: Any, label: Scalar, parameter: Parameter, recipe: Recipe, path: KeyPath
    ) -> tuple[Any, Scalar]:
        if not hasattr(raw, "identity"):
            return self.names.value(raw, parameter.annotation, spoken(parameter.keyword), path)
        try:
            return coerce(raw, parameter.annotation), label
        except ArgumentError as error:
            message = f"{spoken(parameter.keyword)} of {recipe.entry.name!r} {error}"
            raise self.names.fail(path[:-1], message.split(", not ")[0]) from None

    def _changes(self, recipe: Recipe) -> tuple[Mapping[str, tuple[Any, Scalar]], ...] | None:
        """Coerce what each override sets; None when some of it is wrong."""
        found: list[Mapping[str, tuple[Any, Scalar]]] = []
        sound = True
        for change in self.offer.changes:
            values: dict[str, tuple[Any, Scalar]] = {}
            for keyword, given in change.values.items():
                try:
                    if keyword in recipe.parameters and keyword not in self._axes and keyword not in self._tuned:
                        values[keyword] = self._coerced(given, recipe.parameters[keyword])
                except Failed:
                    sound = False
            found.append(values)
        return tuple(found) if sound else None

    def _tune(self, role: Role, recipe: Recipe, source: SourceEntry | None) -> TuneRule | None:
        """Return the selection rule of a recipe, or None when nothing that it declares is tuned."""
        tune = self.offer.tune
        if tune is None or role == "estimator":
            return None
        if tune.section.scope == "source" and source is not None and not source.is_trained:
            return None
        candidates: dict[Any, dict[str, Any]] = {}
        for candidate in tune.candidates:
            coerced: dict[str, Any] = {}
            key = []
            for name, (value, path) in candidate.items():
                keyword = tune.keyword(name)
                if keyword not in recipe.parameters or keyword in recipe.fixed:
                    continue
                try:
                    coerced[keyword], label = self._coerced(Given(value, path), recipe.parameters[keyword])
                except Failed:
                    return None
                key.append((keyword, key_of(label)))
            if coerced:
                candidates.setdefault(tuple(sorted(key)), coerced)
        if not candidates:
            return None
        rule = tune.section
        return TuneRule(
            tuple(candidates.values()), rule.scope, tune.per, rule.seeds, rule.metric, rule.refit, rule.audit
        )


def tuned_paths(tune: Tune, keyword: str) -> list[KeyPath]:
    """Return where the candidates set a keyword, once for a product, once a candidate for a list."""
    items = [item for candidate in tune.candidates for item in candidate.items()]
    paths = [path for name, (_, path) in items if tune.keyword(name) == keyword]
    return list(dict.fromkeys(path[:-1] if isinstance(path[-1], int) else path for path in paths))
