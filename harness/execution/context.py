"""The place where a stage runs, as the stage sees it: `StageContext` and `BatchContext` of :mod:`harness.graph`."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from harness.execution.cache import MemoryCache
from harness.graph import World, derive_seed

if TYPE_CHECKING:
    import torch
    from torch import Tensor

T = TypeVar("T")

CHECKPOINT_NAME = "checkpoint.safetensors"


@dataclass
class Place:
    """What all stages of one worker share. ``scratch`` holds one folder a stage key, on storage that all nodes see."""

    scratch: Path
    memory: MemoryCache
    device: str = "cpu"
    threads: int = 1
    world: World | None = None
    stop: threading.Event = field(default_factory=threading.Event)
    on_progress: Callable[[str, int, int], None] | None = None
    loaders: int = 0


class Checkpoint:
    """The saved state of one stage: one file, replaced as a whole.

    ``version`` (the stage's declared version) must match for a state to be loaded.
    """

    __slots__ = ("_folder", "_version", "used")

    def __init__(self, folder: Path, version: str) -> None:
        self._folder = folder
        self._version = version
        self.used = False

    def save(self, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
        """Replace the saved state. Raises OSError when there is no room; the earlier state then stays."""
        from safetensors.torch import save_file

        self.used = True
        self._folder.mkdir(parents=True, exist_ok=True)
        temporary = self._folder / f"{uuid.uuid4().hex}.tmp"
        try:
            plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
            save_file(plain, temporary, {"header": json.dumps(dict(header)), "version": self._version})
            os.replace(temporary, self._folder / CHECKPOINT_NAME)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Return the saved tensors and header, or None: nothing saved, by another version, or not readable."""
        from safetensors import SafetensorError, safe_open

        path = self._folder / CHECKPOINT_NAME
        if not path.exists():
            return None
        self.used = True
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                # Copies: what the library gives stays mapped to the file, which the next save replaces.
                tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118  (no mapping)
        except (OSError, SafetensorError):
            return None
        if metadata.get("version") != self._version:
            return None
        return tensors, json.loads(metadata["header"])


class Context:
    """One stage call's place. Implements :class:`harness.graph.StageContext`."""

    __slots__ = ("_checkpoint", "_place", "_scratch", "_version", "attempt", "curves", "data_wait", "deadline", "flags",
                 "key", "micro_batches")  # fmt: skip

    def __init__(
        self,
        place: Place,
        key: str,
        *,
        version: str = "",
        deadline: float | None = None,
        attempt: int = 0,
        micro_batches: int = 1,
    ) -> None:
        self._place = place
        self._version = version
        self._checkpoint: Checkpoint | None = None
        self._scratch: Path | None = None
        self.key = key
        self.deadline = deadline
        self.attempt = attempt
        self.micro_batches = micro_batches
        self.flags: list[str] = []
        self.curves: list[tuple[str, int, float]] = []
        self.data_wait: float | None = None

    @property
    def device(self) -> str:
        """A torch device string."""
        return self._place.device

    @property
    def threads(self) -> int:
        """The number of cores of this slot."""
        return self._place.threads

    @property
    def loaders(self) -> int:
        """The number of further cores set apart for loading data."""
        return self._place.loaders

    @property
    def world(self) -> World | None:
        """The gang that this call belongs to, if any."""
        return self._place.world

    @property
    def scratch(self) -> Path:
        """A folder for this call's own files, made on first use and removed after the call."""
        if self._scratch is None:
            self._scratch = self._place.scratch / self.key / uuid.uuid4().hex[:8]
            self._scratch.mkdir(parents=True, exist_ok=True)
        return self._scratch

    @property
    def checkpoint(self) -> Checkpoint:
        """Saved state of this stage."""
        if self._checkpoint is None:
            self._checkpoint = Checkpoint(self._place.scratch / self.key, self._version)
        return self._checkpoint

    def generator(self, purpose: str, seed: int, *serves: str | int) -> torch.Generator:
        """Return a CPU generator seeded by :func:`harness.graph.derive_seed`."""
        import torch

        return torch.Generator().manual_seed(derive_seed(seed, purpose, *serves))

    def should_stop(self) -> bool:
        """Say whether the driver asked to stop, or the deadline has passed."""
        return self._place.stop.is_set() or (self.deadline is not None and time.monotonic() >= self.deadline)

    def progress(self, done: int, total: int) -> None:
        """Tell how far the call is."""
        if self._place.on_progress is not None:
            self._place.on_progress(self.key, done, total)

    def curve(self, name: str, step: int, value: float) -> None:
        """Record one point of a curve."""
        self.curves.append((name, int(step), float(value)))

    def flag(self, name: str) -> None:
        """Mark this call's result."""
        if name not in self.flags:
            self.flags.append(name)

    def waited(self, share: float) -> None:
        """Record the share of this call's time that was spent waiting for data."""
        self.data_wait = float(share)

    def cached(self, key: Hashable, make: Callable[[], T], nbytes: int | None = None) -> T:
        """Return what ``make`` gives, kept in the worker's bounded memory cache."""
        return self._place.memory.cached(("made", key), make, nbytes)

    def close(self, keep_checkpoint: bool) -> None:
        """Remove the scratch folder and, unless it is to be gone on with, the checkpoint."""
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)
        used = self._checkpoint is not None and self._checkpoint.used
        if used and not keep_checkpoint:
            shutil.rmtree(self._place.scratch / self.key, ignore_errors=True)


@dataclass
class Batch:
    """The place of a batch. Implements :class:`harness.graph.BatchContext`."""

    members: Sequence[Context]
    micro_batches: int = 1

    @property
    def device(self) -> str:
        """A torch device string."""
        return self.members[0].device

    @property
    def threads(self) -> int:
        """The number of cores of this slot."""
        return self.members[0].threads

    def should_stop(self) -> bool:
        """Say whether the whole batch should stop."""
        return self.members[0].should_stop()

    def cached(self, key: Hashable, make: Callable[[], T], nbytes: int | None = None) -> T:
        """Return what ``make`` gives, kept in the worker's bounded memory cache."""
        return self.members[0].cached(key, make, nbytes)
