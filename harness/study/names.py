"""Names written in a study, turned into tasks, backbones, sources and coerced parameter values."""

from __future__ import annotations

import itertools
import math
import types
import typing
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, Union

from harness.backbones.base import Backbone, Checkpoint, Untrained
from harness.errors import HarnessError, suggest
from harness.graph.canonical import ArgumentError, coerce, describe
from harness.registry import BACKBONES, TASKS, Registry
from harness.signatures import Parameter
from harness.study.document import KeyPath
from harness.study.labels import label_of
from harness.study.model import SourceEntry
from harness.study.references import Reference, parse_reference
from harness.study.scalars import Scalar, spelling_hint
from harness.study.schema import (
    ArtifactSource,
    CheckpointSource,
    GroupsSource,
    SubsetRule,
    Subsets,
    TaskSetSource,
)
from harness.study.structure import Reporter, shown
from harness.task_groups import Groups, random_groups, read_groups
from harness.tasks.base import Task, TaskSet, reference

_MOST_SUBSETS = 100_000
_TYPED: dict[str, type] = {"task": Task, "task_set": TaskSet, "backbone": Backbone, "checkpoint": Checkpoint}


class Factory(Protocol):
    """A registered task or backbone: called with its parameters it makes one."""

    name: str
    parameters: Mapping[str, Parameter]

    def __call__(self, **arguments: Any) -> Any:
        """Make it."""


class Failed(Exception):
    """What was written cannot be resolved; the problem has been reported."""


