"""Artifacts that are cheap to lose (features, prefix activations): on this machine only, under a byte budget.

Any file may vanish at any time: evicted by another process, or the whole folder deleted by its owner. The least
recently used go first; a file's modification time says when it was last used.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.store import tensorfile
from harness.store.errors import StoreError
from harness.store.file_cache import evict
from harness.store.rows import new_id

if TYPE_CHECKING:
    import torch

DEFAULT_BUDGET = 10 * 2**30
_KEY = re.compile(r"[A-Za-z0-9_-]{3,}")


def cache_root() -> Path:
    """Return the cache directory: ``$HARNESS_CACHE``, or ``transfer-harness`` in the user's cache directory."""
    named = os.environ.get("HARNESS_CACHE")
    if named:
        return Path(named).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "transfer-harness"


def scratch_root() -> Path | None:
    """Return this node's own fast folder: below ``$HARNESS_SCRATCH``, or the folder that Slurm gave this job, if any.

    For use where the cache directory lies on storage that nodes share.
    """
    named = os.environ.get("HARNESS_SCRATCH") or os.environ.get("SLURM_TMPDIR")
    return Path(named).expanduser() / f"transfer-harness-{os.getuid()}" if named else None


def node_variable() -> str:
    """Return the environment variable that :func:`node_root` follows, or would if it were set."""
    names = ("HARNESS_SCRATCH", "SLURM_TMPDIR")
    return next((name for name in names if os.environ.get(name)), "HARNESS_CACHE")


def node_root() -> Path:
    """Return where this node keeps what it can make again: its scratch folder, or else the cache directory."""
    return scratch_root() or cache_root()


class CacheStore:
    """A node-local cache of artifacts by stage key."""

    def __init__(self, root: Path | None = None, budget_bytes: int = DEFAULT_BUDGET) -> None:
        """Use ``root`` (default: :func:`node_root`) and keep its files within ``budget_bytes`` together."""
        self.root = (root or node_root()) / "artifacts"
        self.budget_bytes = budget_bytes

    def put(self, key: str, tensors: Mapping[str, torch.Tensor], header: Mapping[str, Any] | None = None) -> bool:
        """Keep an artifact; return False when it does not fit the budget or the disk."""
        settled = tensorfile.settle(tensors)
        if tensorfile.size(settled) > self.budget_bytes:
            return False
        target = self._path(key)
        draft = self.root / f"draft-{new_id()}"
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            tensorfile.write(draft, {key: (settled, header or {})}, {key: tensorfile.digest(settled, header or {})})
            os.replace(draft, target)
        except OSError:
            with suppress(OSError):
                draft.unlink()
            return False
        evict(self.root, self.budget_bytes, spare=target)
        return True

    def get(self, key: str) -> tuple[dict[str, torch.Tensor], dict[str, Any]] | None:
        """Return an artifact, or None when it is not (or no longer) there; a damaged one is deleted."""
        path = self._path(key)
        if not path.exists():
            return None
        try:
            tensors, header, _ = tensorfile.read(path, key, mapped=True)
        except tensorfile.Damaged:
            with suppress(OSError):
                path.unlink()
            return None
        with suppress(OSError):
            os.utime(path)
        return tensors, header

    def __contains__(self, key: str) -> bool:
        """Whether an artifact is there now."""
        return self._path(key).exists()

    def clear(self) -> None:
        """Delete everything."""
        shutil.rmtree(self.root, ignore_errors=True)

    def _path(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise StoreError(f"{key!r} is no stage key")
        return self.root / key[:2] / f"{key}.safetensors"
