"""Stages: pure functions that trials share, described by ``bind`` and known by their content key.

    @stage(version=1)
    def train(task: Task, init: Weights | None = None, seed: int = 0, *, ctx: StageContext) -> Weights:
        ...

    base = train.bind(task=source, seed=0)          # described, not run
    net = train.bind(task=target, init=base, seed=0)

The key is a hash of the stage's name, its declared version, the arguments coerced to their annotations less those
equal to their default, the identity of tasks and backbones, and the keys of the inputs. Never a path, an index, a
machine, a time or a batch width.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import json
import types
import typing
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, ParamSpec, TypeVar, Union

from harness.errors import HarnessError, suggest
from harness.graph.canonical import ArgumentError, Coercer, Identified, Mismatch, compile_annotation, describe
from harness.graph.results import Artifact, Measurements, Value

P = ParamSpec("P")
R = TypeVar("R")

Keep = Literal["durable", "transient", "cache"]
ResultKind = Literal["artifact", "value", "measurements"]
CONTEXT = "ctx"
_RESULT_KINDS: tuple[tuple[type, ResultKind], ...] = (
    (Artifact, "artifact"),
    (Value, "value"),
    (Measurements, "measurements"),
)
Operations = Callable[[Mapping[str, Any]], float | None]
"""Operations of a call from its arguments."""
_CACHE_LIMIT = 200_000
_MISSING = object()


@dataclass(frozen=True)
class Resources:
    """What one call needs. ``gpus`` may be a share; ``world`` is the number of processes of a gang."""

    cpus: float = 1.0
    gpus: float = 0.0
    loaders: int = 0
    world: int = 1


@dataclass(frozen=True)
class BatchRule:
    """How calls may run together: always ``width`` members (short batches are padded), alike in ``group``."""

    width: int
    group: Callable[[Mapping[str, Any]], Hashable]
    function: Callable[..., Sequence[Any]]


class Node:
    """Anything that has a key in the graph: a described call or a choice between described calls."""

    __slots__ = ("key",)
    key: str

    @property
    def inputs(self) -> tuple[Node, ...]:
        """The nodes that must be known before this one."""
        raise TypeError(f"{type(self).__name__} does not say its inputs")


class Stage(Node):
    """One described call of a stage. ``values`` are the coerced arguments in the order of the parameters."""

    __slots__ = ("kind", "values")

    def __init__(self, kind: StageKind[Any, Any], values: tuple[Any, ...], key: str) -> None:
        self.kind = kind
        self.values = values
        self.key = key

    @property
    def arguments(self) -> dict[str, Any]:
        """All arguments by name; inputs are Stages."""
        return dict(zip(self.kind.names, self.values, strict=True))

    @property
    def inputs(self) -> tuple[Stage, ...]:
        """The stages among the arguments, in the order of the parameters."""
        found: list[Stage] = []
        for position in self.kind.input_positions:
            value = self.values[position]
            if isinstance(value, Stage):
                found.append(value)
            elif isinstance(value, tuple):
                found.extend(item for item in value if isinstance(item, Stage))
        return tuple(found)

    def named_inputs(self) -> list[tuple[str, Stage]]:
        """The stages among the arguments, each with the name of its argument."""
        found: list[tuple[str, Stage]] = []
        for position in self.kind.input_positions:
            name, value = self.kind.names[position], self.values[position]
            members = value if isinstance(value, tuple) else (value,)
            found.extend((name, item) for item in members if isinstance(item, Stage))
        return found

    def identified(self) -> tuple[Identified, ...]:
        """The tasks, backbones and the like among the arguments."""
        found: list[Identified] = []
        for position in self.kind.identified_positions:
            value = self.values[position]
            members = value if isinstance(value, tuple) else (value,)
            found.extend(item for item in members if isinstance(item, Identified))
        return tuple(found)

    def preimage(self) -> str:
        """The JSON text whose hash is the key."""
        return self.kind.preimage(self.values)

    def group(self) -> Hashable:
        """What calls must have in common to run in one batch; the key itself when the stage has no batched form."""
        rule = self.kind.batch
        return self.key if rule is None else (self.kind.name, rule.group(self.arguments))

    def __repr__(self) -> str:
        return f"<{self.kind.name} {self.key[:8]}>"


class Choice(Node):
    """One of several described calls, picked by what ``selector`` (a Stage returning ``Value({"index": i})``) finds.

    Only the chosen option is run. Stands for a Stage wherever a trial's terminal stage does.
    """

    __slots__ = ("options", "selector")

    def __init__(self, selector: Stage, options: Sequence[Stage]) -> None:
        if not options:
            raise ArgumentError("a choice needs at least one option")
        self.selector = selector
        self.options = tuple(options)
        text = json.dumps({"choice": selector.key, "options": [option.key for option in options]})
        self.key = _digest(text)

    @property
    def inputs(self) -> tuple[Node, ...]:
        """Only the selector: which option is needed is not known before it."""
        return (self.selector,)

    def __repr__(self) -> str:
        return f"<choice {self.key[:8]} of {len(self.options)}>"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class _Parameter:
    """One parameter of a stage, with a memo from value to (coerced value, JSON text)."""

    __slots__ = ("_coerce", "_memo", "annotation", "default", "default_text", "name", "required")

    def __init__(self, name: str, annotation: Any, default: Any) -> None:
        self.name = name
        self.annotation = annotation
        self._coerce: Coercer | None = None
        self._memo: dict[Any, tuple[Any, Any, str]] = {}
        self.required = default is inspect.Parameter.empty
        self.default: Any = None
        self.default_text: str | None = None
        rest = _without_inputs(annotation)
        if rest is not None:
            self._coerce = compile_annotation(rest)
        if not self.required:
            self.default, self.default_text = self.encode(default)

    def encode(self, value: Any) -> tuple[Any, str]:
        if isinstance(value, Stage):
            return value, f'{{"input":"{value.key}"}}'
        kind = type(value)
        if kind in (list, dict):  # may have changed since it was last seen
            return self._encode_new(value)
        memo_key = (kind, value) if kind in (int, str, float, bool) else id(value)
        known = self._memo.get(memo_key)
        if known is not None:
            return known[1], known[2]
        coerced, text = self._encode_new(value)
        if len(self._memo) >= _CACHE_LIMIT:
            self._memo.clear()
        if not (kind is tuple and any(isinstance(item, Stage) for item in value)):
            self._memo[memo_key] = (value, coerced, text)  # holding value keeps its id from being reused
        return coerced, text

    def _encode_new(self, value: Any) -> tuple[Any, str]:
        if isinstance(value, (tuple, list)) and value and all(isinstance(item, Stage) for item in value):
            return tuple(value), "[" + ",".join(f'{{"input":"{item.key}"}}' for item in value) + "]"
        try:
            if self._coerce is None:
                raise Mismatch
            return self._coerce(value)
        except Mismatch:
            raise ArgumentError(
                f"argument {self.name!r} should be {describe(self.annotation)}, not {value!r}"
            ) from None


def _is_input(annotation: Any) -> bool:
    origin = typing.get_origin(annotation)
    if origin in (tuple, list, Sequence):
        return any(_is_input(part) for part in typing.get_args(annotation) if part is not Ellipsis)
    if origin in (Union, types.UnionType):
        return any(_is_input(part) for part in typing.get_args(annotation))
    return isinstance(annotation, type) and issubclass(annotation, (Artifact, Value, Measurements))


def _without_inputs(annotation: Any) -> Any:
    """Return the part of an annotation that plain values may fill, or None when only stages may."""
    if typing.get_origin(annotation) in (Union, types.UnionType):
        rest = [part for part in typing.get_args(annotation) if not _is_input(part)]
        return Union[tuple(rest)] if rest else None  # noqa: UP007  (built from a list)
    return None if _is_input(annotation) else annotation


def _may_be_identified(annotation: Any) -> bool:
    parts = [part for part in typing.get_args(annotation) if part is not Ellipsis]
    if parts:
        return any(_may_be_identified(part) for part in parts)
    return isinstance(annotation, type) and hasattr(annotation, "identity")


class StageKind(Generic[P, R]):
    """A stage function with what the engine must know about it. Calling it runs the function."""

    def __init__(
        self,
        function: Callable[P, R],
        *,
        name: str,
        version: int,
        keep: Keep,
        resources: Resources,
        needs_trained: tuple[str, ...],
        tolerates: tuple[str, ...],
        accumulates: bool,
    ) -> None:
        self.function = function
        self.name = name
        self.version = version
        self.keep: Keep = keep
        self.resources = resources
        self.needs_trained = needs_trained
        self.tolerates = tolerates
        self.accumulates = accumulates
        self.module = function.__module__
        self.batch: BatchRule | None = None
        self._operations: Operations | None = None
        self.__doc__ = function.__doc__
        self._compiled: tuple[_Parameter, ...] | None = None
        self._result: ResultKind | None = None
        signature = inspect.signature(function)
        self.takes_context = CONTEXT in signature.parameters
        self.names = tuple(name for name in signature.parameters if name != CONTEXT)
        self._signature = signature
        for unknown in {*needs_trained, *tolerates} - set(self.names):
            raise HarnessError(f"stage {name!r} has no argument {unknown!r} that needs_trained or tolerates could name")

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<stage {self.name} v{self.version}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return find_kind, (self.module, self.name)

    def _compile(self) -> tuple[_Parameter, ...]:
        """Resolve annotations on first use: a plugin may define its classes after its stages."""
        if self._compiled is None:
            hints = typing.get_type_hints(self.function)
            self._result = _result_kind(self.name, hints.get("return"))
            compiled = []
            for name in self.names:
                if name not in hints:
                    raise HarnessError(f"stage {self.name!r}: argument {name!r} has no type annotation")
                compiled.append(_Parameter(name, hints[name], self._signature.parameters[name].default))
            self.input_positions = tuple(i for i, p in enumerate(compiled) if _is_input(p.annotation))
            self.identified_positions = tuple(i for i, p in enumerate(compiled) if _may_be_identified(p.annotation))
            self._in_key_order = tuple(
                (position, parameter, f"{json.dumps(parameter.name)}:")
                for position, parameter in sorted(enumerate(compiled), key=lambda pair: pair[1].name)
            )
            self._head = f'{{"stage":{json.dumps(self.name)},"version":{self.version},"arguments":{{'
            self._compiled = tuple(compiled)
        return self._compiled

    @property
    def result(self) -> ResultKind:
        """Whether the stage returns an artifact, a value or measurements."""
        self._compile()
        assert self._result is not None
        return self._result

    def bind(self, **arguments: Any) -> Stage:
        """Describe a call. Raises ArgumentError for an unknown, missing or ill-typed argument."""
        self._compile()
        values: list[Any] = [None] * len(self.names)
        parts: list[str] = []
        taken = 0
        try:
            for position, parameter, head in self._in_key_order:
                given = arguments.get(parameter.name, _MISSING)
                if given is _MISSING:
                    if parameter.required:
                        raise ArgumentError(f"it needs the argument {parameter.name!r}")
                    values[position] = parameter.default
                    continue
                taken += 1
                values[position], text = parameter.encode(given)
                if text != parameter.default_text:
                    parts.append(head + text)
        except ArgumentError as error:
            raise ArgumentError(f"stage {self.name!r}: {error}") from None
        if taken < len(arguments):
            unknown = next(name for name in arguments if name not in self.names)
            raise ArgumentError(f"stage {self.name!r} has no argument {unknown!r}{suggest(unknown, self.names)}")
        return Stage(self, tuple(values), _digest(self._preimage(parts)))

    def _preimage(self, parts: Sequence[str]) -> str:
        return f"{self._head}{','.join(parts)}}}}}"

    def preimage(self, values: Sequence[Any]) -> str:
        """Return the JSON text whose hash is the key of a call with these coerced values."""
        self._compile()
        parts: list[str] = []
        for position, parameter, head in self._in_key_order:
            _, text = parameter.encode(values[position])
            if text != parameter.default_text:
                parts.append(head + text)
        return self._preimage(parts)

    def counted(self, function: Operations) -> Operations:
        """Declare how many floating-point operations a call takes, from its plan-time arguments; None: not known.

        For plans, which call it for every stage that they need; it is in no key and no code digest of the stage.
        """
        self._operations = function
        return function

    def operations(self, arguments: Mapping[str, Any]) -> float | None:
        """Return the operations of a call with these arguments, or None where nobody has said."""
        return None if self._operations is None else self._operations(arguments)

    def batched(
        self, *, width: int, group: Callable[[Mapping[str, Any]], Hashable]
    ) -> Callable[[Callable[..., Sequence[Any]]], Callable[..., Sequence[Any]]]:
        """Declare the batched form ``f(members, ctx) -> results`` of this stage; an Exception among the results is
        that member's own failure."""
        if width < 1:
            raise HarnessError(f"stage {self.name!r}: a batch has at least one member, not {width}")

        def decorate(function: Callable[..., Sequence[Any]]) -> Callable[..., Sequence[Any]]:
            self.batch = BatchRule(width, group, function)
            return function

        return decorate


