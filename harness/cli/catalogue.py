"""``harness studies | methods | backbones | estimators [NAME]`` and ``harness schema``."""

from __future__ import annotations

import argparse
import json
import typing
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.cli.lookup import known_studies, study_files
from harness.cli.text import columns
from harness.errors import HarnessError, suggest
from harness.registry import BACKBONES, ESTIMATORS, METHODS, Registry, load_plugins


def methods(arguments: argparse.Namespace) -> int:
    """List the methods, or describe one."""
    return _catalogue(METHODS, arguments)


def backbones(arguments: argparse.Namespace) -> int:
    """List the backbones, or describe one."""
    return _catalogue(BACKBONES, arguments)


def estimators(arguments: argparse.Namespace) -> int:
    """List the estimators, or describe one."""
    return _catalogue(ESTIMATORS, arguments)


def studies(arguments: argparse.Namespace) -> int:
    """List the study files of this folder and the studies that the results know, or say where one is."""
    files = study_files()
    known = set(known_studies(arguments.results))
    rows = [(called, str(path)) for called, path in files.items()]
    rows += [(name, f"known to {arguments.results}") for name in sorted(known - set(files))]
    if arguments.name is not None:
        rows = [row for row in rows if row[0] == arguments.name]
        if not rows:
            raise HarnessError(f"there is no study {arguments.name!r}{suggest(arguments.name, {*files, *known})}")
    if rows:
        print(columns(rows))
    return 0


def schema(arguments: argparse.Namespace) -> int:
    """Print the JSON schema of study files, or write it to a file."""
    import harness.api

    text = harness.api.schema()
    if arguments.to is None:
        print(text, end="")
    else:
        path = Path(arguments.to)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            raise HarnessError(f"{path} cannot be written: {path.parent} is not a folder") from None
        path.write_text(text, encoding="utf-8")
    return 0


def _catalogue(registry: Registry[Any], arguments: argparse.Namespace) -> int:
    load_plugins(arguments.plugins, Path.cwd())
    if arguments.name is None:
        print(columns([(entry.name, entry.value.summary) for entry in registry.items()]))
    else:
        print("\n".join(describe(registry, arguments.name)))
    return 0


def describe(registry: Registry[Any], name: str) -> Iterable[str]:
    """Yield the lines that describe one entry: what it is and its parameters with defaults."""
    entry = registry.entry(name)
    yield f"{registry.kind} {name}: {entry.value.summary}"
    yield f"defined in {entry.module}"
    if hasattr(entry.value, "reads"):
        yield f"reads {', '.join(entry.value.reads)}"
    parameters = entry.value.parameters
    if parameters:
        yield "parameters:"
        yield columns([_parameter(parameter) for parameter in parameters.values()], indent="  ")


def _parameter(parameter: Any) -> tuple[str, str, str]:
    """Return a parameter's name as study files write it, its type and its default."""
    name = f"source: {parameter.name}" if parameter.scope == "source" else parameter.name
    default = "required" if parameter.required else f"default {json.dumps(parameter.default, default=str)}"
    return name, type_name(parameter.annotation), default


def type_name(annotation: Any) -> str:
    """Write a type as a study's author would: ``whole number or "all"``."""
    words = {int: "whole number", float: "number", str: "text", bool: "true or false", type(None): "null"}
    if annotation in words:
        return words[annotation]
    if typing.get_origin(annotation) is typing.Literal:
        return " or ".join(f'"{value}"' if isinstance(value, str) else str(value) for value in annotation.__args__)
    parts, origin = typing.get_args(annotation), typing.get_origin(annotation)
    if origin in (dict, Mapping):
        return f"mapping to {type_name(parts[1])}"
    if parts and origin in (tuple, list, Sequence):
        return f"list of {type_name(parts[0])}"
    if parts:
        return " or ".join(type_name(part) for part in parts)
    return str(getattr(annotation, "__name__", annotation)).lower()
