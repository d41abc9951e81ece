"""``harness tasks [NAME]``: the tasks there are, with sizes, licences and where their data are; or one of them."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cli.catalogue import describe
from harness.cli.text import columns
from harness.data import manifest as manifests
from harness.data.catalogue import PACKAGES, DataPackage
from harness.data.fetch import is_ready
from harness.errors import HarnessError
from harness.registry import TASKS, load_plugins
from harness.tasks.base import SPLITS

if TYPE_CHECKING:
    from harness.tasks.base import Task

HEAD = ("task", "kind", "classes", *SPLITS, "metric", "family", "data", "licence")
MOST_CLASSES = 12
"""Class names that are printed; JSON has them all."""


@dataclass(frozen=True)
class Listed:
    """A task and the data packages that it is read from."""

    task: Task
    packages: tuple[DataPackage, ...]

    @property
    def missing(self) -> tuple[DataPackage, ...]:
        """Those packages that are not on this machine."""
        return tuple(package for package in self.packages if not is_ready(package))

    @property
    def where(self) -> str:
        """Say whether the data are here, and how much is to be fetched otherwise."""
        missing = self.missing
        return f"not fetched ({_megabytes(missing)})" if missing else "here"

    def row(self) -> tuple[str, ...]:
        """The task's line in the table."""
        task = self.task
        sizes = (f"{task.sizes[split]:,}" if split in task.sizes else "-" for split in SPLITS)
        told = (str(task.attributes.get(key, "-")) for key in ("family", "licence"))
        family, licence = told
        return (task.name, kind_of(task), f"{task.n_classes}", *sizes, task.metric, family, self.where, licence)

    def as_json(self) -> dict[str, Any]:
        """All that is known of the task without reading its data."""
        task = self.task
        return {
            "name": task.name,
            "kind": kind_of(task),
            "classes": task.n_classes,
            "sizes": dict(task.sizes),
            "metric": task.metric,
            "attributes": dict(task.attributes),
            "input_shape": list(task.input_shape),
            "packages": [package.name for package in self.packages],
            "here": not self.missing,
            "bytes_to_fetch": sum(package.size for package in self.missing),
        }


def tasks(arguments: argparse.Namespace) -> int:
    """List the tasks, or describe one; --show writes examples of each class to a picture."""
    load_plugins(arguments.plugins, Path.cwd())
    if arguments.name is not None and arguments.show is not None:
        return _show(arguments.name, arguments.show)
    if arguments.show is not None:
        raise HarnessError("--show needs the name of a task")
    if arguments.name is not None:
        return _one(arguments.name, arguments.json)
    made, makers = _all()
    if arguments.json:
        print(json.dumps([listed.as_json() for listed in made], indent=2, ensure_ascii=False))
        return 0
    print(columns([HEAD, *(listed.row() for listed in made)]))
    print("\nmade of other tasks, or of files and data sets of yours; `harness tasks NAME` has their parameters:")
    print(columns(makers, indent="  "))
    return 0


def kind_of(task: Task) -> str:
    """Say in a word what an example is."""
    return "text" if not task.input_shape else "image" if len(task.input_shape) == 3 else "numbers"


def packages_of(identity: Any) -> tuple[DataPackage, ...]:
    """Return the data packages that an identity stands on, however deep the task that reads them lies in it."""
    return tuple(dict.fromkeys(PACKAGES[name] for name in _package_names(identity) if name in PACKAGES))


def _package_names(identity: Any) -> Iterator[str]:
    if isinstance(identity, Mapping):
        if identity.get("provider") == "packaged":
            yield from identity["packages"]
        for inner in identity.values():
            yield from _package_names(inner)
    elif isinstance(identity, (list, tuple)):
        for inner in identity:
            yield from _package_names(inner)


def _all() -> tuple[list[Listed], list[tuple[str, str]]]:
    """Return the tasks that stand for themselves, and (name, summary) of what makes tasks of something else."""
    made, makers = [], []
    for entry in TASKS.items():
        factory: Any = entry.value
        if any(parameter.required for parameter in factory.parameters.values()):
            makers.append((entry.name, factory.summary))
        else:
            made.append(_listed(factory()))
    return made, makers


def _listed(task: Task) -> Listed:
    return Listed(task, packages_of(task.identity()))


