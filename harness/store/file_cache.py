"""Files of this node that can be had again: under a byte budget, the least recently used going first.

Any of them may vanish at any time: evicted by another process, or the whole folder deleted by its owner. A file's
modification time says when it was last used.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from harness.store.rows import new_id


@dataclass(frozen=True)
class FileCache:
    """Copies of files by name, in ``root``, within ``budget_bytes`` together."""

    root: Path
    budget_bytes: int

    def get(self, name: str, make: Callable[[Path], None]) -> Path:
        """Return the copy called ``name``, made by ``make`` (which is given where to write) when it is not here.

        Raises OSError: it cannot be made, or the disk does not take it.
        """
        path = self.root / name
        if path.exists():
            with suppress(OSError):
                os.utime(path)
            return path
        draft = self.draft()
        try:
            make(draft)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        return self.adopt(name, draft)

    def draft(self) -> Path:
        """Return a fresh name for a file under way."""
        self.root.mkdir(parents=True, exist_ok=True)
        return self.root / f"draft-{new_id()}"

    def adopt(self, name: str, draft: Path) -> Path:
        """Give a finished draft its name and return its path; others go when the budget is passed."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        os.replace(draft, path)
        evict(self.root, self.budget_bytes, spare=path)
        return path

    def drop(self, name: str) -> None:
        """Delete the copy called ``name``."""
        (self.root / name).unlink(missing_ok=True)


def evict(root: Path, budget_bytes: int, spare: Path) -> None:
    """Delete the least recently used files below ``root``, but not ``spare``, until the budget holds."""
    found = []
    for path in root.rglob("*"):
        with suppress(OSError):
            state = path.stat()
            if path.is_file():
                found.append((state.st_mtime_ns, state.st_size, path))
    total = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if total <= budget_bytes:
            return
        if path != spare:
            with suppress(OSError):
                path.unlink()
            total -= size
