"""From files and ``--set`` values to one document: ``extends:`` laid over, values set, interpolations resolved."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.study.document import Document, KeyPath, parse_value, read_document
from harness.study.problems import Place, Problem, StudyError

_RESOLVER = re.compile(r"\$\{\s*[A-Za-z_][\w.]*\s*:")


def assemble(path: Path, sets: Sequence[str]) -> Document:
    """Read a study and the files that it extends, apply ``--set`` values and resolve interpolations.

    Raises StudyError when a file cannot be read at all; lesser problems are in the document.
    """
    document = _read_chain(path, str(path), ())
    for item in sets:
        _set_value(document, item)
    _interpolate(document)
    return document


def _read_chain(path: Path, name: str, above: tuple[Path, ...]) -> Document:
    document = read_document(path, name)
    document.folders[name] = path.parent
    base = document.data.pop("extends", None)
    if base is None:
        return document
    place = document.place(("extends",))
    if not isinstance(base, str):
        document.problems.append(Problem(place.file, place.line, "extends must be the path of another study file"))
        return document
    chain = (*above, path.resolve())
    base_path = path.parent / base
    if base_path.resolve() in chain:
        document.problems.append(Problem(place.file, place.line, f"the study extends itself through {base!r}"))
        return document
    if not base_path.is_file():
        document.problems.append(Problem(place.file, place.line, f"there is no study file {base!r} to extend"))
        return document
    return _lay_over(_read_chain(base_path, str(base_path), chain), document)


def _lay_over(base: Document, top: Document) -> Document:
    """Merge mappings key by key; anything else of ``top``, lists too, replaces what ``base`` has there."""
    replaced: set[KeyPath] = set()
    data = _merge(base.data, top.data, (), replaced)
    kept = {path: place for path, place in base.places.items() if not _is_under(path, replaced)}
    problems, broken = top.problems + base.problems, top.broken + base.broken
    return Document(data, {**kept, **top.places}, problems, broken, {**base.folders, **top.folders})


def _merge(base: Mapping[str, Any], top: Mapping[str, Any], path: KeyPath, replaced: set[KeyPath]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in top.items():
        below = merged.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            merged[key] = _merge(below, value, (*path, key), replaced)
        else:
            merged[key] = value
            replaced.add((*path, key))
    return merged


def _is_under(path: KeyPath, roots: set[KeyPath]) -> bool:
    return any(path[:length] in roots for length in range(1, len(path) + 1))


# --- --set ------------------------------------------------------------------------------------------------------------


def _set_value(document: Document, item: str) -> None:
    key, equals, text = item.partition("=")
    name = f"--set {item}"
    if not equals or not key.strip():
        document.problems.append(Problem(name, 0, "a value is set by key=value, such as params.steps=50"))
        return
    try:
        value = parse_value(text, name)
    except StudyError as error:
        document.problems += [Problem(name, 0, problem.message) for problem in error.problems]
        return
    parts: KeyPath = tuple(int(part) if part.isdecimal() else part for part in key.strip().split("."))
    if parts[0] == "extends":
        document.problems.append(Problem(name, 0, "what a study extends cannot be set; write it in the study"))
        return
    parent: Any = document.data
    for depth, part in enumerate(parts[:-1]):
        if isinstance(parent, dict) and part not in parent:
            parent[str(part)] = {}
            document.places[parts[: depth + 1]] = Place(name, 0)
        if not _holds(parent, part) or not isinstance(parent[part], (dict, list)):
            message = f"{'.'.join(map(str, parts[: depth + 1]))!r} holds no further keys"
            document.problems.append(Problem(name, 0, message))
            return
        parent = parent[part]
    if isinstance(parent, list) and not _holds(parent, parts[-1]):
        document.problems.append(Problem(name, 0, f"the list has no entry {parts[-1]!r}"))
        return
    parent[parts[-1] if isinstance(parent, list) else str(parts[-1])] = value
    for path in [path for path in document.places if path[: len(parts)] == parts]:
        del document.places[path]
    document.places[parts] = Place(name, 0)


def _holds(parent: Any, part: str | int) -> bool:
    if isinstance(parent, list):
        return isinstance(part, int) and part < len(parent)
    return isinstance(parent, dict) and part in parent


# --- interpolation ----------------------------------------------------------------------------------------------------


def _interpolate(document: Document) -> None:
    """Replace ``${key}`` by what stands at that key of the study; nothing else, such as the environment, is read."""
    leaves = [(path, text) for path, text in _texts(document.data, ()) if "${" in text]
    if not leaves:
        return
    resolvers = [(path, text) for path, text in leaves if _RESOLVER.search(text)]
    for path, text in resolvers:
        place = document.place(path)
        message = f"{text!r} calls a resolver; only keys of the study itself may be interpolated"
        document.problems.append(Problem(place.file, place.line, message))
        document.broken.append(path)
        _put(document.data, path, "")
    _resolve([leaf for leaf in leaves if leaf not in resolvers], document)


def _resolve(leaves: Sequence[tuple[KeyPath, str]], document: Document) -> None:
    from omegaconf import Container, OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    def refuse(path: KeyPath, text: str, error: Exception) -> None:
        place = document.place(path)
        document.problems.append(Problem(place.file, place.line, _why(text, error)))
        document.broken.append(path)
        _put(document.data, path, "")

    sound: list[tuple[KeyPath, str]] = []
    for path, text in leaves:
        try:
            OmegaConf.create({"text": text})
            sound.append((path, text))
        except OmegaConfBaseException as error:
            refuse(path, text, error)
    config = OmegaConf.create(document.data)
    for path, text in sound:
        try:
            value: Any = config
            for part in path:
                value = value[part]
            if isinstance(value, Container):
                value = OmegaConf.to_container(value, resolve=True)
            _put(document.data, path, value)
        except OmegaConfBaseException as error:
            refuse(path, text, error)


def _why(text: str, error: Exception) -> str:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return f"{text!r} cannot be interpolated: {reason[0].lower() + reason[1:]}"


def _texts(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts(item, (*path, index))


def _put(data: Any, path: KeyPath, value: Any) -> None:
    for part in path[:-1]:
        data = data[part]
    data[path[-1]] = value
