"""Rows of a block as arrays of positions: pairs of source and target, crossed with everything else."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.methods.base import TRIAL_AXES, Source
from harness.signatures import SOURCE_PREFIX
from harness.study.labels import Key, key_of
from harness.study.model import Bound, Grid, SourceEntry
from harness.study.scalars import Scalar
from harness.tasks.base import Task, TaskSet

Positions = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]
Columns = dict[str, Positions]

MOST_ROWS = 50_000_000
"""Rows beyond which a block is refused rather than the machine's memory filled."""


@dataclass(frozen=True)
class Pair:
    """The allowed pairs of a grid for a list of sources.

    entry, target: positions of the source entry and of the target, one pair an item. value: position in ``values``,
    which differ from the entries where a source depends on the target.
    """

    entry: Positions
    target: Positions
    value: Positions
    values: tuple[Source, ...]
    labels: tuple[Scalar, ...]
    is_empty: Mask
    """For each of ``values``: a task set of which nothing is left."""
    in_no_group: Mask
    """For each of ``values``: groups of tasks none of which holds the target."""


@dataclass
class Table:
    """Rows under construction: for every column its values, their labels and keys, and each row's position."""

    values: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    labels: dict[str, tuple[Scalar, ...]] = field(default_factory=dict)
    keys: dict[str, tuple[Key | None, ...]] = field(default_factory=dict)
    columns: Columns = field(default_factory=dict)
    n: int = 0

    def lookup(self, column: str, admitted: frozenset[Key]) -> Mask:
        """Return for each row whether its value in ``column`` is one of ``admitted``."""
        table = np.fromiter((key in admitted for key in self.keys[column]), dtype=np.bool_)
        return table[self.columns[column]]


class TooManyRowsError(Exception):
    """A product with more rows than can be held; the argument is their number."""


# --- pairs ------------------------------------------------------------------------------------------------------------


def pair_sources(grid: Grid) -> Pair:
    """Return the pairs that a grid allows."""
    return _pairs(grid.sources, grid.targets, _allowed(grid))


def pair_baseline(source: SourceEntry, grid: Grid, pairs: Pair) -> Pair:
    """Return the pairs of a baseline: its one source with every target that occurs in ``pairs``."""
    allowed = np.zeros((1, len(grid.targets)), dtype=np.bool_)
    allowed[0, pairs.target] = True
    return _pairs((source,), grid.targets, allowed)


def _allowed(grid: Grid) -> Mask:
    """Return [sources, targets]: which pairs the grid's ``pairs`` admits. A source without tasks is on no diagonal."""
    rule, sources, targets = grid.pairs, grid.sources, grid.targets
    shape = (len(sources), len(targets))
    if rule.listed is not None:
        allowed = np.zeros(shape, dtype=np.bool_)
        for source, target in rule.listed:
            allowed[source, target] = True
        return allowed
    allowed = np.ones(shape, dtype=np.bool_)
    position = {task.name: index for index, task in enumerate(targets)}
    for index, entry in enumerate(sources):
        inside = [position[task.name] for task in entry.tasks if task.name in position]
        if rule.word == "off_diagonal" and not entry.per_target:
            allowed[index, inside] = False
        elif rule.word == "same" and entry.tasks:
            allowed[index] = False
            if len(entry.tasks) == 1:
                allowed[index, inside] = True
    for name in rule.same:
        allowed &= _agreement(name, sources, targets, wanted=True)
    for name in rule.differ:
        allowed &= _agreement(name, sources, targets, wanted=False)
    return allowed


def _agreement(name: str, sources: Sequence[SourceEntry], targets: Sequence[Task], wanted: bool) -> Mask:
    """Return [sources, targets]: whether every task of the source agrees (or differs) with the target in ``name``.

    A target that is taken out of its source set says nothing there; nor do groups that it is not in.
    """
    codes: dict[Any, int] = {}
    of_target = np.array([codes.setdefault(task.attributes[name], len(codes)) for task in targets])
    found = np.ones((len(sources), len(targets)), dtype=np.bool_)
    for index, entry in enumerate(sources):
        used = [{task.name for task in entry.tasks_for(target)} for target in targets] if entry.per_target else []
        for task in entry.tasks:
            suits = (of_target == codes.setdefault(task.attributes[name], len(codes))) == wanted
            if entry.per_target:
                suits |= np.array([task.name not in names for names in used])
            found[index] &= suits
    return found


