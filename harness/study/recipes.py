"""Methods, estimators and baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.errors import HarnessError, suggest
from harness.registry import ESTIMATORS, METHODS
from harness.study.binding import Binder, Offer
from harness.study.document import KeyPath
from harness.study.layers import Layers
from harness.study.model import Bound, Given, Recipe, SourceEntry
from harness.study.names import Failed
from harness.study.scalars import Scalar
from harness.study.schema import Baseline
from harness.study.scopes import scoped, spoken

BaselineEntry = tuple[str, SourceEntry, Recipe | None]
"""Name, source, and the method of its own if it has one."""


def resolve_recipes(layers: Layers, key: str, kind: str, required: bool) -> tuple[Recipe, ...]:
    """Return the methods or the estimators that stand under ``key``."""
    items, path = layers.pick(key)
    if items is None:
        if required:
            layers.missing(key)
        return ()
    return layers.shared.cached(key, path, lambda: _recipe_list(layers, items, path, kind))


def _recipe_list(layers: Layers, items: Sequence[Any], path: KeyPath, kind: str) -> tuple[Recipe, ...]:
    found: list[tuple[Scalar, Recipe, KeyPath]] = []
    for index, item in enumerate(items):
        try:
            recipe = _recipe(layers, item, (*path, index), kind)
            found.append((recipe.label, recipe, (*path, index)))
        except Failed:
            layers.reporter.taint((*path, index))
    return layers.unique(found, f"{kind}s")


def _recipe(layers: Layers, item: Any, path: KeyPath, kind: str) -> Recipe:
    """Return the recipe of ``name`` or of ``{method: name, parameter: value, as: label}``."""
    registry = ESTIMATORS if kind == "estimator" else METHODS
    own: Mapping[str, Any] = item if isinstance(item, Mapping) else {kind: item}
    name_path = (*path, kind) if isinstance(item, Mapping) else path
    label = own.get("as", own[kind])
    try:
        entry = registry.get(own[kind])
    except HarnessError as error:
        layers.names.lose(label)
        raise layers.names.fail(name_path, str(error)) from None
    fixed: dict[str, Given] = {}
    for given in scoped(own, path, layers.reporter, skip=(kind, "as")):
        known = [column for column in given.columns if column in entry.parameters]
        if not known:
            near = suggest(spoken(given.columns[0]), map(spoken, entry.parameters))
            layers.reporter.add(given.path, f"{kind} {entry.name!r} has no parameter {given.spoken()}{near}")
        fixed.update({column: Given(given.value, given.path) for column in known})
    recipe = Recipe(label, entry, fixed, path, kind == "estimator")
    layers.names.one_meaning(kind, label, entry.name, path)
    layers.shared.recipes.setdefault(label, recipe)
    return recipe


def resolve_baselines(layers: Layers) -> list[BaselineEntry]:
    """Return the baselines of all layers; a grid's own takes the place of a shared one of its name."""
    declared: dict[str, tuple[Baseline, KeyPath]] = {}
    for section, path in layers.all("baselines"):
        declared.update({name: (baseline, (*path, name)) for name, baseline in section.items()})
    found = []
    for name, (baseline, path) in declared.items():
        try:
            entries = list(layers.names.sources(baseline.source, (*path, "source")))
            if len(entries) != 1 or entries[0].per_target:
                raise layers.names.fail((*path, "source"), f"the baseline {name!r} must have one source")
            method = baseline.method
            recipe = None if method is None else _recipe(layers, method, (*path, "method"), "method")
            found.append((name, entries[0], recipe))
        except Failed:
            layers.reporter.taint(path)
    return found


def bind_recipes(
    layers: Layers,
    methods: Sequence[Recipe],
    estimators: Sequence[Recipe],
    baselines: Sequence[BaselineEntry],
    offer: Offer,
) -> tuple[Bound, ...]:
    """Return every recipe in every role, bound to what the grid offers."""
    binder = Binder(offer, layers.names, layers.claims)
    found = [binder.bind("outcome", recipe) for recipe in methods]
    for name, source, own in baselines:
        recipes = methods if own is None else (own,)
        found += [binder.bind("baseline", recipe, name, source, own is not None) for recipe in recipes]
    found += [binder.bind("estimator", recipe) for recipe in estimators]
    if None in found:
        layers.reporter.taint(("methods",))
    return tuple(bound for bound in found if bound is not None)
