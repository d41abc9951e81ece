"""A YAML text read into plain data, with the line of every key and item.

Read with ``yaml.compose`` and our own scalar rules (:mod:`harness.study.scalars`), so nothing is ever constructed by a
tag, and every value knows where it was written.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from harness.study.problems import Place, Problem, StudyError
from harness.study.scalars import parse_scalar

KeyPath = tuple[str | int, ...]
"""Where in a study a value stands: ``("axes", "shots", 0)``."""

_MOST_NODES = 250_000
"""Values that a study may hold once its aliases are written out."""


class _Loader(yaml.BaseLoader):
    """Composes nodes whose tag says how a scalar was written: ``plain``, ``text``, or the tag given explicitly."""

    def resolve(self, kind: type[yaml.Node], value: Any, implicit: Any) -> str:
        """Return ``plain`` for an unquoted scalar and ``text`` for a quoted one, instead of guessing a type."""
        if kind is not yaml.ScalarNode:
            return "untagged"
        return "plain" if implicit[0] else "text"


@dataclass
class Document:
    """Plain data and the place of every path in it.

    problems: those that did not keep it from being read. broken: the paths at which they stand, where what stands
    there is not what was meant. folders: for each file as named, where it lies.
    """

    data: dict[str, Any]
    places: dict[KeyPath, Place]
    problems: list[Problem] = field(default_factory=list)
    broken: list[KeyPath] = field(default_factory=list)
    folders: dict[str, Path] = field(default_factory=dict)

    def place(self, path: KeyPath) -> Place:
        """Return where ``path`` was written, or the nearest thing around it."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places[path]

    def folder(self, path: KeyPath) -> Path:
        """Return the folder to which a file name written at ``path`` is relative."""
        return self.folders.get(self.place(path).file, Path())


def read_document(path: Path, name: str | None = None) -> Document:
    """Read a study file. Raises StudyError when it is missing or not YAML; ``name`` is what messages call it."""
    shown = str(path) if name is None else name
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise StudyError([Problem(shown, 0, "there is no such study file")]) from None
    except IsADirectoryError:
        raise StudyError([Problem(shown, 0, "this is a folder, not a study file")]) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise StudyError([Problem(shown, line, "the file is not UTF-8 text")]) from None
    except OSError as error:
        raise StudyError([Problem(shown, 0, f"the file cannot be read ({error.strerror})")]) from None
    return parse_document(text, shown)


def parse_document(text: str, file: str) -> Document:
    """Read YAML text that must be one mapping. Raises StudyError for anything that keeps it from being read."""
    node = _compose(text, file)
    if node is None:
        raise StudyError([Problem(file, 1, "the study is empty")])
    builder = _Builder(file)
    data = builder.build(node, ())
    if not isinstance(data, dict):
        raise StudyError([*builder.problems, Problem(file, _line(node), "a study is a mapping of keys to values")])
    return Document(data, builder.places, builder.problems, builder.broken)


def parse_value(text: str, file: str) -> Any:
    """Read one YAML value, such as the right side of ``--set key=value``, by the same rules."""
    node = _compose(text, file)
    if node is None:
        return None
    builder = _Builder(file, lines=False)
    value = builder.build(node, ())
    if builder.problems:
        raise StudyError(builder.problems)
    return value


def _compose(text: str, file: str) -> yaml.Node | None:
    try:
        node: yaml.Node | None = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        raise StudyError([_syntax_problem(error, text, file)]) from None
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        raise StudyError([Problem(file, line, "the file holds a control character that YAML forbids")]) from None
    except RecursionError:
        raise StudyError([Problem(file, 1, "the values are nested too deeply")]) from None
    return node