def _pairs(sources: Sequence[SourceEntry], targets: Sequence[Task], allowed: Mask) -> Pair:
    entry, target = (axis.astype(np.int32) for axis in np.nonzero(allowed))
    values: list[Source] = [source.value for source in sources]
    labels: list[Scalar] = [source.label for source in sources]
    empty, in_none = [False] * len(sources), [False] * len(sources)
    value = entry.copy()
    for index, source in enumerate(sources):
        if not source.per_target:
            continue
        for row in np.flatnonzero(entry == index):
            rest = source.tasks_for(targets[target[row]])
            value[row] = len(values)
            values.append(TaskSet(rest) if rest else None)
            labels.append(source.label)
            empty.append(not rest and not source.groups)
            in_none.append(not rest and bool(source.groups))
    masks = (np.array(each, dtype=np.bool_) for each in (empty, in_none))
    return Pair(entry, target, value, tuple(values), tuple(labels), *masks)


# --- the product ------------------------------------------------------------------------------------------------------

_Dimension = tuple[int, Columns]


def build_table(grid: Grid, bound: Bound, pairs: Pair, trained: bool | None = None) -> Table:
    """Return the rows of a recipe: pairs crossed with the other axes that it reads.

    Where a source has no training of its own (none, untrained, a checkpoint), axes and seeds that only the source
    stage reads are not crossed: they stand at one position without a label. ``trained``: only rows of such sources as
    have a training (True) or have none (False).
    """
    table = Table()
    _declare(table, grid, bound, pairs)
    entries = grid.sources if bound.source is None else (bound.source,)
    is_trained = np.array([entry.is_trained for entry in entries], dtype=np.bool_)[pairs.entry]
    if "source" not in bound.recipe.reads:
        groups = [(False, np.ones(len(pairs.entry), dtype=np.bool_))]
    else:
        groups = [(way, is_trained == way) for way in (True, False) if trained in (None, way)]
    parts = [_cross(grid, bound, pairs, way, chosen) for way, chosen in groups if chosen.any()]
    names = [name for name in table.values if any(name in part for part in parts)]
    for name in names:
        table.columns[name] = np.concatenate([part[name] for part in parts]) if len(parts) > 1 else parts[0][name]
    for name in set(table.values) - set(names):
        del table.values[name], table.labels[name], table.keys[name]
    table.n = sum(_length(part) for part in parts)
    return table


def _length(columns: Columns) -> int:
    return len(next(iter(columns.values()))) if columns else 1


def _declare(table: Table, grid: Grid, bound: Bound, pairs: Pair) -> None:
    """Note the values and labels of every column, those that stand for "not crossed" last and without a key."""

    def column(name: str, values: Sequence[Any], labels: Sequence[Scalar], raw: Sequence[Scalar], extra: Any) -> None:
        table.values[name] = (*values, *extra)
        table.labels[name] = (*labels, *(None for _ in extra))
        table.keys[name] = (*map(key_of, raw), *(None for _ in extra))

    names = [task.name for task in grid.targets]
    backbones = [label for label, _ in grid.backbones]
    plan = grid.seeds
    column("source", pairs.values, pairs.labels, pairs.labels, ())
    column("target", grid.targets, names, names, ())
    column("backbone", [value for _, value in grid.backbones], backbones, backbones, ())
    column("seed", plan.seed, plan.seed, plan.seed, ())
    column("source_seed", plan.source, plan.source_labels(), plan.source_labels(), plan.seed)
    for axis in grid.axes:
        for name in axis.columns:
            if name in bound.axes:
                own = bound.axes[name]
                extra = (own.collapsed,) if name.startswith(SOURCE_PREFIX) else ()
                column(name, own.values, own.labels, axis.labels, extra)


