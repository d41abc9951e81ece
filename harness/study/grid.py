"""Expansion: a study's grids as blocks of index rows, one block a grid, method and role.

Nothing here loops over rows in Python: pairs, products, matches and overrides are array operations on positions, with
a look-up table for every axis.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from harness.methods.base import CheckpointRule, Numerics
from harness.signatures import Parameter
from harness.study.identity import Column, Ids, drop_known, first_of_each, row_ids
from harness.study.labels import key_of
from harness.study.matching import Claims
from harness.study.model import Bound, Grid, Match, Role, Study
from harness.study.rows import (
    Mask,
    Pair,
    Positions,
    Table,
    TooManyRowsError,
    build_table,
    ordered_columns,
    pair_baseline,
    pair_sources,
    zips_apart,
)
from harness.study.scalars import Scalar
from harness.study.structure import Reporter
from harness.study.tuning import TuneRule


@dataclass(frozen=True)
class Axis:
    """One axis of a block.

    name: source, target, backbone, seed, source_seed, or the keyword of a parameter. values: resolved objects, given
    to the trial or the recipe. labels: what stands in columns and ids; None where the axis means nothing for a row.
    """

    name: str
    values: tuple[Any, ...]
    labels: tuple[Scalar, ...]


@dataclass(frozen=True)
class Settings:
    """What is fixed for a row: keyword arguments of the recipe, and their labels, beside the engine's own rules."""

    params: Mapping[str, Any]
    numerics: Numerics = field(default_factory=Numerics)
    checkpoint: CheckpointRule = field(default_factory=CheckpointRule)
    tune: TuneRule | None = None
    labels: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True)
class Excluded:
    """Rows [m, axes] that an ``exclude`` leaves out, the setting of each [m], and why."""

    rows: Positions
    reason: str
    setting: Positions


