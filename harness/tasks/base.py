"""What a task is, and the decorator that registers one.

A `Task` is cheap: making one reads no data. It says what the data are (its identity goes into keys) and knows how to
load them (`split`). Labels are 0 .. n_classes-1 in the order of `class_names`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, ParamSpec, Protocol, cast

from harness.errors import HarnessError, suggest
from harness.registry import TASKS
from harness.signatures import Parameter, parameters_of, summary_of
from harness.tasks.metrics import METRICS, Targets, metrics_of

if TYPE_CHECKING:
    from torch import Tensor

SplitName = Literal["train", "val", "test"]
SPLITS: Final[tuple[SplitName, ...]] = ("train", "val", "test")

Attribute = str | int


class Inputs(Protocol):
    """The inputs of a split [n, ...]: a tensor, or pictures and texts that are read when they are asked for.

    Indexing by position, slice, list, or a tensor of positions or truth values reads: it gives a tensor, or for texts
    a list of them. To choose some without reading use :func:`choose`.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of examples and the shape of one."""

    def __len__(self) -> int: ...

    def __getitem__(self, chosen: Any, /) -> Any: ...


class UnreadInputs(Inputs, Protocol):
    """Inputs that are read when they are asked for."""

    def take(self, chosen: Any, /) -> UnreadInputs:
        """Choose some without reading them."""


@dataclass(frozen=True)
class Split:
    """The examples of one split: inputs [n, *input_shape] float32, labels [n] int64.

    Where an example may have several classes, labels are [n, n_classes] int64 of zeros and ones; where it has numbers,
    [n, n_classes] float32.
    """

    inputs: Inputs
    labels: Tensor

    def __len__(self) -> int:
        return int(self.labels.shape[0])


def choose(inputs: Inputs, positions: Tensor) -> Inputs:
    """Return the inputs at positions [k], or where a mask [n] is true; what is not in memory stays unread."""
    import torch

    if isinstance(inputs, torch.Tensor):
        return inputs[positions]
    return cast(UnreadInputs, inputs).take(positions)


def one_class_each(task: Task, what: str) -> None:
    """Raise HarnessError when the examples of a task may have several classes, or numbers, which `what` cannot cut."""
    if task.targets != "class":
        has = "several classes an example" if task.multi_label else "numbers instead of classes"
        raise HarnessError(f"{what}: {task.name} has {has}, so that its examples do not fall into classes")


@dataclass(frozen=True, eq=False)
class Task:
    """A data set with named splits and one primary metric.

    data: what makes the data what they are, known without loading them (provider, digest, split rule, transform);
        with the name, the version and the shapes it is the task's identity.
    load: split name -> Split; a function of a module, or a `functools.partial` of one, so that it can be sent to
        another process.
    code: names of the modules whose code makes the data.
    class_sizes: examples of each class in each split, where known; derived tasks need them.
    attributes: what pairs may be chosen by (family, domain, ...); they are in no key.
    metric: one of :mod:`harness.tasks.metrics`, or a name of the task's own, of which `higher_is_better` then says
        which way is better (for those of that module, it is what they say).
    multi_label: whether an example may have several classes; labels are then [n, n_classes] of zeros and ones.
    regression: whether an example has numbers instead of a class; labels are then [n, n_classes] float32, and
        `class_names` names the numbers.
    """

    name: str
    n_classes: int
    class_names: tuple[str, ...]
    input_shape: tuple[int, ...]
    sizes: Mapping[str, int]
    data: Mapping[str, Any]
    load: Callable[[str], Split] = field(repr=False)
    class_sizes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    metric: str = "accuracy"
    higher_is_better: bool = True
    multi_label: bool = False
    version: int = 1
    code: tuple[str, ...] = ()
    regression: bool = False

    def __post_init__(self) -> None:
        self._check_metric()
        if len(self.class_names) != self.n_classes:
            raise HarnessError(f"task {self.name!r}: {self.n_classes} classes but {len(self.class_names)} class names")
        if len(set(self.class_names)) != self.n_classes:
            raise HarnessError(f"task {self.name!r}: two classes have the same name")
        unknown = sorted(set(self.sizes) - set(SPLITS))
        if unknown:
            raise HarnessError(f"task {self.name!r}: unknown split {unknown[0]!r}{suggest(unknown[0], SPLITS)}")
        for split, counts in self.class_sizes.items():
            added_up = self.targets != "class" or sum(counts) == self.sizes.get(split)
            if len(counts) != self.n_classes or not added_up:
                raise HarnessError(f"task {self.name!r}, split {split!r}: class sizes do not add up to its size")

    @property
    def targets(self) -> Targets:
        """What an example is to be told: its class, its classes, or numbers."""
        return "numbers" if self.regression else "classes" if self.multi_label else "class"

    def _check_metric(self) -> None:
        if self.regression and self.multi_label:
            raise HarnessError(f"task {self.name!r}: an example has several classes or numbers, not both")
        facts = METRICS.get(self.metric)
        if facts is None:
            return
        if self.targets not in facts.targets:
            fitting = ", ".join(metrics_of(self.targets))
            raise HarnessError(f"task {self.name!r} cannot be measured by {self.metric}; use one of: {fitting}")
        object.__setattr__(self, "higher_is_better", facts.higher_is_better)

    def split(self, name: str) -> Split:
        """Load one split and check it against what the task declares.

        Raises HarnessError for an unknown split and for data that differ from the declared size or shape.
        """
        if name not in self.sizes:
            raise HarnessError(f"task {self.name!r} has no split {name!r}{suggest(name, self.sizes)}")
        loaded = self.load(name)
        expected = (self.sizes[name], *self.input_shape)
        labels = expected[:1] if self.targets == "class" else (self.sizes[name], self.n_classes)
        if tuple(loaded.inputs.shape) != expected or tuple(loaded.labels.shape) != labels:
            raise HarnessError(
                f"task {self.name!r}, split {name!r}: inputs {tuple(loaded.inputs.shape)} and labels "
                f"{tuple(loaded.labels.shape)}, but the task declares {expected}"
            )
        return loaded

    def identity(self) -> Mapping[str, Any]:
        """What makes this task itself, for keys: never a path, a machine or a time."""
        return self._identity

    @functools.cached_property
    def _identity(self) -> Mapping[str, Any]:
        return {
            "task": self.name,
            "version": self.version,
            "data": dict(self.data),
            "classes": list(self.class_names),
            "input_shape": list(self.input_shape),
            "sizes": dict(self.sizes),
            "metric": self.metric,
            **({"targets": self.targets} if self.regression else {}),
        }

    def modules(self) -> tuple[str, ...]:
        """Names of the modules whose code makes this task."""
        return self.code

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Task) and self.identity() == other.identity()

    def __hash__(self) -> int:
        return hash((self.name, self.version))

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class TaskSet:
    """Several tasks taken together as one source, in the order given."""

    tasks: tuple[Task, ...]

    def __post_init__(self) -> None:
        if not self.tasks:
            raise HarnessError("a task set needs at least one task")
        names = [task.name for task in self.tasks]
        if len(set(names)) != len(names):
            raise HarnessError(f"a task set names a task twice: {', '.join(names)}")

    @property
    def name(self) -> str:
        """The names of the tasks joined by ` + `."""
        return " + ".join(task.name for task in self.tasks)

    def identity(self) -> Mapping[str, Any]:
        """The identities of the tasks, in order."""
        return {"task_set": [dict(task.identity()) for task in self.tasks]}

    def modules(self) -> tuple[str, ...]:
        """Names of the modules whose code makes these tasks."""
        return tuple(dict.fromkeys(module for task in self.tasks for module in task.modules()))

    def __str__(self) -> str:
        return self.name


P = ParamSpec("P")


class TaskEntry(Generic[P]):
    """A registered task: called with its parameters it gives a `Task`."""

    def __init__(self, name: str, factory: Callable[P, Task], attributes: Mapping[str, Attribute]) -> None:
        self.name = name
        self.factory = factory
        self.attributes = dict(attributes)
        self.parameters: Mapping[str, Parameter] = parameters_of(factory)
        self.summary = summary_of(factory)
        functools.update_wrapper(self, factory)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Task:
        """Make the task, named by its reference (`half(of=digits_upright, split=0, side=a)`) or by its `name`."""
        given = dict(zip(self.parameters, args, strict=False)) | kwargs
        made = self.factory(*args, **kwargs)
        chosen = {
            key: given[key] for key, known in self.parameters.items() if key in given and given[key] != known.default
        }
        # A task of the user's own files names itself: its reference holds paths, which must be in no key.
        named = made.name if "name" in self.parameters else reference(self.name, chosen)
        return replace(
            made,
            name=named,
            attributes={**made.attributes, **self.attributes},
            code=tuple(dict.fromkeys((*made.code, self.factory.__module__))),
        )

    def __repr__(self) -> str:
        return f"TaskEntry({self.name!r})"


def task(name: str, **attributes: Attribute) -> Callable[[Callable[P, Task]], TaskEntry[P]]:
    """Register a function that makes a task under `name`; `attributes` can be matched by pairs (family, domain).

    The function's parameters are the parameters of the reference `name(key=value, ...)`. The name and the module that
    it gives the Task are replaced by the registered ones.
    """

    def register(factory: Callable[P, Task]) -> TaskEntry[P]:
        entry = TaskEntry(name, factory, attributes)
        TASKS.register(name, entry, factory.__module__, **attributes)
        return entry

    return register


def reference(name: str, arguments: Mapping[str, object]) -> str:
    """Return the canonical text of a reference: `name`, or `name(key=value, ...)` in the order given."""
    if not arguments:
        return name
    inner = ", ".join(f"{key}={_written(value)}" for key, value in arguments.items())
    return f"{name}({inner})"


def _written(value: object) -> str:
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(_written(item) for item in value)}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    return str(value)