class Names:
    """Resolves names against the registries. Every method raises Failed after it has reported why."""

    def __init__(self, reporter: Reporter) -> None:
        self.reporter = reporter
        self._tasks: dict[str, Task] = {}
        self._lost: set[str] = set()
        self._meanings: dict[tuple[str, Scalar], Hashable] = {}

    def fail(self, path: KeyPath, message: str) -> Failed:
        """Report a problem and return the exception to raise."""
        self.reporter.add(path, message)
        return Failed(message)

    def is_lost(self, label: Any) -> bool:
        """Whether ``label`` was written as a name that could not be resolved."""
        return label in self._lost if isinstance(label, str) else False

    def lose(self, label: Any) -> None:
        """Remember a name that could not be resolved."""
        if isinstance(label, str):
            self._lost.add(label)

    def one_meaning(self, kind: str, label: Scalar, identity: Hashable, path: KeyPath) -> None:
        """Report a label that stands for different things in two places: trials are told apart by labels alone."""
        if self._meanings.setdefault((kind, label), identity) != identity:
            self.reporter.add(path, f"the {kind} {label!r} means something else elsewhere; give it another label")

    # --- tasks and backbones ------------------------------------------------------------------------------------------

    def task(self, written: str | Reference, path: KeyPath) -> Task:
        """Return the task of a reference."""
        text = str(written)
        if text not in self._tasks:
            try:
                self._tasks[text] = self._make(TASKS, self._parse(written, path), path)
            except Failed:
                self.lose(text)
                raise
        return self._tasks[text]

    def canonical_task(self, text: str) -> str:
        """Return the name that the task of a reference has, or ``text`` when it is no reference to a known task."""
        return self._tasks[text].name if text in self._tasks else text

    def backbone(self, item: str | Reference | Mapping[str, Any], path: KeyPath) -> tuple[str, Backbone]:
        """Return (label, backbone) of a reference or of ``{backbone: name, option: value, as: label}``."""
        if not isinstance(item, Mapping):
            parsed = self._parse(item, path)
            return self._backbone(parsed, None, {key: (value, path) for key, value in parsed.arguments}, path)
        options = {key: (value, (*path, key)) for key, value in item.items() if key not in ("backbone", "as")}
        parsed = self._parse(item["backbone"], (*path, "backbone"))
        written = {key: (value, (*path, "backbone")) for key, value in parsed.arguments}
        return self._backbone(parsed, item.get("as"), {**written, **options}, path)

    def _backbone(
        self, parsed: Reference, label: str | None, options: Mapping[str, tuple[Any, KeyPath]], path: KeyPath
    ) -> tuple[str, Backbone]:
        try:
            entry: Factory = _factory(BACKBONES, parsed.name)
        except HarnessError as error:
            self.lose(label or str(parsed))
            raise self.fail(path, str(error)) from None
        arguments = self._arguments(entry, f"backbone {parsed.name!r}", options, path)
        changed = {key: value for key, value in arguments.items() if value != entry.parameters[key].default}
        made: Backbone = self._call(entry, arguments, path)
        label = label or reference(parsed.name, changed)
        self.one_meaning("backbone", label, str(made.identity()), path)
        return label, made

    def _parse(self, written: str | Reference, path: KeyPath) -> Reference:
        if isinstance(written, Reference):
            return written
        try:
            return parse_reference(written)
        except HarnessError as error:
            self.lose(written)
            raise self.fail(path, str(error)) from None

    def _make(self, registry: Any, parsed: Reference, path: KeyPath) -> Any:
        try:
            entry = _factory(registry, parsed.name)
        except HarnessError as error:
            raise self.fail(path, str(error)) from None
        written = {key: (value, path) for key, value in parsed.arguments}
        return self._call(entry, self._arguments(entry, f"task {parsed.name!r}", written, path), path)

    def _arguments(
        self, entry: Factory, what: str, written: Mapping[str, tuple[Any, KeyPath]], path: KeyPath
    ) -> dict[str, Any]:
        """Coerce arguments to the factory's annotations; all that is wrong with them is reported."""
        arguments: dict[str, Any] = {}
        failed: Failed | None = None
        for key, (value, at) in written.items():
            parameter = entry.parameters.get(key)
            try:
                if parameter is None:
                    raise self.fail(at, f"{what} has no parameter {key!r}{suggest(key, entry.parameters)}")
                arguments[key] = self.value(value, parameter.annotation, f"{key} of {what}", at)[0]
            except Failed as error:
                failed = error
        for key, parameter in entry.parameters.items():
            if parameter.required and key not in written:
                failed = self.fail(path, f"{what} needs the parameter {key!r}")
        if failed is not None:
            raise failed
        return arguments

    def _call(self, entry: Factory, arguments: Mapping[str, Any], path: KeyPath) -> Any:
        try:
            return entry(**arguments)
        except (HarnessError, ValueError, TypeError) as error:
            raise self.fail(path, f"{entry.name!r} cannot be made: {str(error).splitlines()[0]}") from None

    # --- parameter values ---------------------------------------------------------------------------------------------

    def value(self, written: Any, annotation: Any, name: str, path: KeyPath) -> tuple[Any, Scalar]:
        """Return (value, label) of a parameter: names resolved where the annotation wants them, the rest coerced."""
        made, label = self._typed(written, annotation, path)
        try:
            value = coerce(made, annotation)
        except ArgumentError:
            hint = spelling_hint(written) if isinstance(written, str) else ""
            raise self.fail(path, f"{name} should be {describe(annotation)}, not {shown(written)}{hint}") from None
        return value, label_of(value) if label is None else label

    def _typed(self, written: Any, annotation: Any, path: KeyPath) -> tuple[Any, Scalar]:
        """Resolve names that an annotation wants; the label is None for a value that is its own label."""
        parts = _parts(annotation)
        if isinstance(written, (str, Reference)):
            as_text = str in parts and isinstance(written, str)
            if Task in parts and not (as_text and written not in TASKS):
                task = self.task(written, path)
                return task, task.name
            if Backbone in parts and not (as_text and written not in BACKBONES):
                label, backbone = self.backbone(written, path)
                return backbone, label
            if Untrained in parts and written == "untrained":
                return Untrained(), "untrained"
            return (str(written) if isinstance(written, Reference) else written), None
        if isinstance(written, Mapping) and Backbone in parts and isinstance(written.get("backbone"), str):
            label, backbone = self.backbone(written, path)
            return backbone, label
        if isinstance(written, Mapping) and Checkpoint in parts:
            return self.typed_value("checkpoint", written, path)
        if isinstance(written, (list, tuple)):
            if TaskSet in parts:
                return self.typed_value("task_set", written, path)
            inner = next((item for item in parts if typing.get_origin(item) in (tuple, list, Sequence)), None)
            if inner is not None:
                wanted = typing.get_args(inner)[0]
                pairs = [self._typed(item, wanted, path) for item in written]
                items = [value for value, _ in pairs]
                named = any(label is not None for _, label in pairs)
                return items, label_of([label for _, label in pairs]) if named else None
        return written, None

    def typed_value(self, kind: str, written: Any, path: KeyPath) -> tuple[Any, Scalar]:
        """Return (value, label) of an axis value of type task, task_set, backbone or checkpoint."""
        if kind == "task" and isinstance(written, str):
            task = self.task(written, path)
            return task, task.name
        if kind == "backbone" and (isinstance(written, str) or _names(written, "backbone")):
            label, backbone = self.backbone(written, path)
            return backbone, label
        if kind == "task_set" and isinstance(written, (list, tuple)) and all(isinstance(x, str) for x in written):
            tasks = TaskSet(self._tasks_of(list(written), path))
            return tasks, tasks.name
        if kind == "checkpoint" and isinstance(written, str):
            file = self._file(written, path)
            self.one_meaning("checkpoint", written, str(file), path)
            return file, written
        if kind == "checkpoint" and _names(written, kind) and set(written) <= {"checkpoint", "revision", "name"}:
            entry = self._checkpoint(CheckpointSource.model_validate(written), path)
            self.one_meaning("checkpoint", entry.label, str(entry.value), path)
            return entry.value, entry.label
        raise self.fail(path, f"{shown(written)} does not name a {kind.replace('_', ' ')}")

    # --- sources ------------------------------------------------------------------------------------------------------

    def sources(self, item: Any, path: KeyPath) -> Iterator[SourceEntry]:
        """Yield the source values that one entry of ``sources:`` stands for."""
        if isinstance(item, str):
            yield self._plain_source(item, path)
        elif isinstance(item, TaskSetSource):
            yield from self._task_sets(item, path)
        elif isinstance(item, GroupsSource):
            yield from self._grouped(item, path)
        elif isinstance(item, CheckpointSource):
            yield self._checkpoint(item, path)
        elif isinstance(item, ArtifactSource):
            key = item.artifact.key
            yield SourceEntry(item.name or key, Checkpoint(artifact=key))

    def _plain_source(self, name: str, path: KeyPath) -> SourceEntry:
        if name == "none":
            return SourceEntry("none", None)
        if name == "untrained":
            return SourceEntry("untrained", Untrained())
        task = self.task(name, path)
        return SourceEntry(task.name, task, (task,))

    def _tasks_of(self, names: Sequence[str], path: KeyPath) -> tuple[Task, ...]:
        found: dict[str, Task] = {}
        failed: Failed | None = None
        for index, name in enumerate(names):
            try:
                task = self.task(name, (*path, index))
                if task.name in found:
                    raise self.fail((*path, index), f"the task {task.name!r} stands twice in its set")
                found[task.name] = task
            except Failed as error:
                failed = error
        if failed is not None:
            raise failed
        return tuple(found.values())

    def _task_sets(self, item: TaskSetSource, path: KeyPath) -> Iterator[SourceEntry]:
        tasks = self._tasks_of(item.tasks, (*path, "tasks"))
        if item.name is not None and item.as_ not in ("all", "all_but_target"):
            raise self.fail((*path, "name"), "a name is for one source; here every task or subset is a source")
        if item.as_ == "each":
            yield from (SourceEntry(task.name, task, (task,)) for task in tasks)
        elif item.as_ == "all":
            whole = TaskSet(tasks)
            yield SourceEntry(item.name or whole.name, whole, tasks)
        elif item.as_ == "all_but_target":
            yield SourceEntry(item.name or "all_but_target", TaskSet(tasks), tasks, per_target=True)
        elif isinstance(item.as_, SubsetRule):
            for chosen in self._subsets(item.as_.subsets, len(tasks), (*path, "as", "subsets")):
                subset = TaskSet(tuple(tasks[index] for index in chosen))
                yield SourceEntry(subset.name, subset, subset.tasks)

    def _grouped(self, item: GroupsSource, path: KeyPath) -> Iterator[SourceEntry]:
        """Yield the groups of a file as one source, or one for each random draw of groups of the same sizes."""
        at = (*path, "groups")
        try:
            found = read_groups(self.reporter.document.folder(at) / item.groups)
        except HarnessError as error:
            raise self.fail(at, str(error)) from None
        draws: list[tuple[str, Groups]] = [(item.name or "groups", found.groups)]
        if item.random is not None:
            label, rule = item.name or "random groups", item.random
            draws = [(f"{label} {k + 1}", random_groups(found.groups, k, rule.seed)) for k in range(rule.draws)]
        for label, groups in draws:
            sets = tuple(self._tasks_of(group, at) for group in groups)
            tasks = tuple(task for group in sets for task in group)
            yield SourceEntry(label, TaskSet(tasks), tasks, per_target=True, groups=sets, digest=found.digest)

    def _subsets(self, rule: Subsets, n: int, path: KeyPath) -> Iterator[tuple[int, ...]]:
        for position, size in enumerate(rule.sizes):
            there_are = math.comb(n, size)
            if size > n:
                raise self.fail((*path, "sizes", position), f"a subset of {size} cannot be taken from {n} tasks")
            wanted = there_are if rule.sample is None else rule.sample
            if wanted > there_are:
                raise self.fail((*path, "sample"), f"there are only {there_are} subsets of {size} tasks, not {wanted}")
            if wanted > _MOST_SUBSETS:
                raise self.fail(path, f"{wanted:,} subsets are too many; give sample")
            if wanted == there_are:
                yield from itertools.combinations(range(n), size)
            else:
                yield from sample_subsets(n, size, wanted, rule.seed)

    def _checkpoint(self, item: CheckpointSource, path: KeyPath) -> SourceEntry:
        label = item.name or item.checkpoint
        if item.revision is not None:
            return SourceEntry(label, Checkpoint(name=item.checkpoint, revision=item.revision))
        is_file = item.checkpoint.endswith(".safetensors") or item.checkpoint.startswith((".", "/", "~"))
        if not is_file:
            raise self.fail(
                (*path, "checkpoint"),
                f"the hub checkpoint {item.checkpoint!r} needs a revision, so that it stays the same",
            )
        return SourceEntry(label, self._file(item.checkpoint, (*path, "checkpoint")))

    def _file(self, name: str, path: KeyPath) -> Checkpoint:
        file = self.reporter.document.folder(path) / Path(name).expanduser()
        if not file.is_file():
            raise self.fail(path, f"there is no checkpoint file {name!r}")
        return Checkpoint(path=str(file.resolve()))


def sample_subsets(n: int, size: int, wanted: int, seed: int) -> list[tuple[int, ...]]:
    """Return ``wanted`` different subsets of ``size`` out of ``range(n)``, drawn evenly, sorted."""
    import numpy as np

    generator = np.random.default_rng([seed, size])
    total = math.comb(n, size)
    if total <= 4 * wanted:
        every = list(itertools.combinations(range(n), size))
        return sorted(every[index] for index in generator.choice(total, wanted, replace=False).tolist())
    found: set[tuple[int, ...]] = set()
    while len(found) < wanted:
        found.add(tuple(sorted(generator.choice(n, size, replace=False).tolist())))
    return sorted(found)


def _factory(registry: Registry[Any], name: str) -> Factory:
    found: Factory = registry.get(name)
    return found


def _parts(annotation: Any) -> tuple[Any, ...]:
    if typing.get_origin(annotation) in (Union, types.UnionType):
        return typing.get_args(annotation)
    return (annotation,)


def _names(written: Any, kind: str) -> bool:
    return isinstance(written, Mapping) and isinstance(written.get(kind), str)


def typed_kinds() -> tuple[str, ...]:
    """Return the types that an axis may declare."""
    return tuple(_TYPED)