def _syntax_problem(error: yaml.MarkedYAMLError, text: str, file: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    line = 1 if mark is None else mark.line + 1
    what = error.problem or error.context or "it cannot be read"
    source = text.split("\n")[line - 1] if line <= text.count("\n") + 1 else ""
    if "\\t" in what or "\t" in source[: len(source) - len(source.lstrip())]:
        return Problem(file, line, "a tab stands where only spaces may indent")
    if "document" in what and "single" in (error.context or ""):
        return Problem(file, line, "a study is one YAML document, and here a second begins")
    if "another document" in what:
        return Problem(file, line, "a study is one YAML document, and here a second begins")
    if what.startswith("found undefined alias"):
        return Problem(file, line, f"the alias {what.split()[-1]} has no anchor before it")
    hint = " (text that holds ': ' needs quotes)" if what.startswith("mapping values") else ""
    return Problem(file, line, f"this is not valid YAML: {what}{hint}")


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


class _Builder:
    """Turns composed nodes into plain data, noting places and problems on the way."""

    def __init__(self, file: str, lines: bool = True) -> None:
        self.file = file
        self.lines = lines
        self.places: dict[KeyPath, Place] = {}
        self.problems: list[Problem] = []
        self.broken: list[KeyPath] = []
        self._open: set[int] = set()
        self._count = 0

    def build(self, node: yaml.Node, path: KeyPath) -> Any:
        """Return the data of ``node``; the place of ``path`` is where the node begins unless its key was noted."""
        self.places.setdefault(path, Place(self.file, _line(node)))
        self._count += 1
        if self._count > _MOST_NODES:
            raise StudyError([self._problem(node, f"the study holds more than {_MOST_NODES:,} values")])
        if id(node) in self._open:
            raise StudyError([self._problem(node, "an alias stands inside what it refers to")])
        self._open.add(id(node))
        try:
            return self._value(node, path)
        finally:
            self._open.discard(id(node))

    def _value(self, node: yaml.Node, path: KeyPath) -> Any:
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if node.tag != "untagged":
            self._refuse_tag(node, path)
        if isinstance(node, yaml.SequenceNode):
            self._refuse_split_references(node, path)
            return [self.build(item, (*path, index)) for index, item in enumerate(node.value)]
        assert isinstance(node, yaml.MappingNode)
        return self._mapping(node, path)

    def _scalar(self, node: yaml.ScalarNode, path: KeyPath) -> Any:
        text = str(node.value)
        if node.tag == "plain":
            return parse_scalar(text)
        if node.tag not in ("text", "tag:yaml.org,2002:str"):
            self._refuse_tag(node, path)
        return text

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        data: dict[str, Any] = {}
        seen: dict[str, int] = {}
        for key_node, value_node in self._pairs(node):
            key = self._key(key_node)
            if key is None:
                continue
            if key in seen:
                message = f"the key {key!r} is given twice (first on line {seen[key]})"
                self.problems.append(self._problem(key_node, message))
                continue
            seen[key] = _line(key_node)
            self.places[*path, key] = Place(self.file, _line(key_node))
            data[key] = self.build(value_node, (*path, key))
        for merged in self._merges(node, path):
            for key, value in merged.items():
                data.setdefault(key, value)
        return data

    def _pairs(self, node: yaml.MappingNode) -> Iterator[tuple[yaml.Node, yaml.Node]]:
        return ((key, value) for key, value in node.value if not _is_merge(key))

    def _merges(self, node: yaml.MappingNode, path: KeyPath) -> Iterator[dict[str, Any]]:
        """Yield the mappings of ``<<:`` keys, first ones first; what is already given is not overwritten."""
        for key, value in node.value:
            if not _is_merge(key):
                continue
            for source in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                if isinstance(source, yaml.MappingNode):
                    merged = _Builder(self.file)
                    merged._open, merged._count = self._open, self._count
                    data = merged.build(source, path)
                    for place_path, place in merged.places.items():
                        self.places.setdefault(place_path, place)
                    self._count = merged._count
                    self.problems += merged.problems
                    self.broken += merged.broken
                    yield data
                else:
                    self.problems.append(self._problem(key, "the merge key '<<' needs a mapping or a list of them"))

    def _key(self, node: yaml.Node) -> str | None:
        if isinstance(node, yaml.ScalarNode) and node.tag in ("plain", "text"):
            key = str(node.value)
            if key and not ("=" in key and key.endswith(")")):
                return key
            if key:
                message = f"{key!r} is part of a reference that YAML split at its comma; put it in quotes"
                self.problems.append(self._problem(node, message))
                return None
        self.problems.append(self._problem(node, "a key must be a plain word"))
        return None

    def _refuse_split_references(self, node: yaml.SequenceNode, path: KeyPath) -> None:
        """Refuse ``[half(of=a, side=b)]``, which YAML reads as two items."""
        for item in node.value:
            if isinstance(item, yaml.ScalarNode) and item.tag == "plain":
                text = str(item.value)
                if "(" in text and text.count("(") > text.count(")"):
                    message = f"inside [ ] YAML splits the reference {text!r} at its comma; put it in quotes"
                    self.problems.append(self._problem(item, message))
                    self.broken.append(path)

    def _refuse_tag(self, node: yaml.Node, path: KeyPath) -> None:
        tag = str(node.tag).replace("tag:yaml.org,2002:", "!!")
        self.problems.append(self._problem(node, f"the tag {tag} is not allowed; write the plain value"))
        self.broken.append(path)

    def _problem(self, node: yaml.Node, message: str) -> Problem:
        return Problem(self.file, _line(node) if self.lines else 0, message)


def _is_merge(key: yaml.Node) -> bool:
    return isinstance(key, yaml.ScalarNode) and key.tag == "plain" and key.value == "<<"
