"""The file itself: a zip whose bytes depend on nothing but its members, and the comparison with its own checksums.

Nothing is ever unpacked to disk here.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from harness.errors import HarnessError

SUMS = "SHA256SUMS"
_CHUNK = 2**20
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip can state: when it was packed is nobody's business and would change its bytes."""
_PACKED = {".png", ".pdf", ".parquet", ".safetensors"}
"""Endings of members that are compressed already."""


@dataclass(frozen=True)
class Verified:
    """What comparing a bundle with its checksums found. ``problems``: one sentence each."""

    members: int
    nbytes: int
    problems: tuple[str, ...]


def write_sums(folder: Path) -> None:
    """Write the checksums of all files under ``folder``, in the format of ``sha256sum``."""
    lines = []
    for name in sorted(_names(folder)):
        with (folder / name).open("rb") as file:
            lines.append(f"{_digest(file)[0]}  {name}\n")
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")


def pack(folder: Path, top: str, target: Path) -> int:
    """Write all files under ``folder`` into a zip, below a folder ``top``; return the number of members.

    Raises:
        HarnessError: the file cannot be written; an older one of that name is untouched.
    """
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    names = sorted(_names(folder))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(draft, "w") as archive:
            for name in names:
                with (folder / name).open("rb") as source, archive.open(_entry(f"{top}/{name}"), "w") as member:
                    shutil.copyfileobj(source, member, _CHUNK)
        os.replace(draft, target)
    except OSError as error:
        raise HarnessError(f"'{target}' could not be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            draft.unlink()
    return len(names)


def _entry(name: str) -> zipfile.ZipInfo:
    """Return the head of a member that is the same on every system and at all times."""
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.create_system = 3
    entry.external_attr = 0o100644 << 16
    entry.compress_type = zipfile.ZIP_STORED if Path(name).suffix in _PACKED else zipfile.ZIP_DEFLATED
    return entry


def _names(folder: Path) -> Iterator[str]:
    return (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def verify(path: Path) -> Verified:
    """Compare every member of a bundle with its checksum.

    Raises:
        HarnessError: the file cannot be read, or is no bundle.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _verify(archive, path)
    except FileNotFoundError:
        raise HarnessError(f"there is no file '{path}'") from None
    # zipfile raises the last two for compressions that it does not know and for members under a password.
    except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError) as error:
        raise HarnessError(f"'{path}' cannot be read as a bundle: {error}") from error


def _verify(archive: zipfile.ZipFile, path: Path) -> Verified:
    members = [entry for entry in archive.infolist() if not entry.is_dir()]
    names = [entry.filename for entry in members]
    lists = [name for name in names if name.count("/") == 1 and name.endswith(f"/{SUMS}")]
    if len(lists) != 1:
        raise HarnessError(f"'{path}' is no bundle: it has no {SUMS}")
    top = lists[0].removesuffix(SUMS)
    try:
        stated, problems = _stated(archive.read(lists[0]), top)
    except Exception as error:  # see below
        return Verified(len(members), 0, (f"{lists[0]}: it cannot be unpacked ({error})",))
    problems += [f"{name}: it is there twice" for name in sorted({n for n in names if names.count(n) > 1})]
    problems += [f"{name}: it is missing" for name in sorted(stated.keys() - set(names))]
    nbytes = 0
    for entry in members:
        if entry.filename == lists[0]:
            continue
        if entry.filename not in stated:
            problems.append(f"{entry.filename}: it has no checksum")
            continue
        try:
            with archive.open(entry) as file:
                digest, size = _digest(file)
        except Exception as error:  # zlib.error and whatever else a damaged stream raises
            problems.append(f"{entry.filename}: it cannot be unpacked ({error})")
            continue
        nbytes += size
        if digest != stated[entry.filename]:
            problems.append(f"{entry.filename}: it is not what was packed")
    return Verified(len(members), nbytes, tuple(problems))


def _stated(text: bytes, top: str) -> tuple[dict[str, str], list[str]]:
    """Return the checksums by member, and what is wrong with their list."""
    stated: dict[str, str] = {}
    problems = []
    for number, line in enumerate(text.decode("utf-8", "replace").splitlines(), 1):
        digest, blanks, name = line.partition("  ")
        if len(digest) != 64 or not blanks or not name:
            problems.append(f"{top}{SUMS}: line {number} states no checksum")
        else:
            stated[top + name] = digest
    return stated, problems


def _digest(file: IO[bytes]) -> tuple[str, int]:
    """Return the sha256 of what a file holds, and its bytes."""
    total, size = hashlib.sha256(), 0
    while piece := file.read(_CHUNK):
        total.update(piece)
        size += len(piece)
    return total.hexdigest(), size
