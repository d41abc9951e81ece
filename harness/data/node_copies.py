"""Copies of cached data on a node's own disk, for caches that lie on storage that nodes share.

With ``HARNESS_SCRATCH`` set, or inside a job to which Slurm gave a folder of its own (``SLURM_TMPDIR``), a complete
folder of the cache (an unpacked package, decoded pictures, a model from a hub) is copied once to the node's disk, by
the first process that needs it, while others wait; every file is read back and compared. Otherwise nothing is copied.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from harness.data.locations import STALE_SECONDS, newest, one_at_a_time, tree_size
from harness.errors import HarnessError
from harness.store.cache import scratch_root

BUDGET_VARIABLE: Final = "HARNESS_SCRATCH_GB"
DEFAULT_BUDGET_GB: Final = 50.0
SPARE: Final = 1.1
"""A copy is made where the disk has room for it and a tenth more."""

_PIECE: Final = 2**22
_UNFINISHED: Final = ".partial-"

Check = Callable[[Path], None]


def local_copy(folder: Path, digests: Mapping[str, str] | None = None, check: Check | None = None) -> Path:
    """Return this node's copy of a complete folder, made first if need be; the folder itself where there is no scratch
    disk, or no room left on it.

    Args:
        folder: a folder that is replaced as a whole if ever.
        digests: the sha256 that files in it are known to have, by name.
        check: raises HarnessError when the copy is not what it should be.

    Raises:
        HarnessError: the folder holds other bytes than it should.
    """
    scratch = scratch_root()
    if scratch is None:
        return folder
    target = scratch / "copies" / f"{folder.name}-{_identity(folder)}"
    if not _used(target):
        with one_at_a_time(f"copy-{target.name}"):
            if not _used(target):
                try:
                    made = _make(folder, target, digests or {}, check)
                except OSError:  # the disk of the node is full or gone: the shared one still serves
                    made = False
                if not made:
                    return folder
    return target


def budget_bytes() -> int:
    """Return the bytes that copies may take together on this node. Raises HarnessError for what is no number."""
    text = os.environ.get(BUDGET_VARIABLE, "")
    try:
        return int(float(text or DEFAULT_BUDGET_GB) * 1e9)
    except ValueError:
        raise HarnessError(f"{BUDGET_VARIABLE} is a number of gigabytes, not {text!r}") from None


def _identity(folder: Path) -> str:
    """Return what tells a folder from others, and from what lay in its place before."""
    return hashlib.sha256(f"{folder.resolve()} {folder.stat().st_mtime_ns}".encode()).hexdigest()[:16]


def _used(target: Path) -> bool:
    """Say whether a copy is there, and note that it is used. It gets its name when it is complete."""
    try:
        os.utime(target)
    except FileNotFoundError:
        return False
    return True


def _make(folder: Path, target: Path, digests: Mapping[str, str], check: Check | None) -> bool:
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not _room(target.parent, tree_size(folder)):
        return False
    work = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=target.parent))
    try:
        for source in sorted(path for path in folder.rglob("*") if path.is_file()):
            name = source.relative_to(folder)
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            digest = _copy(source, work / name)
            if digests.get(name.as_posix(), digest) != digest:
                raise HarnessError(f"{source} is damaged: run `harness data verify`")
        if check is not None:
            check(work)
        os.rename(work, target)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return True


def _copy(source: Path, target: Path) -> str:
    """Copy a file, read the copy back, and return its sha256. Raises OSError when the two differ."""
    total = hashlib.sha256()
    with source.open("rb") as given, target.open("wb") as taken:
        while piece := given.read(_PIECE):
            total.update(piece)
            taken.write(piece)
    with target.open("rb") as file:
        if hashlib.file_digest(file, "sha256").digest() != total.digest():
            raise OSError(f"{target} is not what was written to it")
    return total.hexdigest()


def _room(copies: Path, wanted: int) -> bool:
    """Say whether a further copy fits the budget and the disk, after copies that nobody used for a day have gone."""
    there = [path for path in copies.iterdir() if path.is_dir()]
    for path in there:
        with suppress(OSError):
            if path.name.startswith(_UNFINISHED) and time.time() - newest(path) > STALE_SECONDS:
                shutil.rmtree(path, ignore_errors=True)
    sizes = {path: tree_size(path) for path in there if path.is_dir()}
    old = [path for path in sizes if time.time() - path.stat().st_mtime > STALE_SECONDS]
    for path in sorted(old, key=lambda path: path.stat().st_mtime):
        if _fits(copies, sum(sizes.values()), wanted):
            break
        shutil.rmtree(path, ignore_errors=True)
        del sizes[path]
    return _fits(copies, sum(sizes.values()), wanted)


def _fits(copies: Path, taken: int, wanted: int) -> bool:
    return taken + wanted <= budget_bytes() and wanted * SPARE <= shutil.disk_usage(copies).free
