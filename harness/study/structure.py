"""The first half of validation: is everything of the right shape?

What is wrong is reported in our own sentences, then taken out of the data, so that the rest can still be checked and
all problems of a file are told at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from harness.errors import nearest, suggest
from harness.study.document import Document, KeyPath
from harness.study.problems import Place, Problem
from harness.study.scalars import spelling_hint
from harness.study.schema import StudyFile

_WANTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "string_type": "text",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}
_MOST_ROUNDS = 50
_GONE = "(an item taken out)"


class Reporter:
    """Collects problems by key path. What follows from a problem already reported is not reported again."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.problems: list[Problem] = list(document.problems)
        self._tainted: set[KeyPath] = set()
        self._tainted_names: set[str] = set()

    def add(self, path: KeyPath, message: str) -> None:
        """Report a problem with what stands at ``path``, unless something in it was found broken before."""
        if not self.is_tainted(path):
            self.add_at(self.document.place(path), message)

    def add_at(self, place: Place, message: str) -> None:
        """Report a problem at a place."""
        problem = Problem(place.file, place.line, message)
        if problem not in self.problems:
            self.problems.append(problem)

    def taint(self, path: KeyPath) -> None:
        """Remember that what stands at ``path`` is broken, so that what follows from it is not reported."""
        self._tainted.add(path)
        self._tainted_names.update(str(part) for part in path if isinstance(part, str))

    def taint_item(self, path: KeyPath) -> None:
        """Remember that a list lost its broken item at ``path``, and that those after it have moved up."""
        at, gone = path[:-1], path[-1]
        assert isinstance(gone, int)
        stay = {bad for bad in self._tainted if bad[: len(path)] != path}
        self._tainted = {_moved(bad, at, gone) for bad in stay} | {(*at, _GONE)}

    def follows(self, path: KeyPath) -> bool:
        """Whether a problem with ``path`` follows from one that was reported: something in it or like it was broken."""
        alike = (bad for bad in self._tainted if path and bad[:-1] == path[:-1] and isinstance(bad[-1], str))
        return self.is_tainted(path) or any(nearest(str(bad[-1]), [str(path[-1])]) for bad in alike)

    def is_tainted(self, path: KeyPath) -> bool:
        """Whether something at or below ``path`` was found broken and taken out."""
        return any(bad[: len(path)] == path for bad in self._tainted)

    def is_tainted_section(self, names: Iterable[str]) -> bool:
        """Whether something in a section of one of these names was found broken."""
        return any(not set(names).isdisjoint(part for part in bad if isinstance(part, str)) for bad in self._tainted)

    def is_tainted_name(self, name: str) -> bool:
        """Whether a key of that name was found broken, so that it may well have been meant to exist."""
        return name in self._tainted_names


def check_structure(reporter: Reporter) -> StudyFile | None:
    """Return the study as types, without what is broken; None when nothing can be made of it.

    Every broken part is reported once and taken out of the document's data.
    """
    document = reporter.document
    for path in sorted(set(document.broken), key=_last_first, reverse=True):
        _take_out(reporter, path)
    for _ in range(_MOST_ROUNDS):
        try:
            return StudyFile.model_validate(document.data)
        except ValidationError as error:
            found = [item for details in error.errors(include_url=False) for item in _explain(details, document.data)]
        for path, message in found:
            if not reporter.follows(path):
                reporter.add_at(document.place(path), message)
        for path in sorted({path for path, _ in found}, key=_last_first, reverse=True):
            _take_out(reporter, path)
    return None


def _last_first(path: KeyPath) -> tuple[tuple[int, int, str], ...]:
    return tuple((0, part, "") if isinstance(part, int) else (1, 0, part) for part in path)


def _take_out(reporter: Reporter, path: KeyPath) -> None:
    """Remove what stands at ``path``. A missing study name is filled in, a list item leaves a gap that is closed."""
    document = reporter.document
    parent: Any = document.data
    for part in path[:-1]:
        if part not in (parent if isinstance(parent, Mapping) else range(len(parent))):
            return
        parent = parent[part]
    if path == ("study",):
        parent["study"] = "unnamed"
    elif not path or path[-1] not in (parent if isinstance(parent, Mapping) else range(len(parent))):
        if path:
            _take_out(reporter, path[:-1])
    elif isinstance(parent, list):
        del parent[int(path[-1])]
        _close_gap(document, path[:-1], int(path[-1]))
        reporter.taint_item(path)
    else:
        del parent[path[-1]]
        reporter.taint(path)


