"""References to tasks and backbones: ``name`` or ``name(key=value, ...)``, nested, parsed without evaluating anything.

``half(of=digits_upright, split=0, side=a)`` names the factory ``half`` and three arguments. A bare word is text until
the factory's own annotation says that it names a task or a backbone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from harness.errors import HarnessError
from harness.study.scalars import Scalar, parse_scalar

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]*")
_TOKEN = re.compile(r"""\s*(?:(?P<punctuation>[()\[\],=])|(?P<quoted>"[^"]*"|'[^']*')|(?P<word>[^\s()\[\],=\"']+))""")
_DEEPEST = 50


class ReferenceError(HarnessError):
    """A reference that cannot be read."""


@dataclass(frozen=True)
class Reference:
    """A name and its keyword arguments, in the order written; ``()`` and no brackets are the same."""

    name: str
    arguments: tuple[tuple[str, Argument], ...] = ()

    def __str__(self) -> str:
        if not self.arguments:
            return self.name
        return f"{self.name}({', '.join(f'{key}={_write(value)}' for key, value in self.arguments)})"


Argument = Scalar | Reference | tuple["Argument", ...]


def parse_reference(text: str) -> Reference:
    """Read ``name`` or ``name(key=value, ...)``.

    Raises ReferenceError with one sentence. Values are scalars by the study's rules, quoted text, ``[lists]`` and
    references with brackets; a bare word stays text.
    """
    parser = _Parser(text)
    reference = parser.reference(parser.next("a name"), 0)
    if parser.peek() is not None:
        raise parser.error(f"{parser.peek()!r} follows its end")
    return reference


def _write(value: Argument) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_write(item) for item in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    if isinstance(value, str) and (not re.fullmatch(r"[^\s()\[\],=\"']+", value) or parse_scalar(value) != value):
        return f'"{value}"' if '"' not in value else f"'{value}'"
    return str(value)


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self._tokens = list(self._split(text.strip()))
        self._at = 0

    def error(self, why: str) -> ReferenceError:
        return ReferenceError(f"the reference {self.text!r} cannot be read: {why}")

    def _split(self, text: str) -> Iterator[str]:
        at = 0
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                raise self.error("a quote is not closed")
            yield match.group().strip()
            at = match.end()

    def peek(self) -> str | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def next(self, wanted: str) -> str:
        token = self.peek()
        if token is None:
            raise self.error(f"{wanted} is missing at its end")
        self._at += 1
        return token

    def expect(self, token: str) -> None:
        found = self.next(repr(token))
        if found != token:
            raise self.error(f"{token!r} is wanted where {found!r} stands")

    def comma(self, end: str) -> None:
        if self.peek() is None:
            raise self.error(f"{end!r} is missing at its end")
        self.expect(",")

    def reference(self, name: str, depth: int) -> Reference:
        if depth > _DEEPEST:
            raise self.error("it is nested too deeply")
        if not _NAME.fullmatch(name):
            raise self.error(f"{name!r} is not a name")
        if self.peek() != "(":
            return Reference(name)
        self._at += 1
        arguments: dict[str, Argument] = {}
        while self.peek() != ")":
            key = self.next("')'")
            if not key.isidentifier():
                raise self.error(f"an argument is written key=value, and {key!r} is no key")
            if key in arguments:
                raise self.error(f"the argument {key!r} is given twice")
            self.expect("=")
            arguments[key] = self.value(depth)
            if self.peek() != ")":
                self.comma(")")
        self._at += 1
        return Reference(name, tuple(arguments.items()))

    def value(self, depth: int) -> Argument:
        token = self.next("a value")
        if token == "[":
            return self.items(depth + 1)
        if token[0] in "\"'":
            return token[1:-1]
        if token in ("(", ")", "]", ",", "="):
            raise self.error(f"a value is wanted where {token!r} stands")
        if self.peek() == "(":
            return self.reference(token, depth + 1)
        return parse_scalar(token)

    def items(self, depth: int) -> tuple[Argument, ...]:
        if depth > _DEEPEST:
            raise self.error("it is nested too deeply")
        found: list[Argument] = []
        while self.peek() != "]":
            found.append(self.value(depth))
            if self.peek() != "]":
                self.comma("]")
        self._at += 1
        return tuple(found)
