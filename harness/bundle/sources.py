"""The files that a study was written in: its own, those that it extends, and its plugins."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from harness.bundle.anonymous import Anonymiser

if TYPE_CHECKING:
    from harness.study import Study


def source_files(study: Study) -> list[Path]:
    """Return the study's file, the files that it extends, and its plugin files, each once."""
    files = [study.path.resolve()]
    while (base := _extended(files[-1])) is not None and base not in files:
        files.append(base)
    plugins = [Path(name) for name in study.plugin_files if Path(name).is_absolute() and Path(name).is_file()]
    return list(dict.fromkeys([*files, *plugins]))


def plugin_modules(study: Study) -> list[str]:
    """Return the plugins that are dotted modules: a bundle only names them."""
    return [name for name in study.plugin_files if not Path(name).is_absolute()]


def _extended(file: Path) -> Path | None:
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    base = content.get("extends") if isinstance(content, dict) else None
    return (file.parent / base).resolve() if isinstance(base, str) else None


def write_sources(files: list[Path], folder: Path, anonymiser: Anonymiser | None) -> list[str]:
    """Write files as they lie to each other, so that they find each other; return their names, the study's first."""
    top = Path(os.path.commonpath([file.parent for file in files]))
    names = []
    for file in files:
        name, text = file.relative_to(top).as_posix(), file.read_text(encoding="utf-8")
        if anonymiser is not None:
            name, text = anonymiser.name(name), anonymiser.text(text)
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        names.append(name)
    return names
