"""The second half of validation: names, axes and rules of every grid, resolved against the registries."""

from __future__ import annotations

from harness.methods.base import CheckpointRule, Numerics
from harness.study.binding import Offer
from harness.study.cell_axes import resolve_backbones, resolve_seeds, resolve_sources, resolve_targets
from harness.study.layers import Layer, Layers, Shared
from harness.study.matching import Matcher
from harness.study.model import Grid
from harness.study.named_axes import claim_parameters, known_parameters, resolve_axes_and_params, resolve_zips
from harness.study.recipes import bind_recipes, resolve_baselines, resolve_recipes
from harness.study.rules import (
    make_vocabulary,
    resolve_changes,
    resolve_excludes,
    resolve_includes,
    resolve_only,
    resolve_pairs,
    resolve_tune,
)
from harness.study.schema import StudyFile


def resolve_grids(file: StudyFile, shared: Shared) -> tuple[Grid, ...]:
    """Return the grids that can be expanded; what is wrong with the others has been reported."""
    top: Layer = (file, ())
    stacks = [Layers(shared, (), (top,))]
    if file.grids is not None:
        entries = [(entry, ("grids", index)) for index, entry in enumerate(file.grids)]
        stacks = [Layers(shared, path, (top, (entry, path))) for entry, path in entries]
    made = [_grid(layers) for layers in stacks]
    return tuple(grid for grid in made if grid is not None)


def _grid(layers: Layers) -> Grid | None:
    """Return one grid, or None when it lacks something without which it cannot be expanded."""
    sources, targets, backbones = resolve_sources(layers), resolve_targets(layers), resolve_backbones(layers)
    methods = resolve_recipes(layers, "methods", "method", required=layers.pick("estimators")[0] is None)
    estimators = resolve_recipes(layers, "estimators", "estimator", required=False)
    baselines = resolve_baselines(layers)
    seeds = resolve_seeds(layers)
    axes, params = resolve_axes_and_params(layers)
    recipes = methods + estimators
    known = known_parameters([*recipes, *(own for _, _, own in baselines if own is not None)])
    vocabulary = make_vocabulary(sources, targets, backbones, recipes, seeds, axes, baselines)
    layers.shared.vocabularies.append(vocabulary)
    matcher = Matcher(vocabulary, layers.names, layers.claims)
    changes = resolve_changes(layers, matcher, axes, known)
    tune = resolve_tune(layers, vocabulary, axes, changes, known)
    bound = bind_recipes(layers, methods, estimators, baselines, Offer(axes, params, changes, tune))
    claim_parameters(layers, known, axes, params)
    pairs, zips = resolve_pairs(layers, sources, targets), resolve_zips(layers, axes)
    includes, excludes = resolve_includes(layers, matcher), resolve_excludes(layers, matcher)
    only = resolve_only(layers, matcher)
    if not targets or not backbones or not bound:
        layers.reporter.taint((*layers.path, "methods"))
        return None
    return Grid(
        path=layers.path,
        sources=sources,
        targets=targets,
        backbones=backbones,
        seeds=seeds,
        axes=axes,
        pairs=pairs,
        zips=zips,
        includes=includes,
        only=only,
        excludes=excludes,
        changes=changes,
        bound=bound,
        numerics=_numerics(layers),
        checkpoint=_checkpoint(layers),
    )


def _numerics(layers: Layers) -> Numerics:
    section, _ = layers.pick("numerics")
    return Numerics() if section is None else Numerics(**section.model_dump())


def _checkpoint(layers: Layers) -> CheckpointRule:
    section, _ = layers.pick("checkpoint")
    return CheckpointRule() if section is None else CheckpointRule(**section.model_dump())