@dataclass(frozen=True)
class Block:
    """One grid x one method or estimator x one role.

    rows: [n, axes] positions in the values of each axis. setting: [n] positions in ``settings``.
    """

    role: Role
    baseline: str | None
    method: str
    recipe: Callable[..., Any]
    axes: tuple[Axis, ...]
    rows: Positions
    settings: tuple[Settings, ...]
    setting: Positions
    excluded: tuple[Excluded, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class Expansion:
    """All blocks of a study; no trial is in two of them."""

    blocks: list[Block]

    @property
    def trials(self) -> int:
        """Number of trials."""
        return sum(map(len, self.blocks))


def expand(study: Study) -> Expansion:
    """Return the trials of a study, which were expanded when it was loaded."""
    return study.expansion


def expand_grids(grids: tuple[Grid, ...], claims: Claims, reporter: Reporter) -> Expansion:
    """Expand grids and tell ``claims`` which rules matched something."""
    union = _Union()
    for grid in grids:
        try:
            pairs = pair_sources(grid)
            for block in _blocks(grid, pairs, claims):
                union.add(block)
        except TooManyRowsError as error:
            place = reporter.document.place(grid.path)
            reporter.add_at(place, f"this grid has {error.args[0]:,} cells, too many to hold")
    return Expansion(union.blocks())


def _blocks(grid: Grid, pairs: Pair, claims: Claims) -> Iterator[Block]:
    for bound in grid.bound:
        own = pairs if bound.source is None else pair_baseline(bound.source, grid, pairs)
        if bound.tune is not None and bound.tune.scope == "source":
            yield from _Expander(grid, bound, own, claims, trained=True).block()
            yield from _Expander(grid, replace(bound, tune=None), own, claims, trained=False).block()
        else:
            yield from _Expander(grid, bound, own, claims, trained=None).block()


class _Expander:
    """Expands one recipe of one grid."""

    def __init__(self, grid: Grid, bound: Bound, pairs: Pair, claims: Claims, trained: bool | None) -> None:
        self.grid = grid
        self.bound = bound
        self.pairs = pairs
        self.claims = claims
        self.trained = trained
        self.table: Table = Table()

    def block(self) -> Iterator[Block]:
        """Yield the block, unless nothing is in it."""
        self.table = build_table(self.grid, self.bound, self.pairs, self.trained)
        kept = self._included()
        if not kept.all():
            self._select(kept)
        if not self.table.n:
            return
        excluded = self._excluded()
        left = np.ones(self.table.n, dtype=np.bool_)
        for mask, _ in excluded:
            left &= ~mask
        settings, setting = self._settings(left)
        # Only now, so that a rule about cells outside ``--only`` still counts as one that matches something.
        asked = self._asked_for()
        left &= asked
        names = ordered_columns(self.table.columns)
        rows = np.empty((self.table.n, len(names)), dtype=np.int32)
        for position, name in enumerate(names):
            rows[:, position] = self.table.columns[name]
        axes = tuple(Axis(name, self.table.values[name], self.table.labels[name]) for name in names)
        shown = [(mask & asked, reason) for mask, reason in excluded]
        groups = tuple(Excluded(rows[mask], reason, setting[mask]) for mask, reason in shown if mask.any())
        if not left.all():
            rows, setting = rows[left], setting[left]
        recipe = self.bound.recipe
        block = Block(
            self.bound.role, self.bound.baseline, recipe.label, recipe.entry, axes, rows, settings, setting, groups
        )
        yield _without_repetition(block) if zips_apart(self.grid, self.bound) else block

    def _select(self, kept: Mask) -> None:
        self.table.columns = {name: column[kept] for name, column in self.table.columns.items()}
        self.table.n = int(kept.sum())

    # --- matches ------------------------------------------------------------------------------------------------------

    def _matches(self, match: Match, projected: bool) -> Mask | None:
        """Return which rows match, None for no row. ``projected``: conditions on what the recipe does not read hold."""
        mask: Mask = np.ones(self.table.n, dtype=np.bool_)
        for column, admitted in match.terms.items():
            if projected and self._is_indifferent(column, admitted):
                continue
            if column == "method":
                if key_of(self.bound.recipe.label) not in admitted:
                    return None
                continue
            if column == "source_seed" and column not in self.table.columns and self.grid.seeds.tied:
                column = "seed"
            if column in self.table.columns:
                mask &= self.table.lookup(column, admitted)
            elif not projected:
                return None
        return mask

    def _is_indifferent(self, column: str, admitted: Any) -> bool:
        """Whether ``include`` and ``--only`` say nothing about this recipe by a condition on ``column``.

        A baseline has no source axis and is there for all sources; one with a method of its own for all methods.
        """
        if self.bound.role == "baseline":
            if column == "method" and self.bound.has_own_method:
                return key_of(self.bound.recipe.label) not in admitted
            return column.startswith("source")
        if self.bound.role == "estimator" and column == "method":
            labels = {key_of(bound.recipe.label) for bound in self.grid.bound if bound.role == "estimator"}
            return not labels & admitted
        return False

    def _included(self) -> Mask:
        kept: Mask = np.ones(self.table.n, dtype=np.bool_)
        if self.grid.includes:
            kept[:] = False
            for include in self.grid.includes:
                mask = self._matches(include, projected=True)
                if mask is not None and mask.any():
                    self.claims.accept(include.path)
                    kept |= mask
        return kept

    def _asked_for(self) -> Mask:
        """Return which rows ``--only`` leaves."""
        asked: Mask = np.ones(self.table.n, dtype=np.bool_)
        for match in self.grid.only:
            mask = self._matches(match, projected=True)
            asked &= mask if mask is not None else False
        return asked

    def _excluded(self) -> list[tuple[Mask, str]]:
        """Return (mask, reason) pairs; a row that several rules leave out is in the first of them only."""
        found: list[tuple[Mask, str]] = []
        taken = np.zeros(self.table.n, dtype=np.bool_)
        for mask, reason in self._impossible():
            found.append((mask, reason))
            taken |= mask
        for exclusion in self.grid.excludes:
            matched = self._matches(exclusion.match, projected=False)
            if matched is not None and matched.any():
                self.claims.accept(exclusion.match.path)
                found.append((matched & ~taken, exclusion.reason))
                taken |= matched
        return found

    def _impossible(self) -> Iterator[tuple[Mask, str]]:
        """Yield cells that cannot be: a task set of which nothing is left, a score of no source."""
        source = self.table.columns.get("source")
        if source is None:
            return
        if self.pairs.is_empty.any():
            yield self.pairs.is_empty[source], "no task is left in the set once the target is taken out"
        if self.pairs.in_no_group.any():
            yield self.pairs.in_no_group[source], "the target is in no group"
        if self.bound.role == "estimator":
            told = self.pairs.is_empty | self.pairs.in_no_group
            nothing = np.array([value is None for value in self.pairs.values]) & ~told
            if nothing.any():
                yield nothing[source], "there is no source that could be scored"

    # --- settings -----------------------------------------------------------------------------------------------------

    def _settings(self, left: Mask) -> tuple[tuple[Settings, ...], Positions]:
        """Return the distinct settings and each row's; overrides apply in order.

        Excluded rows have settings too, but an override that only they match has matched nothing.
        """
        bound, grid = self.bound, self.grid
        base = Settings(bound.params, grid.numerics, grid.checkpoint, bound.tune, bound.labels)
        variants = [base]
        code = np.zeros(self.table.n, dtype=np.int32)
        for change, values in zip(grid.changes, bound.changes, strict=True):
            mask = self._matches(change.match, projected=False)
            if mask is None:
                continue
            if (mask & left).any():
                self.claims.accept(change.match.path)
                effective = np.flatnonzero(np.bincount(code[mask & left], minlength=len(variants)))
                self._note_effects(values, [variants[index] for index in effective], change.values)
            if values:
                code = _apply(values, mask, code, variants)
        used, setting = np.unique(code, return_inverse=True)
        return tuple(variants[index] for index in used), setting.astype(np.int32)

    def _note_effects(self, values: Mapping[str, Any], variants: list[Settings], given: Mapping[str, Any]) -> None:
        for keyword, (value, _) in values.items():
            parameter: Parameter = self.bound.recipe.parameters[keyword]
            if any(settings.params.get(keyword, parameter.default) != value for settings in variants):
                self.claims.accept((*given[keyword].path, "effect"))


def _apply(
    values: Mapping[str, tuple[Any, Scalar]], mask: Mask, code: Positions, variants: list[Settings]
) -> Positions:
    """Give the rows in ``mask`` new settings, one for each that they had."""
    present = np.flatnonzero(np.bincount(code[mask], minlength=len(variants)))
    renumbered = np.arange(len(variants), dtype=np.int32)
    for index in present:
        old = variants[index]
        params = {**old.params, **{keyword: value for keyword, (value, _) in values.items()}}
        labels = {**old.labels, **{keyword: label for keyword, (_, label) in values.items()}}
        renumbered[index] = len(variants)
        variants.append(replace(old, params=params, labels=labels))
    return np.where(mask, renumbered[code], code).astype(np.int32)


# --- the union of grids -----------------------------------------------------------------------------------------------


def block_ids(block: Block, rows: Positions, setting: Positions) -> Ids:
    """Return [n, 2] numbers that are equal exactly for rows that are the same trial of the same method and role."""
    parameters: Mapping[str, Parameter] = getattr(block.recipe, "parameters", {})
    columns: list[Column] = [(axis.name, axis.labels, _default_position(axis, parameters)) for axis in block.axes]
    rows = _seeds_alike(block.axes, columns, rows)
    fixed = [_fixed(settings, parameters) for settings in block.settings]
    return row_ids(columns, rows, fixed, setting)


def _seeds_alike(axes: tuple[Axis, ...], columns: list[Column], rows: Positions) -> Positions:
    """Point the source seeds that equal the target's at a label None: tied seeds, which have no such column."""
    at = {axis.name: position for position, axis in enumerate(axes)}
    if "seed" not in at or "source_seed" not in at:
        return rows
    seed, source = (axes[at[name]].labels for name in ("seed", "source_seed"))
    alike = np.array([[one == other for other in source] for one in seed], dtype=np.bool_)
    columns[at["source_seed"]] = ("source_seed", (*source, None), None)
    rows = rows.copy()
    rows[alike[rows[:, at["seed"]], rows[:, at["source_seed"]]], at["source_seed"]] = len(source)
    return rows


def _default_position(axis: Axis, parameters: Mapping[str, Parameter]) -> int | None:
    """Return the position of the value that the recipe takes when told nothing: it counts like no axis at all."""
    parameter = parameters.get(axis.name)
    if parameter is None or parameter.required:
        return None
    for position, value in enumerate(axis.values):
        if type(value) is type(parameter.default) and value == parameter.default:
            return position
    return None


def _fixed(settings: Settings, parameters: Mapping[str, Parameter]) -> dict[str, Any]:
    found: dict[str, Any] = {
        keyword: settings.labels[keyword]
        for keyword, value in settings.params.items()
        if keyword not in parameters or parameters[keyword].required or parameters[keyword].default != value
    }
    for name, given in (("numerics", settings.numerics), ("checkpoint", settings.checkpoint)):
        if given != type(given)():
            found[name] = str(given)
    if settings.tune is not None:
        found["tune"] = str(settings.tune)
    return found


def _without_repetition(block: Block) -> Block:
    keep = first_of_each(block_ids(block, block.rows, block.setting))
    groups = []
    for group in block.excluded:
        chosen = first_of_each(block_ids(block, group.rows, group.setting))
        groups.append(Excluded(group.rows[chosen], group.reason, group.setting[chosen]))
    return replace(block, rows=block.rows[keep], setting=block.setting[keep], excluded=tuple(groups))


class _Union:
    """Blocks of several grids, each trial once. A cell that one grid has and another leaves out is in."""

    def __init__(self) -> None:
        self._blocks: list[Block] = []

    def add(self, block: Block) -> None:
        """Add a block of the next grid."""
        self._blocks.append(block)

    def blocks(self) -> list[Block]:
        """Return all blocks without what repeats."""
        by_name: dict[tuple[Role, str | None, str], list[Block]] = {}
        for block in self._blocks:
            by_name.setdefault((block.role, block.baseline, block.method), []).append(block)
        repeated = {name for name, members in by_name.items() if len(members) > 1}
        found: list[Block] = []
        rows: dict[Any, list[Ids]] = {}
        for block in self._blocks:
            name = (block.role, block.baseline, block.method)
            if name in repeated:
                ids = block_ids(block, block.rows, block.setting)
                keep = drop_known(ids, rows.setdefault(name, []))
                rows[name].append(ids[keep])
                block = replace(block, rows=block.rows[keep], setting=block.setting[keep])
            found.append(block)
        found = [self._less_known(block, rows) for block in found]
        return [block for block in found if len(block.rows) or block.excluded]

    @staticmethod
    def _less_known(block: Block, rows: Mapping[Any, list[Ids]]) -> Block:
        """Take out of what is excluded the cells that another grid has, or has left out before."""
        known = rows.get((block.role, block.baseline, block.method))
        if known is None or not block.excluded:
            return block
        groups = []
        for group in block.excluded:
            ids = block_ids(block, group.rows, group.setting)
            keep = drop_known(ids, known)
            known.append(ids[keep])
            if keep.any():
                groups.append(Excluded(group.rows[keep], group.reason, group.setting[keep]))
        return replace(block, excluded=tuple(groups))


__all__ = ["Axis", "Block", "Excluded", "Expansion", "Settings", "block_ids", "expand", "expand_grids"]
