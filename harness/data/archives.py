"""Unpacking archives that nobody vouches for: wheels (zip), npm packages (tar) and Debian packages (ar of tar).

Nothing is installed and no script runs. Only plain files are written, each below the target folder: a member that
would land elsewhere is an error; links and devices are left out.
"""

from __future__ import annotations

import fnmatch
import io
import lzma
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, Final

from harness.errors import HarnessError

_AR_MAGIC: Final = b"!<arch>\n"
_AR_HEADER: Final = 60


class ArchiveError(HarnessError):
    """An archive that cannot be read or that is not what it should be."""


def unpack(archive: Path, target: Path, keep: Sequence[str] = ("*",)) -> int:
    """Write the plain files of an archive below `target` and return how many there were.

    keep: patterns of member paths (`*` also matches `/`); other members are left out.
    Raises ArchiveError for a damaged archive, an unknown kind, and a member that points outside of `target`.
    """
    count = 0
    try:
        for name, content in _members(archive):
            place = target.joinpath(*safe_parts(name))
            if not any(fnmatch.fnmatchcase(place.relative_to(target).as_posix(), pattern) for pattern in keep):
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            with open(place, "xb") as file:
                shutil.copyfileobj(content, file, 1 << 20)
            count += 1
    except (tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError, EOFError, FileExistsError) as error:
        raise ArchiveError(f"{archive.name} cannot be unpacked: {error}") from error
    return count


def safe_parts(name: str) -> tuple[str, ...]:
    """Return the parts of a member's path. Raises ArchiveError for one that could leave the target folder."""
    path = PurePosixPath(name)
    parts = tuple(part for part in path.parts if part != ".")
    if path.is_absolute() or not parts or ".." in parts or any("\\" in part or ":" in part[1:2] for part in parts):
        raise ArchiveError(f"an archive has a member named {name!r}, which would be written outside of its folder")
    return parts


def _members(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield path and content of each plain file."""
    name = archive.name
    if name.endswith((".whl", ".zip")):
        yield from _zip_members(archive)
    elif name.endswith((".tgz", ".tar.gz")):
        with tarfile.open(archive, "r|gz") as tar:
            yield from _tar_members(tar)
    elif name.endswith(".deb"):
        yield from _deb_members(archive)
    else:
        raise ArchiveError(f"{name} is no kind of archive that is known here")


def _zip_members(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    with zipfile.ZipFile(archive) as file:
        for member in file.infolist():
            mode = member.external_attr >> 16
            if member.is_dir() or (stat.S_IFMT(mode) not in (0, stat.S_IFREG)):
                continue
            with file.open(member) as content:
                yield member.filename, content


def _tar_members(tar: tarfile.TarFile) -> Iterator[tuple[str, IO[bytes]]]:
    for member in tar:
        if member.isfile():
            content = tar.extractfile(member)
            if content is not None:
                yield member.name, content


def _deb_members(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    with open(archive, "rb") as file:
        name, content = _ar_member(file, archive.name, "data.tar")
        if not name.endswith((".xz", ".gz", ".bz2", ".tar")):
            raise ArchiveError(f"{archive.name} is compressed as {name}, which cannot be read here")
        with tarfile.open(fileobj=content, mode="r|*") as tar:
            yield from _tar_members(tar)


def _ar_member(file: IO[bytes], archive: str, prefix: str) -> tuple[str, IO[bytes]]:
    """Return the name and content of the first member of an ar file whose name starts with `prefix`.

    Format: 8 bytes of magic; for each member 60 bytes of header (name 16, ..., size 10 at 48, end 2), then its
    content, padded to an even length.
    """
    if file.read(len(_AR_MAGIC)) != _AR_MAGIC:
        raise ArchiveError(f"{archive} is not a Debian package")
    while len(header := file.read(_AR_HEADER)) == _AR_HEADER:
        name = header[:16].decode("ascii", "replace").strip().rstrip("/")
        try:
            size = int(header[48:58])
        except ValueError:
            break
        if name.startswith(prefix):
            return name, io.BufferedReader(_Window(file, size))
        file.seek(size + size % 2, io.SEEK_CUR)
    raise ArchiveError(f"{archive} is a damaged Debian package")


class _Window(io.RawIOBase):
    """The next `size` bytes of a file, as a file."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        super().__init__()
        self._file = file
        self._left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # the base class takes any buffer
        wanted = min(len(buffer), self._left)
        chunk = self._file.read(wanted)
        buffer[: len(chunk)] = chunk
        self._left -= len(chunk)
        return len(chunk)
