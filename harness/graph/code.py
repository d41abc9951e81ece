"""Which code made a record: a digest of the syntax trees behind a stage, found without importing anything.

A stage's code is its module and the project modules that this imports, directly or not, and the modules that make the
tasks and backbones among its arguments. Comments, docstrings and layout do not count. Of this distribution only the
packages that hold content count: the engine decides when a stage runs, not what it computes (but for the seeds and
the choice among candidates).
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from harness.errors import HarnessError

PROJECT = "harness"
CONTENT = (
    f"{PROJECT}.tasks",
    f"{PROJECT}.backbones",
    f"{PROJECT}.methods",
    f"{PROJECT}.estimators",
    f"{PROJECT}.training",
    *(f"{PROJECT}.data.{name}" for name in ("arrays", "decoded", "items", "pictures", "texts")),
)
SEEDS = f"{PROJECT}.graph.seeds"
SELECTION = f"{PROJECT}.planning.selection"


@dataclass(frozen=True)
class CodeDigest:
    """The code behind some stages: ``files`` maps module names to digests of their syntax trees."""

    files: Mapping[str, str]

    @cached_property
    def digest(self) -> str:
        """One digest for all files (16 hex digits)."""
        text = "\n".join(f"{name} {self.files[name]}" for name in sorted(self.files))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def changed_since(self, earlier: Mapping[str, str]) -> list[str]:
        """Name the modules that differ from an earlier record's, sorted: changed, added or gone."""
        return sorted(name for name in self.files.keys() | earlier.keys() if self.files.get(name) != earlier.get(name))


class CodeDigests:
    """Digests of modules, each file read once. The top-level modules of ``plugins`` count as project code too."""

    def __init__(self, plugins: Iterable[str] = ()) -> None:
        self._roots = {name.split(".")[0] for name in plugins}
        self._modules: dict[str, tuple[str, frozenset[str]] | None] = {}
        self._closures: dict[frozenset[str], CodeDigest] = {}

    def of(self, modules: Iterable[str]) -> CodeDigest:
        """Return the digest of these modules and of all project modules that they import."""
        start = frozenset((*modules, SEEDS))
        known = self._closures.get(start)
        if known is None:
            known = self._closures[start] = CodeDigest(self._reach(start))
        return known

    def _reach(self, start: frozenset[str]) -> dict[str, str]:
        files: dict[str, str] = {}
        waiting = sorted(start)
        while waiting:
            name = waiting.pop()
            if name in files or not self._counts(name):
                continue
            module = self._module(name)
            if module is None:
                continue
            files[name] = module[0]
            waiting.extend(module[1])
        return files

    def _counts(self, name: str) -> bool:
        top = name.split(".")[0]
        if top == PROJECT:
            return name in (SEEDS, SELECTION) or any(
                name == package or name.startswith(package + ".") for package in CONTENT
            )
        return top in self._roots

    def _module(self, name: str) -> tuple[str, frozenset[str]] | None:
        if name not in self._modules:
            path = _find(name)
            self._modules[name] = None if path is None else _read(path, name)
        return self._modules[name]


def _find(name: str) -> Path | None:
    """Return the file of a module without importing it (its top-level package may be imported)."""
    top, *rest = name.split(".")
    loaded = sys.modules.get(name)
    if not rest and loaded is not None and loaded.__file__ is not None:
        return Path(loaded.__file__)
    root = _top_level(top)
    if root is None:
        return None
    if not rest:
        return root
    if root.name != "__init__.py":
        return None
    base = root.parent.joinpath(*rest)
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


def _top_level(name: str) -> Path | None:
    loaded = sys.modules.get(name)
    if loaded is not None and loaded.__file__ is not None:
        return Path(loaded.__file__)
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    return Path(spec.origin) if spec is not None and spec.origin is not None else None


def _read(path: Path, name: str) -> tuple[str, frozenset[str]]:
    try:
        tree = ast.parse(path.read_bytes(), filename=str(path))
    except SyntaxError as error:
        raise HarnessError(f"{path}:{error.lineno}: {error.msg}") from None
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    imports = frozenset(_imports(tree, package))
    parts: list[str] = []
    _dump(tree, parts)
    return hashlib.sha256("".join(parts).encode()).hexdigest()[:16], imports


def _imports(tree: ast.Module, package: str) -> Iterable[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parents, base] if base else parents)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _dump(node: ast.AST, parts: list[str]) -> None:
    """Append a text of the tree that is the same for every Python version: empty and absent fields left out."""
    parts.append(f"({type(node).__name__}")
    documented = isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
    for name, value in ast.iter_fields(node):
        if name in ("ctx", "type_comment", "kind", "type_ignores"):
            continue
        if name == "body" and documented and ast.get_docstring(node, clean=False) is not None:  # type: ignore[arg-type]  # narrowed by `documented`
            value = value[1:]
        _dump_field(name, value, parts)
    parts.append(")")


def _dump_field(name: str, value: object, parts: list[str]) -> None:
    if value is None or value == []:
        return
    parts.append(f" {name}=")
    if isinstance(value, list):
        for item in value:
            if isinstance(item, ast.AST):
                _dump(item, parts)
            else:
                parts.append(f"{item!r},")
    elif isinstance(value, ast.AST):
        _dump(value, parts)
    else:
        parts.append(repr(value))
