"""The one temporary folder of a process that brings Ray up, and the removal of those whose owners were killed.

An owner keeps its folder locked for as long as it lives. Its number is in the folder's name, too, but alone would not
do: containers that share a folder for temporary files count their processes each for themselves.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from pathlib import Path

PREFIX = "th-"
"""Short: the paths of Ray's sockets, which lie below, may not be longer than 107 characters."""

_PATIENCE = 5.0  # seconds


class TemporaryFolder:
    """A new, empty folder of this process; what killed runs of the same user left on this machine is removed first.

    path: where it is.
    """

    def __init__(self) -> None:
        sweep()
        self.path = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
        self._lock = _locked(self.path)

    def remove(self, patient: bool = False) -> None:
        """Remove the folder; with ``patient`` wait for processes that are about to end and may still write into it."""
        end = time.monotonic() + (_PATIENCE if patient else 0.0)
        shutil.rmtree(self.path, ignore_errors=True)
        while self.path.exists() and time.monotonic() < end:
            time.sleep(0.05)
            shutil.rmtree(self.path, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def sweep() -> None:
    """Remove the temporary folders of runs of this user that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*-*"):
        owner = folder.name[len(PREFIX) :].partition("-")[0]
        try:
            if not owner.isdecimal() or folder.stat().st_uid != os.getuid() or _alive(int(owner)):
                continue
            lock = _locked(folder)
        except OSError:
            continue
        if lock is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


def _locked(folder: Path) -> int | None:
    """Lock a folder: the file descriptor that holds the lock until it is closed; None when another process has it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
