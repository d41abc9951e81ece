"""Rules about cells: pairs, include, exclude, overrides, selection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.backbones.base import Backbone
from harness.errors import suggest
from harness.study.binding import Tune, tuned_paths
from harness.study.document import KeyPath
from harness.study.labels import key_of
from harness.study.layers import Layers
from harness.study.matching import Matcher
from harness.study.model import Change, Exclusion, Given, Match, NamedAxis, Pairs, Recipe, SeedPlan, SourceEntry
from harness.study.named_axes import claim_parameter
from harness.study.recipes import BaselineEntry
from harness.study.scalars import Scalar
from harness.study.schema import PairRule
from harness.study.scopes import Scoped, column_of, scoped, spoken
from harness.study.tuning import list_candidates
from harness.tasks.base import Task


def make_vocabulary(
    sources: Sequence[SourceEntry],
    targets: Sequence[Task],
    backbones: Sequence[tuple[str, Backbone]],
    recipes: Sequence[Recipe],
    seeds: SeedPlan,
    axes: Sequence[NamedAxis],
    baselines: Sequence[BaselineEntry],
) -> dict[str, Sequence[Scalar]]:
    """Return the labels by which cells can be matched, by column; those of baselines are among them."""
    labels: dict[str, Sequence[Scalar]] = {
        "source": [*(entry.label for entry in sources), *(entry.label for _, entry, _ in baselines)],
        "target": [task.name for task in targets],
        "backbone": [label for label, _ in backbones],
        "method": [
            *(recipe.label for recipe in recipes),
            *(own.label for _, _, own in baselines if own is not None),
        ],
        "seed": seeds.seed,
        "source_seed": seeds.source_labels(),
    }
    return {**labels, **{column: axis.labels for axis in axes for column in axis.columns}}


def resolve_pairs(layers: Layers, sources: Sequence[SourceEntry], targets: Sequence[Task]) -> Pairs:
    """Return which source goes with which target."""
    pairs, path = layers.pick("pairs")
    if pairs is None:
        return Pairs()
    if isinstance(pairs, str):
        return Pairs(pairs)  # type: ignore[arg-type]  # the schema admits only the three words
    if isinstance(pairs, PairRule):
        return _attribute_pairs(layers, pairs, path, sources, targets)
    of_source = {key_of(entry.label): i for i, entry in enumerate(sources)}
    of_target = {key_of(task.name): i for i, task in enumerate(targets)}
    listed: dict[tuple[int, int], None] = {}
    for index, (source, target) in enumerate(pairs):
        at = (*path, index)
        found = (
            _pair_end(layers, source, "source", of_source, [str(s.label) for s in sources], (*at, 0)),
            _pair_end(layers, target, "target", of_target, [task.name for task in targets], (*at, 1)),
        )
        if found[0] is None or found[1] is None:
            continue
        if (found[0], found[1]) in listed:
            layers.reporter.add(at, f"the pair {source!r}, {target!r} stands twice")
        listed[found[0], found[1]] = None
    return Pairs(listed=tuple(listed))


def _pair_end(
    layers: Layers, name: str, axis: str, positions: Mapping[Any, int], labels: Sequence[str], path: KeyPath
) -> int | None:
    position = positions.get(key_of(name))
    if position is None:
        position = positions.get(key_of(layers.names.canonical_task(name)))
    if position is None:
        layers.reporter.taint(path)
        if not layers.names.is_lost(name):
            layers.reporter.add_at(
                layers.reporter.document.place(path),
                f"pairs names the {axis} {name!r}, not in {axis}s{suggest(name, labels)}",
            )
    return position


def _attribute_pairs(
    layers: Layers, rule: PairRule, path: KeyPath, sources: Sequence[SourceEntry], targets: Sequence[Task]
) -> Pairs:
    tasks = {task.name: task for entry in sources for task in entry.tasks} | {task.name: task for task in targets}
    known = sorted({name for task in tasks.values() for name in task.attributes})
    if rule.same is None and rule.differ is None:
        layers.reporter.add(path, "pairs must give same, differ or both")
    sound = True
    for way, names in (("same", rule.same or ()), ("differ", rule.differ or ())):
        for index, name in enumerate(names):
            without = next((task.name for task in tasks.values() if name not in task.attributes), None)
            if without is not None:
                sound = False
                near = suggest(name, known)
                layers.reporter.add((*path, way, index), f"the task {without!r} has no attribute {name!r}{near}")
    return Pairs(same=tuple(rule.same or ()), differ=tuple(rule.differ or ())) if sound else Pairs()


def resolve_includes(layers: Layers, matcher: Matcher) -> tuple[Match, ...]:
    """Return the matches of which a cell must fulfil one."""
    items, path = layers.pick("include")
    found = []
    for index, item in enumerate(items or ()):
        at = (*path, index)
        found.append(matcher.match(item.match, (*at, "match"), at))
        layers.claims.claim(at, "this include matches no cell", rule=True)
    return tuple(found)


def resolve_excludes(layers: Layers, matcher: Matcher) -> tuple[Exclusion, ...]:
    """Return the exclusions, the shared ones first."""
    found = []
    for items, path in layers.all("exclude"):
        for index, item in enumerate(items):
            at = (*path, index)
            found.append(Exclusion(matcher.match(item.match, (*at, "match"), at), item.reason))
            layers.claims.claim(at, "this exclude matches no cell", rule=True)
    return tuple(found)


def resolve_only(layers: Layers, matcher: Matcher) -> tuple[Match, ...]:
    """Return the restrictions given on the command line, all of which a cell must fulfil."""
    return tuple(matcher.match({axis: values}, path, path) for axis, values, path in layers.shared.only)


def resolve_changes(
    layers: Layers, matcher: Matcher, axes: Sequence[NamedAxis], known: Sequence[str]
) -> tuple[Change, ...]:
    """Return the overrides, the shared ones first."""
    columns = {column for axis in axes for column in axis.columns}
    found = []
    for items, path in layers.all("overrides"):
        for index, item in enumerate(items):
            at = (*path, index)
            if not item.set:
                layers.reporter.add((*at, "set"), "this override sets nothing")
            values: dict[str, Given] = {}
            for given in scoped(item.set, (*at, "set"), layers.reporter):
                for column in given.columns:
                    values[column] = Given(given.value, given.path)
                _claim_override(layers, given, columns, known, at)
            found.append(Change(matcher.match(item.match, (*at, "match"), at), values))
            layers.claims.claim(at, "this override matches no cell", rule=True)
    return tuple(found)


def _claim_override(layers: Layers, given: Scoped, columns: set[str], known: Sequence[str], rule: KeyPath) -> None:
    name = spoken(given.columns[0])
    if any(column in columns for column in given.columns):
        layers.reporter.add(given.path, f"{name!r} is an axis here; an override sets fixed parameters only")
    else:
        layers.claims.claim(given.path, f"no method or estimator here has a parameter {name!r}{suggest(name, known)}")
        layers.claims.claim((*given.path, "effect"), f"overriding {name!r} changes nothing", after=(rule, given.path))


def resolve_tune(
    layers: Layers,
    vocabulary: Mapping[str, Any],
    axes: Sequence[NamedAxis],
    changes: Sequence[Change],
    known: Sequence[str],
) -> Tune | None:
    """Return the selection within a cell, if any."""
    section, path = layers.pick("tune")
    if section is None:
        return None
    candidates = layers.shared.cached("tune", path, lambda: list_candidates(section, path, layers.reporter))
    for index, name in enumerate(section.per or ()):
        if column_of(name) not in vocabulary and not layers.reporter.is_tainted_name(name):
            near = suggest(name, map(spoken, vocabulary))
            layers.reporter.add((*path, "per", index), f"tune.per names the unknown axis {name!r}{near}")
    per = None if section.per is None else tuple(column_of(name) for name in section.per)
    tune = Tune(section, candidates, per, path)
    by_column = {column: axis for axis in axes for column in axis.columns}
    for keyword in sorted(tune.keywords()):
        name = spoken(keyword)
        for at in tuned_paths(tune, keyword)[:1]:
            if keyword in by_column:
                layers.reporter.add(at, f"{name!r} is tuned and also an axis")
            claim_parameter(layers, name, known, at)
        for change in changes:
            if keyword in change.values:
                at = change.values[keyword].path
                layers.reporter.add(at, f"{name!r} is tuned, so an override has no effect")
                layers.claims.accept((*at, "effect"))
    return tune
