"""Folders of the data cache, and how two processes keep out of each other's way in it.

Everything lies under the cache root (``HARNESS_CACHE``, else the user's cache directory): ``data/archives`` as they
came, ``data/unpacked`` what they hold, ``data/decoded`` tensors made of them, ``data/partial`` what is under way.
What is complete gets its name by one rename, so that a reader never sees half of anything.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from harness.errors import HarnessError

STALE_SECONDS = 24 * 3600
"""A folder of unfinished work is removed when nothing in it was written for this long."""


def data_root() -> Path:
    """Return the folder that holds all data of the cache."""
    from harness.store.cache import cache_root

    return cache_root() / "data"


def archives_folder() -> Path:
    """Return where archives lie, by their file names; one put here by hand is used like a fetched one."""
    return data_root() / "archives"


def unpacked_folder() -> Path:
    """Return where unpacked packages lie."""
    return data_root() / "unpacked"


def decoded_folder() -> Path:
    """Return where decoded pictures lie."""
    return data_root() / "decoded"


@contextmanager
def work_folder(purpose: str) -> Iterator[Path]:
    """Give a new folder on the cache's disk for unfinished work and remove it afterwards.

    Raises HarnessError when the cache cannot be written.
    """
    parent = data_root() / "partial"
    try:
        parent.mkdir(parents=True, exist_ok=True)
        _sweep(parent)
        folder = Path(tempfile.mkdtemp(prefix=f"{purpose}-", dir=parent))
    except OSError as error:
        raise HarnessError(f"the cache {data_root()} cannot be written ({error}): set HARNESS_CACHE") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def publish(made: Path, target: Path) -> None:
    """Give a finished file or folder its name; where another process was first, its result stays."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if made.is_dir():
        try:
            os.rename(made, target)
        except OSError:
            if not target.is_dir():
                raise
    else:
        os.replace(made, target)


@contextmanager
def one_at_a_time(name: str) -> Iterator[None]:
    """Let one process of this machine do a piece of work while others wait; freed by the system when one dies.

    Only saves doing the work twice: correctness rests on `publish`. Where the file system has no locks, nobody waits.
    The lock's file lies on the node's own disk, if it has one. Raises HarnessError when nothing can be written there.
    """
    from harness.store.cache import node_root, node_variable

    folder = node_root() / "data" / "locks"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HarnessError(f"{node_variable()} names no folder to write to: {error.strerror} ({folder})") from None
    with open(folder / f"{name}.lock", "a", encoding="utf-8") as file:
        with suppress(ImportError, OSError):
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _sweep(parent: Path) -> None:
    """Remove what processes that were killed left behind."""
    import time

    for folder in parent.iterdir():
        with suppress(OSError):
            if time.time() - newest(folder) > STALE_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)


def newest(folder: Path) -> float:
    """Return when a folder or anything in it was last written."""
    times = [folder.stat().st_mtime]
    for path in folder.rglob("*"):
        with suppress(OSError):
            times.append(path.lstat().st_mtime)
    return max(times)


def tree_size(folder: Path) -> int:
    """Return the bytes of all files below a folder; files that vanish meanwhile count nothing."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            if path.is_file():
                total += path.stat().st_size
    return total
