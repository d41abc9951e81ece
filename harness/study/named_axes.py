"""Axes of a study's own, fixed parameters, and axes that advance together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.errors import suggest
from harness.study.document import KeyPath
from harness.study.labels import key_of, label_of
from harness.study.layers import Layers
from harness.study.model import Given, NamedAxis, Recipe
from harness.study.names import Failed, typed_kinds
from harness.study.scalars import Scalar
from harness.study.scopes import TABLE_COLUMNS, Scoped, column_of, scoped, spoken
from harness.study.structure import shown


def resolve_axes_and_params(layers: Layers) -> tuple[tuple[NamedAxis, ...], dict[str, Given]]:
    """Merge the layers: what a grid says of a parameter, as axis or fixed, takes the place of what is shared."""
    axes: dict[str, NamedAxis] = {}
    params: dict[str, Given] = {}
    for fields, path in layers.stack:
        seen: dict[str, Scoped] = {}
        for given in scoped(fields.axes, (*path, "axes"), layers.reporter):
            axis = _cached_axis(layers, given)
            for column in _first(layers, given, seen):
                params.pop(column, None)
                axes.pop(column, None)
                if axis is not None:
                    axes[column] = axis
        for given in scoped(fields.params, (*path, "params"), layers.reporter):
            for column in _first(layers, given, seen):
                axes.pop(column, None)
                params[column] = Given(given.value, given.path)
    return _with_columns(axes), params


def _with_columns(axes: Mapping[str, NamedAxis]) -> tuple[NamedAxis, ...]:
    """Return each axis once, with the columns that are still its own."""
    named: dict[KeyPath, NamedAxis] = {}
    for column, axis in axes.items():
        kept = named.get(axis.path)
        columns = (*kept.columns, column) if kept is not None else (column,)
        named[axis.path] = NamedAxis(columns, axis.values, axis.labels, axis.path)
    return tuple(named.values())


def _first(layers: Layers, given: Scoped, seen: dict[str, Scoped]) -> list[str]:
    """Return the columns of ``given`` that its layer has not set yet; report the others."""
    fresh = []
    for column in given.columns:
        other = seen.setdefault(column, given)
        if other is given:
            fresh.append(column)
        else:
            line = layers.reporter.document.place(other.path).line
            layers.reporter.add(given.path, f"{spoken(column)!r} was already set on line {line}")
    return fresh


# --- one axis ---------------------------------------------------------------------------------------------------------


def _cached_axis(layers: Layers, given: Scoped) -> NamedAxis | None:
    def make() -> NamedAxis | None:
        try:
            return _axis(layers, given)
        except Failed:
            layers.reporter.taint(given.path)
            return None

    return layers.shared.cached("axis", given.path, make)


def _axis(layers: Layers, given: Scoped) -> NamedAxis:
    """Return the axis of ``[values]`` or ``{type: ..., values: [...]}``. Raises Failed after reporting why not."""
    fail, name = layers.names.fail, given.spoken()
    kind, values, path = _form(layers, given)
    taken = [column for column in given.columns if column in TABLE_COLUMNS]
    if taken:
        raise fail(given.path, f"an axis cannot be called {taken[0]!r}; the tables have a column of that name")
    if isinstance(values, Mapping):
        raise fail(path, f"the axis {name} must be a list, not a mapping")
    if not isinstance(values, list):
        hint = "" if values is None else f" (write [{values}], or use params)"
        raise fail(path, f"the axis {name} must be a list, not {shown(values)}{hint}")
    if not values:
        raise fail(path, f"the axis {name} is empty")
    found: list[tuple[Any, Scalar]] = []
    failed: Failed | None = None
    for index, value in enumerate(values):
        try:
            own = (value, label_of(value)) if kind is None else layers.names.typed_value(kind, value, (*path, index))
            found.append(own)
        except Failed as error:
            failed = error
    if failed is not None:
        raise failed
    return NamedAxis(given.columns, tuple(value for value, _ in found), tuple(label for _, label in found), path)


def _form(layers: Layers, given: Scoped) -> tuple[str | None, Any, KeyPath]:
    """Return (type, values, path of the values)."""
    if not isinstance(given.value, Mapping):
        return None, given.value, given.path
    fail, name = layers.names.fail, given.spoken()
    for key in given.value:
        if key not in ("type", "values"):
            near = suggest(key, ("type", "values"))
            raise fail((*given.path, key), f"the axis {name} has an unknown key {key!r}{near}")
    kind = given.value.get("type")
    if kind not in typed_kinds():
        near = suggest(str(kind), typed_kinds())
        raise fail((*given.path, "type"), f"the axis {name} cannot be of type {shown(kind)}{near}")
    if "values" not in given.value:
        raise fail(given.path, f"the axis {name} needs the key 'values'")
    return kind, given.value["values"], (*given.path, "values")


# --- who declares it --------------------------------------------------------------------------------------------------


def claim_parameters(
    layers: Layers, known: Sequence[str], axes: Sequence[NamedAxis], params: Mapping[str, Given]
) -> None:
    """State, for every axis and parameter, what is wrong should no recipe of any grid declare it."""
    wanted = [(axis.name, axis.path) for axis in axes] + [(name, given.path) for name, given in params.items()]
    for column, path in wanted:
        claim_parameter(layers, spoken(column), known, path)


def known_parameters(recipes: Iterable[Recipe]) -> list[str]:
    """Return what recipes declare, as a study writes it."""
    return sorted({spoken(keyword) for recipe in recipes for keyword in recipe.parameters})


def claim_parameter(layers: Layers, name: str, known: Iterable[str], path: KeyPath) -> None:
    """State that no recipe declares the parameter that stands at ``path``."""
    if not layers.reporter.is_tainted_section(("methods", "estimators", "baselines")):
        message = f"no method or estimator here has a parameter {name!r}{suggest(name, known)}"
        layers.claims.claim(path, message)


# --- axes that advance together ---------------------------------------------------------------------------------------


def resolve_zips(layers: Layers, axes: Sequence[NamedAxis]) -> tuple[tuple[str, ...], ...]:
    """Return groups of names of axes that advance together."""
    groups, path = layers.pick("zip")
    by_column = {column: axis for axis in axes for column in axis.columns}
    zipped: set[str] = set()
    found: list[tuple[str, ...]] = []
    for index, group in enumerate(groups or ()):
        names = _zipped(layers, group, (*path, index), by_column, zipped)
        sizes = {name: len(by_column[name].values) for name in names}
        if len(set(sizes.values())) > 1:
            lengths = ", ".join(f"{spoken(name)} has {size}" for name, size in sizes.items())
            layers.reporter.add((*path, index), f"zipped axes need the same number of values, but {lengths}")
        elif len(names) > 1:
            found.append(tuple(names))
    _report_repeated(layers, axes, found)
    return tuple(found)


def _zipped(
    layers: Layers, group: Sequence[str], path: KeyPath, by_column: Mapping[str, NamedAxis], zipped: set[str]
) -> list[str]:
    names: list[str] = []
    for position, name in enumerate(group):
        axis = by_column.get(column_of(name))
        if axis is None:
            if not layers.reporter.is_tainted_name(name.rpartition(".")[2]):
                near = suggest(name, map(spoken, by_column))
                layers.reporter.add((*path, position), f"zip names the unknown axis {name!r}{near}")
        elif axis.name in zipped:
            layers.reporter.add((*path, position), f"the axis {name!r} is zipped twice")
        else:
            zipped.add(axis.name)
            names.append(axis.name)
    return names


def _report_repeated(layers: Layers, axes: Sequence[NamedAxis], zips: Sequence[tuple[str, ...]]) -> None:
    """Report a value that stands twice in an axis, or a combination that stands twice in zipped ones."""
    by_name = {axis.name: axis for axis in axes}
    zipped = {name for group in zips for name in group}
    for names in [*zips, *((name,) for name in by_name if name not in zipped)]:
        members = [by_name[name] for name in names]
        seen: set[Any] = set()
        for index, labels in enumerate(zip(*(axis.labels for axis in members), strict=True)):
            key = tuple(map(key_of, labels))
            if key in seen:
                value = " with ".join(shown(label) for label in labels)
                what = " and ".join(spoken(name) for name in names)
                layers.reporter.add((*members[0].path, index), f"{value} stands twice in the axis {what}")
            seen.add(key)