def _cross(grid: Grid, bound: Bound, pairs: Pair, trained: bool, chosen: Mask) -> Columns:
    base = _project(pairs, bound.recipe.reads, chosen)
    dimensions = [*_backbone(grid, bound), *_named(grid, bound, trained), *_seeds(grid, bound, trained)]
    inner = math.prod(size for size, _ in dimensions)
    total = _length(base) * inner
    if total > MOST_ROWS:
        raise TooManyRowsError(total)
    columns = {name: np.repeat(positions, inner) for name, positions in base.items()}
    for size, members in dimensions:
        inner //= size
        for name, positions in members.items():
            once = np.repeat(positions.astype(np.int32), inner)
            columns[name] = np.tile(once, total // len(once)) if len(once) else once
    for name in bound.axes:
        if name not in columns:
            columns[name] = np.full(total, len(bound.axes[name].values), dtype=np.int32)
    return columns


def _project(pairs: Pair, reads: Sequence[str], chosen: Mask) -> Columns:
    """Return the pairs as far as the recipe reads them, each once, in their order."""
    value, target = pairs.value[chosen], pairs.target[chosen]
    if "source" in reads and "target" in reads:
        return {"source": value, "target": target}
    for name, positions in (("source", value), ("target", target)):
        if name in reads:
            _, first = np.unique(positions, return_index=True)
            return {name: positions[np.sort(first)]}
    return {}


def _backbone(grid: Grid, bound: Bound) -> list[_Dimension]:
    if "backbone" not in bound.recipe.reads:
        return []
    return [(len(grid.backbones), {"backbone": np.arange(len(grid.backbones), dtype=np.int32)})]


def _named(grid: Grid, bound: Bound, trained: bool) -> list[_Dimension]:
    """Return one dimension for each group of zipped axes and each other axis, of the columns that mean something."""
    by_name = {axis.name: axis for axis in grid.axes}
    zipped = {name for group in grid.zips for name in group}
    groups = [(name,) for name in by_name if name not in zipped]
    found: list[_Dimension] = []
    for group in [*grid.zips, *groups]:
        size = len(by_name[group[0]].values)
        columns = [column for name in group for column in by_name[name].columns if column in bound.axes]
        if not trained:
            columns = [column for column in columns if not column.startswith(SOURCE_PREFIX)]
        if columns:
            found.append((size, {column: np.arange(size, dtype=np.int32) for column in columns}))
    return found


def _seeds(grid: Grid, bound: Bound, trained: bool) -> list[_Dimension]:
    """Return the seed dimensions. Seeds that are the same for both stages need no column for the source's."""
    plan, reads = grid.seeds, bound.recipe.reads
    of_target, of_source = "seed" in reads, "source_seed" in reads
    seed = np.arange(len(plan.seed), dtype=np.int32)
    source = np.arange(len(plan.source), dtype=np.int32)
    standing = seed + len(plan.source)
    if plan.tied:
        members = {"seed": seed} if of_target else {}
        if of_source and not (of_target and plan.seed == plan.source):
            members["source_seed"] = source if trained or not of_target else standing
        return [(len(seed), members)] if members else []
    found: list[_Dimension] = []
    if of_source and (trained or not of_target):
        found.append((len(source), {"source_seed": source}))
    if of_target:
        found.append(
            (len(seed), {"seed": seed} if trained or not of_source else {"seed": seed, "source_seed": standing})
        )
    return found


def zips_apart(grid: Grid, bound: Bound) -> bool:
    """Whether a zipped group loses a column here, so that rows may repeat."""
    columns = {axis.name: axis.columns for axis in grid.axes}
    for group in grid.zips:
        declared = [column for name in group for column in columns[name]]
        if any(column not in bound.axes or column.startswith(SOURCE_PREFIX) for column in declared):
            return True
    return False


def ordered_columns(table: Mapping[str, Any]) -> list[str]:
    """Return column names, those that every study has first."""
    return [*(name for name in TRIAL_AXES if name in table), *(name for name in table if name not in TRIAL_AXES)]