def _one(name: str, as_json: bool) -> int:
    """Describe one task, or what makes tasks and cannot be one by itself."""
    factory: Any = TASKS.get(name) if name in TASKS or "(" not in name else None
    if factory is not None and any(parameter.required for parameter in factory.parameters.values()):
        if as_json:
            raise HarnessError(f"task {name!r} is made of something else: give its parameters, {name}(...)")
        print("\n".join(describe(TASKS, name)))
        return 0
    task = factory() if factory is not None else _named(name)
    listed = _listed(task)
    if as_json:
        more = {"class_names": list(task.class_names), "class_sizes": {k: list(v) for k, v in task.class_sizes.items()}}
        print(json.dumps({**listed.as_json(), **more}, indent=2, ensure_ascii=False))
        return 0
    print("\n".join(describe(TASKS, name) if factory is not None else [f"task {task.name}"]))
    print("\n".join(_details(listed)))
    return 0


def _details(listed: Listed) -> Iterator[str]:
    """Yield the lines that say what a task's examples are, how they are divided and where they come from."""
    task = listed.task
    yield ", ".join(f"{key}: {value}" for key, value in task.attributes.items())
    yield f"{task.n_classes} classes: {_abridged(task.class_names)}"
    shape = "x".join(map(str, task.input_shape)) or "texts"
    yield f"inputs {shape}; metric {task.metric}, {'higher' if task.higher_is_better else 'lower'} is better"
    yield columns([("split", "examples", "a class"), *_split_rows(task)], indent="  ")
    yield from _division(task)
    if listed.packages:
        yield "read from:"
        head = ("package", "size", "here", "source", "licence")
        yield columns([head, *(_package_row(package) for package in listed.packages)], indent="  ")
    missing = listed.missing
    if missing:
        names = " ".join(package.name for package in missing)
        yield f"not here yet ({_megabytes(missing)}): harness data fetch {names}"


def _split_rows(task: Task) -> Iterator[tuple[str, str, str]]:
    for split, size in task.sizes.items():
        counts = task.class_sizes.get(split, ())
        yield split, f"{size:,}", _range(counts)


def _range(counts: Sequence[int]) -> str:
    if not counts:
        return "not known"
    least, most = min(counts), max(counts)
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"


def _division(task: Task) -> Iterable[str]:
    """Say by what the splits of a packaged task are divided, and which domains it has."""
    name = task.name.partition("(")[0]
    if task.data.get("provider") != "packaged" or not (manifests.FOLDER / f"{name}.json").is_file():
        return
    known = manifests.load(name)
    yield f"divided: {known.split}"
    if len(known.domains) > 1:
        yield f"{len(known.domains)} domains: {_abridged(known.domains)}"


def _package_row(package: DataPackage) -> tuple[str, ...]:
    here = "yes" if is_ready(package) else "no"
    origin = f"{package.source} ({package.registry}: {package.package} {package.version})"
    return package.name, _megabytes([package]), here, origin, package.licence


def _abridged(names: Sequence[str]) -> str:
    shown = ", ".join(names[:MOST_CLASSES])
    return shown if len(names) <= MOST_CLASSES else f"{shown} and {len(names) - MOST_CLASSES:,} more"


def _megabytes(packages: Iterable[DataPackage]) -> str:
    return f"{sum(package.size for package in packages) / 1e6:.1f} MB"


def _named(name: str) -> Task:
    from harness.study.one_task import task_named

    return task_named(name)


def _show(name: str, target: str) -> int:
    """Write a contact sheet of a task; without a file name into the cache, where pictures of others may lie."""
    from harness.data.contact_sheet import contact_sheet
    from harness.data.locations import data_root

    factory: Any = TASKS.get(name) if name in TASKS or "(" not in name else None
    if factory is not None and any(parameter.required for parameter in factory.parameters.values()):
        raise HarnessError(f"task {name!r} is made of another one and has no examples of its own")
    task = factory() if factory is not None else _named(name)
    path = Path(target) if target else data_root() / "sheets" / f"{file_name(task.name)}.png"
    print(f"examples of {task.name}: {contact_sheet(task, path)}")
    return 0


def file_name(name: str) -> str:
    """Return a task's name with nothing in it that a file name should not have."""
    return "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in name).strip("_")[:100]