def _result_kind(name: str, annotation: Any) -> ResultKind:
    for base, kind in _RESULT_KINDS:
        if isinstance(annotation, type) and issubclass(annotation, base):
            return kind
    raise HarnessError(f"stage {name!r} must be annotated to return an Artifact, a Value or Measurements")


KINDS: dict[str, StageKind[Any, Any]] = {}


def stage(
    *,
    version: int,
    name: str | None = None,
    keep: Keep = "durable",
    resources: Resources | None = None,
    needs_trained: tuple[str, ...] = (),
    tolerates: tuple[str, ...] = (),
    accumulates: bool = False,
) -> Callable[[Callable[P, R]], StageKind[P, R]]:
    """Declare a function to be a stage.

    ``version`` is raised when the same arguments mean another result. ``keep`` says where its artifact lives.
    ``needs_trained`` names inputs whose ``not_trained`` flag makes this stage be skipped. ``tolerates`` names inputs
    that may have diverged: they arrive as None and the stage runs all the same. ``accumulates`` declares that cutting
    a batch into micro-batches gives the same result (no batch norm, no in-batch negatives).
    """

    def decorate(function: Callable[P, R]) -> StageKind[P, R]:
        kind = StageKind(
            function,
            name=name or function.__name__,
            version=version,
            keep=keep,
            resources=resources or Resources(),
            needs_trained=needs_trained,
            tolerates=tolerates,
            accumulates=accumulates,
        )
        known = KINDS.get(kind.name)
        if known is not None and known.module != kind.module:
            raise HarnessError(
                f"stage {kind.name!r} of {kind.module} is already defined by {known.module}; give it a name of its own"
            )
        KINDS[kind.name] = kind
        return kind

    return decorate


def find_kind(module: str, name: str) -> StageKind[Any, Any]:
    """Return the stage ``name`` that ``module`` defines, importing the module when that has not happened yet."""
    if name not in KINDS:
        importlib.import_module(module)
    try:
        return KINDS[name]
    except KeyError:
        raise HarnessError(f"module {module} defines no stage {name!r}{suggest(name, KINDS)}") from None
