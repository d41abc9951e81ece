"""A study whose names are resolved: what :mod:`harness.study.resolve` makes and :mod:`harness.study.grid` expands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from harness.backbones.base import Backbone
from harness.methods.base import CheckpointRule, Numerics, RecipeEntry, Source
from harness.signatures import Parameter
from harness.study.document import KeyPath
from harness.study.labels import Key
from harness.study.scalars import Scalar
from harness.study.schema import Analysis, Execution
from harness.study.tuning import TuneRule
from harness.tasks.base import Task

if TYPE_CHECKING:
    from harness.study.grid import Expansion

Role = Literal["outcome", "baseline", "estimator"]


@dataclass(frozen=True)
class Given:
    """A value as written and the path at which it stands."""

    value: Any
    path: KeyPath


@dataclass(frozen=True)
class Recipe:
    """A method or estimator as a study lists it: a label, the registered recipe, parameters of its own."""

    label: str
    entry: RecipeEntry[Any]
    fixed: Mapping[str, Given]
    path: KeyPath
    is_estimator: bool = False

    @property
    def reads(self) -> tuple[str, ...]:
        """The axes of a trial that the recipe depends on."""
        return tuple(self.entry.reads)

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """Its parameters by keyword."""
        return self.entry.parameters


@dataclass(frozen=True)
class SourceEntry:
    """One value of the source axis. ``tasks``: what it is trained on, empty for a checkpoint, untrained and none.

    per_target: the value is the set of ``tasks`` without the trial's own target; or, where there are ``groups`` of
    them, the group that the target is in. digest: of the file that the groups come from.
    """

    label: str
    value: Source
    tasks: tuple[Task, ...] = ()
    per_target: bool = False
    groups: tuple[tuple[Task, ...], ...] = ()
    digest: str = ""

    def tasks_for(self, target: Task) -> tuple[Task, ...]:
        """Return the tasks that it is trained on in a trial with this target."""
        if self.groups:
            return next((group for group in self.groups if any(task.name == target.name for task in group)), ())
        if self.per_target:
            return tuple(task for task in self.tasks if task.name != target.name)
        return self.tasks

    @property
    def is_trained(self) -> bool:
        """Whether there is a source training, so that source-scoped axes and seeds mean anything."""
        return bool(self.tasks)


@dataclass(frozen=True)
class NamedAxis:
    """An axis of a study's own. ``columns``: the recipe keywords that it sets, both for the scope ``both``."""

    columns: tuple[str, ...]
    values: tuple[Any, ...]
    labels: tuple[Scalar, ...]
    path: KeyPath

    @property
    def name(self) -> str:
        """The name by which zip, match and ``--only`` know it."""
        return self.columns[0]


@dataclass(frozen=True)
class SeedPlan:
    """Seeds of both stages, in lockstep when tied. A tuple as source seed averages the weights of its seeds."""

    seed: tuple[int, ...] = (0,)
    source: tuple[int | tuple[int, ...], ...] = (0,)
    tied: bool = True

    def source_labels(self) -> tuple[Scalar, ...]:
        """What stands in the column ``source_seed``: the seed, or ``0+1+2`` for an average."""
        return tuple("+".join(map(str, seed)) if isinstance(seed, tuple) else seed for seed in self.source)


@dataclass(frozen=True)
class Pairs:
    """Which source goes with which target: a word, (source, target) positions, or attributes of their tasks."""

    word: Literal["all", "off_diagonal", "same"] = "all"
    listed: tuple[tuple[int, int], ...] | None = None
    same: tuple[str, ...] = ()
    differ: tuple[str, ...] = ()


@dataclass(frozen=True)
class Match:
    """Conditions that must all hold: column -> keys of the admitted labels."""

    terms: Mapping[str, frozenset[Key]]
    path: KeyPath


@dataclass(frozen=True)
class Exclusion:
    """Cells left out, and why."""

    match: Match
    reason: str


@dataclass(frozen=True)
class Change:
    """An override: for the cells that match, fixed parameters by keyword."""

    match: Match
    values: Mapping[str, Given]


@dataclass(frozen=True)
class BoundAxis:
    """A named axis as one recipe takes it: values coerced to the annotation of its parameter."""

    values: tuple[Any, ...]
    labels: tuple[Scalar, ...]
    collapsed: Any
    """What the recipe is given where the axis means nothing: its default, or the first value when it has none."""


@dataclass(frozen=True)
class Bound:
    """A recipe in one role of one grid, with everything it is called with coerced to its annotations.

    source: the single source of a baseline. axes: by column. changes: for each override what it sets here.
    """

    role: Role
    recipe: Recipe
    params: Mapping[str, Any]
    labels: Mapping[str, Scalar]
    axes: Mapping[str, BoundAxis]
    changes: tuple[Mapping[str, tuple[Any, Scalar]], ...]
    tune: TuneRule | None
    baseline: str | None = None
    source: SourceEntry | None = None
    has_own_method: bool = False


@dataclass(frozen=True)
class Grid:
    """One grid with its names resolved; the study is the union of its grids."""

    path: KeyPath
    sources: tuple[SourceEntry, ...]
    targets: tuple[Task, ...]
    backbones: tuple[tuple[str, Backbone], ...]
    seeds: SeedPlan
    axes: tuple[NamedAxis, ...]
    pairs: Pairs
    zips: tuple[tuple[str, ...], ...]
    includes: tuple[Match, ...]
    only: tuple[Match, ...]
    excludes: tuple[Exclusion, ...]
    changes: tuple[Change, ...]
    bound: tuple[Bound, ...]
    numerics: Numerics
    checkpoint: CheckpointRule


@dataclass(frozen=True)
class Study:
    """A study that was read without a problem.

    plugins: names of the modules that it loaded. plugin_files: the same as files or dotted names, to load elsewhere.
    """

    name: str
    path: Path
    description: str
    plugins: tuple[str, ...]
    plugin_files: tuple[str, ...]
    grids: tuple[Grid, ...]
    estimators: tuple[Recipe, ...]
    baselines: tuple[str, ...]
    analyses: tuple[Analysis, ...]
    execution: Execution
    on_untrained_source: Literal["skip", "run"]
    on_failure: Literal["continue", "stop"]
    only: tuple[str, ...]
    data: Mapping[str, Any] = field(repr=False)
    expansion: Expansion = field(repr=False)

    def resolved(self) -> dict[str, Any]:
        """Return the study as plain JSON data: files laid over one another, values set, interpolations resolved."""
        return dict(self.data)
