"""Names of tasks, backbones, methods and estimators, and where they come from.

The engine finds these four by name and never imports one directly. Built-in ones are found by importing every module
of the package that holds them; a user's own come from the entry-point group ``harness.plugins`` or from a study's
``plugins:`` list. Importing any of them must be cheap: heavy libraries belong inside function bodies.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import pkgutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from harness.errors import HarnessError, suggest

T = TypeVar("T")

ENTRY_POINT_GROUP = "harness.plugins"
PLUGIN_PREFIX = "harness_plugin_"


class UnknownNameError(HarnessError):
    """A name that no registry entry has."""


@dataclass(frozen=True)
class Entry(Generic[T]):
    """One registered thing: its name, the object, the module that registered it, and declared attributes."""

    name: str
    value: T
    module: str
    attributes: Mapping[str, str | int] = field(default_factory=dict)


class Registry(Generic[T]):
    """A table of names that fills itself, on first use, from one of our packages and from entry points."""

    def __init__(self, kind: str, package: str) -> None:
        self.kind = kind
        self.package = package
        self._entries: dict[str, Entry[T]] = {}
        self._filled = False

    def register(self, name: str, value: T, module: str, **attributes: str | int) -> None:
        """Add ``value`` under ``name``; the same module may register a name again (a reload), another may not."""
        known = self._entries.get(name)
        if known is not None and known.module != module:
            raise HarnessError(f"{self.kind} {name!r} of {module} is already registered by {known.module}")
        self._entries[name] = Entry(name, value, module, attributes)

    def get(self, name: str) -> T:
        """Return what is registered under ``name``; raise UnknownNameError with the nearest name otherwise."""
        return self.entry(name).value

    def entry(self, name: str) -> Entry[T]:
        """Return the whole entry of ``name``."""
        self._fill()
        try:
            return self._entries[name]
        except KeyError:
            raise UnknownNameError(f"unknown {self.kind} {name!r}{suggest(name, self._entries)}") from None

    def names(self) -> list[str]:
        """Return all names, sorted."""
        self._fill()
        return sorted(self._entries)

    def items(self) -> Iterator[Entry[T]]:
        """Iterate over the entries in order of name."""
        for name in self.names():
            yield self._entries[name]

    def __contains__(self, name: object) -> bool:
        self._fill()
        return name in self._entries

    def _fill(self) -> None:
        if self._filled:
            return
        self._filled = True
        package = importlib.import_module(self.package)
        for module in pkgutil.iter_modules(package.__path__, self.package + "."):
            importlib.import_module(module.name)
        load_entry_points()


Factory = Callable[..., Any]

TASKS: Registry[Factory] = Registry("task", "harness.tasks")
BACKBONES: Registry[Factory] = Registry("backbone", "harness.backbones")
METHODS: Registry[Any] = Registry("method", "harness.methods")
ESTIMATORS: Registry[Any] = Registry("estimator", "harness.estimators")

_loaded_entry_points = False


def load_entry_points() -> None:
    """Import every installed module that declares itself under the entry-point group, once a process."""
    global _loaded_entry_points
    if _loaded_entry_points:
        return
    _loaded_entry_points = True
    for point in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP):
        try:
            point.load()
        except HarnessError:
            raise
        except (Exception, SystemExit) as error:
            raise HarnessError(f"installed plugin {point.name!r} ({point.value}) {_failure(error)}") from error


def load_plugins(plugins: Iterable[str], base: Path) -> list[str]:
    """Import a study's ``plugins:`` and return their module names, in order.

    ``base`` is the folder of the study file: ``./my_method.py`` is read relative to it, anything else is a dotted
    module name. Raises HarnessError when one is missing or fails to import.
    """
    return [_load_file(base / plugin) if is_path(plugin) else _load_module(plugin) for plugin in plugins]


def is_path(plugin: str) -> bool:
    """Say whether a plugin is named by its file rather than as a dotted module."""
    return plugin.endswith(".py")


def plugin_module_name(path: Path) -> str:
    """Return the module name that a plugin file gets: from its stem only, so that no folder enters a key."""
    return PLUGIN_PREFIX + path.stem.replace(".", "_")


def _failure(error: BaseException) -> str:
    """Say in one line why an import failed; a plugin that calls ``sys.exit`` has failed too."""
    return " ".join(f"fails to import: {type(error).__name__}: {error}".split()).rstrip(":")


def _load_module(name: str) -> str:
    if not all(part.isidentifier() for part in name.split(".")):
        raise HarnessError(f"plugin {name!r} is neither a file ending in .py nor the dotted name of a Python module")
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and name.split(".")[0] == error.name.split(".")[0]:
            raise HarnessError(f"plugin {name!r} cannot be found as a Python module") from error
        raise HarnessError(f"plugin {name!r} {_failure(error)}") from error
    except HarnessError:
        raise
    except (Exception, SystemExit) as error:
        raise HarnessError(f"plugin {name!r} {_failure(error)}") from error
    return name


def _load_file(path: Path) -> str:
    path = path.resolve()
    name = plugin_module_name(path)
    known = sys.modules.get(name)
    if known is not None and known.__file__ == str(path):
        return name
    if known is not None:
        raise HarnessError(f"two plugin files have the name {path.name}: {known.__file__} and {path}")
    if not path.is_file():
        raise HarnessError(f"plugin file {path} does not exist")
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise HarnessError(f"plugin file {path} is not a Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, (HarnessError, KeyboardInterrupt)):
            raise
        raise HarnessError(f"plugin file {path} {_failure(error)}") from error
    return name
