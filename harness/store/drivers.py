"""Which drivers are at work on a store: one small file each, touched at every commit. No lock hangs on it.

Compaction asks this to decide whether superseded files may be deleted at once. A driver that died is recognised by its
process (same machine) or by its silence.
"""

from __future__ import annotations

import hashlib
import os
import platform
import time
from contextlib import suppress

from harness.store.objects import ObjectPath
from harness.store.places import Place

QUIET_SECONDS = 600.0
"""After this long without a commit a driver counts as gone."""


def beat(root: Place, writer: str) -> None:
    """Note that ``writer`` is at work."""
    path = root / "drivers" / writer
    with suppress(OSError):  # a full disk must not hide behind this file: the commit itself will report it
        if not _touched(path):
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"{_machine()} {os.getpid()}")


def leave(root: Place, writer: str) -> None:
    """Note that ``writer`` has finished."""
    with suppress(OSError):
        (root / "drivers" / writer).unlink()


def others_at_work(root: Place, writer: str) -> bool:
    """Whether another driver committed lately; forgets drivers that are gone."""
    working = False
    for path in (root / "drivers").glob("*"):
        if path.name == writer:
            continue
        if _gone(path):
            leave(root, path.name)
        else:
            working = True
    return working


def _touched(path: Place) -> bool:
    """Whether there was a file to touch. An object has no time but that of its last writing."""
    if isinstance(path, ObjectPath):
        return False
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    return True


def _gone(path: Place) -> bool:
    try:
        if time.time() - path.stat().st_mtime > QUIET_SECONDS:
            return True
        machine, _, process = path.read_text().partition(" ")
        if machine != _machine():
            return False
        os.kill(int(process), 0)
    except (FileNotFoundError, ProcessLookupError):
        return True
    except (OSError, ValueError):
        return False
    return False


def _machine() -> str:
    """Return a digest that tells machines apart without naming them."""
    return hashlib.sha256(platform.node().encode()).hexdigest()[:16]