def _close_gap(document: Document, at: KeyPath, gone: int) -> None:
    """Move the places of the items after the one that is gone."""
    moved = {
        _moved(path, at, gone): place for path, place in document.places.items() if path[: len(at) + 1] != (*at, gone)
    }
    document.places.clear()
    document.places.update(moved)


def _moved(path: KeyPath, at: KeyPath, gone: int) -> KeyPath:
    """Return ``path`` as it is once the item ``gone`` of the list ``at`` has been taken out."""
    depth = len(at)
    if len(path) > depth and path[:depth] == at and isinstance(index := path[depth], int) and index > gone:
        return (*at, index - 1, *path[depth + 1 :])
    return path


def _explain(details: ErrorDetails, data: Any) -> list[tuple[KeyPath, str]]:
    """Return (path, sentence) pairs for one error of pydantic."""
    path: KeyPath = tuple(part for part in details["loc"] if not (isinstance(part, str) and part.startswith("<")))
    kind, context = details["type"], details.get("ctx", {})
    if kind == "unknown_keys":
        return [((*path, key), message) for key, message in context["unknown"].items()]
    value = details.get("input")
    name = written(path)
    if kind == "missing":
        where = f" in {written(path[:-1])}" if path[:-1] else ""
        return [(path, f"the key {path[-1]!r} is missing{where}")]
    if kind == "sentence":
        return [(path, str(context["sentence"]).replace("{}", name, 1))]
    if kind in _WANTED:
        return [(path, f"{name} must be {_WANTED[kind]}, not {shown(value)}{_hint(value, kind)}")]
    if kind == "literal_error":
        choices = re.findall(r"'([^']*)'", str(context["expected"]))
        near = suggest(value, choices) if isinstance(value, str) else ""
        near = near if "mean" in near else ""
        return [(path, f"{name} must be {_alternatives(choices)}, not {shown(value)}{near}")]
    return [(path, f"{name} {_limits(kind, context, details['msg'])}, not {shown(value)}")]


def _alternatives(choices: list[str]) -> str:
    return choices[0] if len(choices) == 1 else f"{', '.join(choices[:-1])} or {choices[-1]}"


def _hint(value: Any, kind: str) -> str:
    if kind == "string_type" and isinstance(value, (bool, int, float)):
        return " (put it in quotes to make it text)"
    if kind in ("int_type", "float_type", "bool_type") and isinstance(value, str):
        return spelling_hint(value)
    if kind == "list_type" and isinstance(value, (str, int, float)):
        return f" (write [{value}])"
    return ""


def _limits(kind: str, context: Mapping[str, Any], otherwise: str) -> str:
    sentences = {
        "greater_than": "must be greater than {gt:g}",
        "greater_than_equal": "must be at least {ge}",
        "less_than": "must be less than {lt}",
        "less_than_equal": "must be at most {le}",
        "too_short": "must have at least {min_length} entries",
        "too_long": "must have at most {max_length} entries",
        "string_too_short": "must have at least {min_length} character",
        "string_pattern_mismatch": "must match {pattern}",
        "finite_number": "must be a finite number",
    }
    return sentences[kind].format(**context) if kind in sentences else otherwise[0].lower() + otherwise[1:]


def written(path: KeyPath) -> str:
    """Return a key path as a sentence names it: ``tune.random.n``, ``an entry of targets``."""
    text = ".".join(part for part in path if isinstance(part, str))
    return f"an entry of {text}" if path and isinstance(path[-1], int) else text or "the study"


def shown(value: Any) -> str:
    """Return a value as a sentence shows it: scalars as written, collections by their kind."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return repr(value)
    if isinstance(value, Mapping):
        return "a mapping"
    return f"a list of {len(value)}" if isinstance(value, (list, tuple)) else str(value)
