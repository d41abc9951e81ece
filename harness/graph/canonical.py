"""Arguments coerced to their annotations, and the canonical JSON text that keys are made of.

Compiled once per parameter: :func:`compile_parameter` turns an annotation into a function from a value to the coerced
value and its JSON text, so that binding a stage costs microseconds.
"""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol, Union, runtime_checkable

from harness.errors import HarnessError
from harness.graph.results import JSON


@runtime_checkable
class Identified(Protocol):
    """A plan-time value, such as a task or a backbone, that knows its own identity without loading anything."""

    def identity(self) -> Mapping[str, JSON]:
        """Return canonical JSON of all that makes results differ: name, version, parameters, data digest."""

    def modules(self) -> tuple[str, ...]:
        """Return the names of the modules whose code makes this value."""


class ArgumentError(HarnessError):
    """A stage or recipe argument that its annotation does not admit."""


class Mismatch(Exception):
    """A value that does not fit an annotation; turned into an ArgumentError where the argument's name is known."""


Coerced = tuple[Any, str]
Coercer = Callable[[Any], Coerced]


def canonical_json(value: JSON) -> str:
    """Return JSON text with sorted keys and no blanks; refuses NaN and infinities, and anything not JSON."""
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _plain(value: JSON) -> JSON:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and value == 0:
        return 0.0
    return value


def describe(annotation: Any) -> str:
    """Return an annotation as a user would write it: ``int``, ``'all'``, ``int or 'all'``."""
    origin = typing.get_origin(annotation)
    if origin is Literal:
        return " or ".join(repr(choice) for choice in typing.get_args(annotation))
    if origin in (Union, types.UnionType):
        return " or ".join(describe(part) for part in typing.get_args(annotation))
    if annotation in (None, type(None)):
        return "null"
    if origin is not None:
        inner = ", ".join("..." if part is Ellipsis else describe(part) for part in typing.get_args(annotation))
        return f"{getattr(origin, '__name__', str(origin))} of {inner}"
    return getattr(annotation, "__name__", str(annotation))


def coerce(value: Any, annotation: Any) -> Any:
    """Return ``value`` as its annotation has it (``1`` as ``1.0`` for a float).

    Raises ArgumentError when the annotation does not admit it.
    """
    try:
        return compile_annotation(annotation)(value)[0]
    except Mismatch:
        raise ArgumentError(f"should be {describe(annotation)}, not {value!r}") from None


def _integer(value: Any) -> Coerced:
    if type(value) is int:
        return value, str(value)
    if isinstance(value, float) and value.is_integer():
        return int(value), str(int(value))
    raise Mismatch


def _float(value: Any) -> Coerced:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Mismatch
    number = float(value) + 0.0  # -0.0 becomes 0.0
    if not math.isfinite(number):
        raise Mismatch
    return number, repr(number)


def _string(value: Any) -> Coerced:
    if not isinstance(value, str):
        raise Mismatch
    return value, json.dumps(value, ensure_ascii=False)


def _boolean(value: Any) -> Coerced:
    if not isinstance(value, bool):
        raise Mismatch
    return value, "true" if value else "false"


def _none(value: Any) -> Coerced:
    if value is not None:
        raise Mismatch
    return None, "null"


def _json(value: Any) -> Coerced:
    try:
        return value, canonical_json(value)
    except (TypeError, ValueError):
        raise Mismatch from None


_SCALARS: dict[Any, Coercer] = {
    int: _integer,
    float: _float,
    str: _string,
    bool: _boolean,
    None: _none,
    type(None): _none,
    Any: _json,
    object: _json,
}


def compile_annotation(annotation: Any) -> Coercer:
    """Turn an annotation into its coercer. Raises ArgumentError for one that keys cannot be made of."""
    if annotation in _SCALARS:
        return _SCALARS[annotation]
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return _literal(parts)
    if origin in (Union, types.UnionType):
        return _union(annotation, parts)
    if origin is tuple:
        return _tuple(parts)
    if origin in (list, Sequence):
        return _tuple((parts[0], Ellipsis))
    if origin in (dict, Mapping):
        return _mapping(parts[1])
    if dataclasses.is_dataclass(annotation) and not _is_identified(annotation):
        return _dataclass(annotation)
    if isinstance(annotation, type):
        return _identified(annotation)
    raise ArgumentError(f"an argument annotated {annotation} cannot be part of a key")


def _is_identified(annotation: Any) -> bool:
    return hasattr(annotation, "identity") and hasattr(annotation, "modules")


def _literal(choices: tuple[Any, ...]) -> Coercer:
    texts = {(type(choice), choice): json.dumps(choice, ensure_ascii=False) for choice in choices}

    def coercer(value: Any) -> Coerced:
        try:
            return value, texts[type(value), value]
        except (KeyError, TypeError):
            raise Mismatch from None

    return coercer


def _union(annotation: Any, parts: tuple[Any, ...]) -> Coercer:
    coercers = [compile_annotation(part) for part in parts]
    exact = {part: coercer for part, coercer in zip(parts, coercers, strict=True) if isinstance(part, type)}

    def coercer(value: Any) -> Coerced:
        own = exact.get(type(value))
        if own is not None:
            return own(value)
        for candidate in coercers:
            try:
                return candidate(value)
            except Mismatch:
                continue
        raise Mismatch

    return coercer


def _tuple(parts: tuple[Any, ...]) -> Coercer:
    variadic = len(parts) == 2 and parts[1] is Ellipsis
    coercers = [compile_annotation(part) for part in parts if part is not Ellipsis]

    def coercer(value: Any) -> Coerced:
        if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
            raise Mismatch
        if variadic:
            members = [coercers[0](item) for item in value]
        elif len(value) == len(coercers):
            members = [own(item) for own, item in zip(coercers, value, strict=True)]
        else:
            raise Mismatch
        return tuple(item for item, _ in members), "[" + ",".join(text for _, text in members) + "]"

    return coercer


def _mapping(part: Any) -> Coercer:
    inner = compile_annotation(part)

    def coercer(value: Any) -> Coerced:
        if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
            raise Mismatch
        members = {key: inner(value[key]) for key in sorted(value)}
        text = ",".join(f"{json.dumps(key, ensure_ascii=False)}:{text}" for key, (_, text) in members.items())
        return {key: item for key, (item, _) in members.items()}, "{" + text + "}"

    return coercer


def _dataclass(annotation: Any) -> Coercer:
    """A frozen dataclass counts by its fields, less those equal to their default: a new field moves no key."""
    hints = typing.get_type_hints(annotation)
    fields = [(field, compile_annotation(hints[field.name])) for field in dataclasses.fields(annotation)]

    def coercer(value: Any) -> Coerced:
        if not isinstance(value, annotation):
            raise Mismatch
        texts, changes = {}, {}
        for field, own in fields:
            given = getattr(value, field.name)
            item, text = own(given)
            if item is not given:
                changes[field.name] = item
            if field.default is dataclasses.MISSING or own(field.default)[1] != text:
                texts[field.name] = text
        body = ",".join(f'"{name}":{texts[name]}' for name in sorted(texts))
        return (dataclasses.replace(value, **changes) if changes else value), "{" + body + "}"

    return coercer


def _identified(annotation: type) -> Coercer:
    def coercer(value: Any) -> Coerced:
        if not isinstance(value, annotation) or not isinstance(value, Identified):
            raise Mismatch
        return value, canonical_json(value.identity())

    return coercer
