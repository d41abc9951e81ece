"""What makes a worker's code the driver's: plugins shipped as text, and a digest of this package."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.errors import HarnessError
from harness.registry import PLUGIN_PREFIX, load_plugins


@dataclass(frozen=True)
class Plugin:
    """A plugin module: a file with its text, or a dotted module with the folder that its package was found in."""

    module: str
    path: str
    text: bytes | None


def pack_plugins(modules: Iterable[str]) -> tuple[Plugin, ...]:
    """Describe loaded plugin modules so that a worker can load the same."""
    packed = []
    for name in modules:
        file = getattr(importlib.import_module(name), "__file__", None)
        if file is None:
            raise HarnessError(f"plugin module {name} has no file, so it cannot be given to workers")
        path = Path(file)
        if name.startswith(PLUGIN_PREFIX):
            packed.append(Plugin(name, str(path), path.read_bytes()))
        else:
            top = Path(str(importlib.import_module(name.split(".")[0]).__file__))
            root = top.parent.parent if top.name == "__init__.py" else top.parent
            packed.append(Plugin(name, str(root), None))
    return tuple(packed)


def unpack_plugins(plugins: Iterable[Plugin], scratch: Path) -> None:
    """Load plugins in a worker. A file that is not there, or differs, is taken from the text that was shipped."""
    for plugin in plugins:
        if plugin.text is None:
            if importlib.util.find_spec(plugin.module.split(".")[0]) is None:
                sys.path.append(plugin.path)
            load_plugins([plugin.module], Path())
            continue
        path = Path(plugin.path)
        if not path.is_file() or path.read_bytes() != plugin.text:
            path = _write_once(plugin, scratch)
        load_plugins([path.name], path.parent)


def _write_once(plugin: Plugin, scratch: Path) -> Path:
    assert plugin.text is not None
    folder = scratch / "plugins" / hashlib.sha256(plugin.text).hexdigest()[:16]
    path = folder / Path(plugin.path).name
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(f".{hashlib.sha256(str(id(plugin)).encode()).hexdigest()[:8]}.tmp")
        draft.write_bytes(plugin.text)
        draft.replace(path)
    return path


def package_root() -> Path:
    """Return the folder that holds this package."""
    import harness

    assert harness.__file__ is not None
    return Path(harness.__file__).resolve().parent.parent


def package_digest() -> str:
    """Return a digest of this package's source files, to compare a worker's with the driver's."""
    import harness

    root = package_root() / "harness"
    digest = hashlib.sha256(harness.__version__.encode())
    for path in sorted(root.rglob("*.py")):
        digest.update(f"{path.relative_to(root)}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
