"""How a run is to be made, and what came of it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from harness.graph import Resources


@dataclass(frozen=True)
class RunOptions:
    """How to run a study. None: as the study's `execution:` says, else the default; nothing here changes a result.

    workers: worker processes (default: one a core).  address: the Ray cluster to join (default: a local one of our
    own).  in_process: run everything in this process, without Ray.  dashboard: Ray's dashboard, on loopback.
    on_failure: stop handing out work after a failure, or continue.  stale: what to do about records made by other
    code.  progress: "rich", "plain", "none", or "auto" (rich on a terminal).  time_limit: seconds a stage may take;
    grace: seconds between asking a worker to stop and killing it.  batch: most units in one call.
    memory_limit: bytes that a worker may take beyond what it starts with.  cache_bytes: a worker's memory cache.
    disk_cache: the node-local folder for cached artifacts.  max_stages: a worker is replaced after so many.
    refresh: seconds between looks at what other drivers have done.  crash_retries: how often a stage that alone was
    running when its worker died is tried again.  compact: tidy the store's files at the end.
    """

    workers: int | None = None
    address: str | None = None
    in_process: bool = False
    dashboard: bool = False
    spare_head: bool = False
    on_failure: Literal["continue", "stop"] | None = None
    stale: Literal["stop", "keep", "rerun"] = "stop"
    progress: Literal["auto", "rich", "plain", "none"] = "auto"
    time_limit: float | None = None
    grace: float | None = None
    batch: int | None = None
    memory_limit: int | None = None
    cpus_per_worker: float | None = None
    gpus_per_worker: float | None = None
    cache_bytes: int | None = None
    disk_cache: Path | None = None
    max_stages: int = 1_000_000
    refresh: float = 3.0
    crash_retries: int = 2
    compact: bool = True

    def over(self, execution: Any) -> RunOptions:
        """Return these options with what they leave open taken from a study's `execution:` section."""
        names = {option.name for option in fields(self)}
        found = {
            name: getattr(execution, name)
            for name in names
            if getattr(self, name) is None and getattr(execution, name, None) is not None
        }
        return replace(self, **found)

    @property
    def seconds_of_grace(self) -> float:
        """Seconds between asking a worker to stop and killing it."""
        return 20.0 if self.grace is None else self.grace


@dataclass(frozen=True)
class RunSummary:
    """What came of a run, in trials (candidates not counted), and how many stages it ran.

    ``interrupted``: the number of the signal that ended it, if one did. ``stopped``: why it ended early otherwise.
    """

    done: int = 0
    failed: int = 0
    skipped: int = 0
    stages_run: int = 0
    interrupted: int | None = None
    stopped: str | None = None
    pending: int = 0
    diverged: int = 0
    seconds: float = 0.0

    @property
    def exit_status(self) -> int:
        """0: every trial is done; 3: not every one; 128 + signal: interrupted."""
        if self.interrupted is not None:
            return 128 + self.interrupted
        return 0 if not (self.failed or self.skipped or self.pending or self.diverged or self.stopped) else 3


def usable_cores() -> int:
    """Return the number of cores that this process may use: inside a Slurm job those of the job, on this node."""
    try:
        cores = max(1, len(os.sched_getaffinity(0)))
    except AttributeError:
        cores = os.cpu_count() or 1
    granted = os.environ.get("SLURM_CPUS_ON_NODE", "")
    return max(1, min(cores, int(granted))) if granted.isdigit() else cores


@dataclass(frozen=True)
class ResourceRules:
    """What stages get: what their kind declares, unless the study says otherwise for it or for all workers."""

    by_stage: dict[str, Any] = field(default_factory=dict)
    cpus: float | None = None
    gpus: float | None = None

    def of(self, declared: Resources, kind: str) -> Resources:
        """Return the resources of a stage kind."""
        found = replace(
            declared,
            cpus=declared.cpus if self.cpus is None else self.cpus,
            gpus=declared.gpus if self.gpus is None else self.gpus,
        )
        named = self.by_stage.get(kind)
        if named is None:
            return found
        changes = {
            name: value
            for name in ("cpus", "gpus", "loaders", "world")
            if (value := named.get(name) if isinstance(named, dict) else getattr(named, name, None)) is not None
        }
        return replace(found, **changes)
