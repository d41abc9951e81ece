"""The axes that every study has: sources, targets, backbones and seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.backbones.base import Backbone
from harness.study.document import KeyPath
from harness.study.layers import Layers
from harness.study.model import SeedPlan, SourceEntry
from harness.study.names import Failed
from harness.study.scalars import Scalar
from harness.study.schema import Seeds
from harness.tasks.base import Task


def resolve_sources(layers: Layers) -> tuple[SourceEntry, ...]:
    """Return the values of the source axis; ``none`` alone when the study gives none."""
    items, path = layers.pick("sources")
    if items is None:
        return (SourceEntry("none", None),)
    return layers.shared.cached("sources", path, lambda: _source_list(layers, items, path))


def _source_list(layers: Layers, items: Sequence[Any], path: KeyPath) -> tuple[SourceEntry, ...]:
    found: list[tuple[Scalar, SourceEntry, KeyPath]] = []
    for index, item in enumerate(items):
        try:
            found += [(entry.label, entry, (*path, index)) for entry in layers.names.sources(item, (*path, index))]
        except Failed:
            layers.reporter.taint((*path, index))
    for label, entry, at in found:
        layers.names.one_meaning("source", label, (str(entry.value), entry.tasks, entry.per_target, entry.groups), at)
    return layers.unique(found, "sources")


def resolve_targets(layers: Layers) -> tuple[Task, ...]:
    """Return the target tasks."""
    items, path = layers.pick("targets")
    if items is None:
        layers.missing("targets")
        return ()
    return layers.shared.cached("targets", path, lambda: _target_list(layers, items, path))


def _target_list(layers: Layers, items: Sequence[str], path: KeyPath) -> tuple[Task, ...]:
    found: list[tuple[Scalar, Task, KeyPath]] = []
    for index, item in enumerate(items):
        try:
            if item in ("none", "untrained"):
                raise layers.names.fail((*path, index), f"{item!r} is a source, not a target")
            task = layers.names.task(item, (*path, index))
            found.append((task.name, task, (*path, index)))
        except Failed:
            layers.reporter.taint((*path, index))
    return layers.unique(found, "targets")


def resolve_backbones(layers: Layers) -> tuple[tuple[str, Backbone], ...]:
    """Return (label, backbone) pairs."""
    items, path = layers.pick("backbones")
    if items is None:
        layers.missing("backbones")
        return ()
    return layers.shared.cached("backbones", path, lambda: _backbone_list(layers, items, path))


def _backbone_list(layers: Layers, items: Sequence[Any], path: KeyPath) -> tuple[tuple[str, Backbone], ...]:
    found: list[tuple[Scalar, tuple[str, Backbone], KeyPath]] = []
    for index, item in enumerate(items):
        try:
            label, backbone = layers.names.backbone(item, (*path, index))
            found.append((label, (label, backbone), (*path, index)))
        except Failed:
            layers.reporter.taint((*path, index))
    return layers.unique(found, "backbones")


def resolve_seeds(layers: Layers) -> SeedPlan:
    """Return the seeds of both stages."""
    seeds, path = layers.pick("seeds")
    if seeds is None:
        return SeedPlan()
    return layers.shared.cached("seeds", path, lambda: _seed_plan(layers, seeds, path))


def _seed_plan(layers: Layers, seeds: list[int] | Seeds, path: KeyPath) -> SeedPlan:
    if isinstance(seeds, list):
        layers.unique([(seed, seed, (*path, i)) for i, seed in enumerate(seeds)], "seeds")
        return SeedPlan(tuple(seeds), tuple(seeds))
    if seeds.source is None and seeds.target is None:
        layers.reporter.add(path, "seeds must give source, target or both")
        return SeedPlan()
    if not seeds.tie and (seeds.source is None or seeds.target is None):
        layers.reporter.add(path, "seeds that are not tied must give both source and target")
    source = seeds.source or seeds.target or []
    target = seeds.target or seeds.source or []
    for name, values in (("source", source), ("target", target)):
        if not (seeds.tie and name == "source" and source != target):
            layers.unique([(seed, seed, (*path, name, i)) for i, seed in enumerate(values)], f"{name} seeds")
    if seeds.combine == "weight_average":
        if seeds.tie:
            message = "weight_average is over source seeds that are not tied; set tie: false"
            layers.reporter.add((*path, "combine"), message)
        return SeedPlan(tuple(target), (tuple(source),), tied=False)
    if seeds.tie and len(source) != len(target):
        message = f"tied seeds need lists of the same length, not {len(source)} and {len(target)}; or set tie: false"
        layers.reporter.add(path, message)
        return SeedPlan()
    return SeedPlan(tuple(target), tuple(source), seeds.tie)
