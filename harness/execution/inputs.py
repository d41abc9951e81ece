"""Where a worker finds the inputs of a stage: made in this call, in memory, in the node-local cache, in the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.execution.cache import MemoryCache, nbytes_of
from harness.execution.ledger import artifact_class
from harness.execution.messages import Input, InputRef, Result, Spec
from harness.graph import Artifact, Measurements, Value
from harness.planning.demand import NOT_TRAINED, WAS_NOT_TRAINED
from harness.store import ArtifactDamaged, ArtifactStore, CacheStore

READ_BYTES_PER_SECOND = 200e6
"""A cached artifact is only written when reading it back at this rate beats computing it again."""


@dataclass(slots=True)
class Made:
    """What a stage of this call left: its result object, flags and attempt."""

    output: Any
    flags: tuple[str, ...]
    attempt: str


@dataclass(slots=True)
class Obstacle:
    """Why a stage cannot be run by this call. ``key`` is the damaged input when that is the reason."""

    status: str
    reason: str
    cause: str = ""
    key: str = ""


@dataclass
class Larder:
    """The inputs of one call."""

    inputs: Mapping[str, Input]
    memory: MemoryCache
    artifacts: ArtifactStore
    cache: CacheStore | None
    skip_untrained: bool
    made: dict[str, Made] = field(default_factory=dict)
    failed: dict[str, Result] = field(default_factory=dict)

    def recall(self, spec: Spec) -> bool:
        """Say whether a stage need not run, since its artifact is in memory or in the node-local cache."""
        if spec.key in self.made:
            return True
        kept = self.memory.get(("artifact", spec.key))
        if kept is not None and kept[2] == spec.code:
            self.made[spec.key] = Made(kept[0], self._flags(spec.key, kept[3]), kept[1])
            return True
        if spec.keep != "cache" or self.cache is None:
            return False
        found = self.cache.get(f"{spec.key}-{spec.code}")
        if found is None:
            return False
        artifact = artifact_class(spec.kind)(*found)
        known = self.inputs.get(spec.key)
        self.keep(spec.key, artifact, known.attempt if known else "", spec.code, self._flags(spec.key, ()))
        return True

    def _flags(self, key: str, otherwise: tuple[str, ...]) -> tuple[str, ...]:
        known = self.inputs.get(key)
        return otherwise if known is None else known.flags

    def keep(self, key: str, artifact: Artifact, attempt: str, code: str, flags: tuple[str, ...]) -> None:
        """Hold an artifact for the rest of the call, and in memory for as long as there is room."""
        self.made[key] = Made(artifact, flags, attempt)
        self.memory.put(("artifact", key), (artifact, attempt, code, flags), nbytes_of(artifact))

    def cache_artifact(self, spec: Spec, artifact: Artifact, seconds: float) -> None:
        """Put an artifact into the node-local cache, unless computing it again is cheaper than reading it."""
        if self.cache is not None and seconds >= nbytes_of(artifact) / READ_BYTES_PER_SECOND:
            self.cache.put(f"{spec.key}-{spec.code}", artifact.tensors, artifact.header)

    def arguments(self, spec: Spec) -> tuple[dict[str, Any], list[tuple[bool, tuple[str, ...]]]] | Obstacle:
        """Return a stage's arguments with its inputs in place, and each input's (needed trained, flags)."""
        kind = spec.kind
        values = list(spec.values)
        seen: list[tuple[bool, tuple[str, ...]]] = []
        try:
            for position in kind.input_positions if spec.inputs else ():
                name, value = kind.names[position], values[position]
                if isinstance(value, InputRef):
                    values[position] = self._input(spec, name, value.key, seen)
                elif isinstance(value, tuple):
                    values[position] = tuple(
                        self._input(spec, name, item.key, seen) if isinstance(item, InputRef) else item
                        for item in value
                    )
        except _Blocked as blocked:
            return blocked.obstacle
        return dict(zip(kind.names, values, strict=True)), seen

    def _input(self, spec: Spec, name: str, key: str, seen: list[tuple[bool, tuple[str, ...]]]) -> Any:
        tolerated = name in spec.kind.tolerates
        failed = self.failed.get(key)
        if failed is not None:
            return self._missing(name, failed, tolerated)
        output, flags = self._find(key)
        needed = name in spec.kind.needs_trained
        if needed and self.skip_untrained and not tolerated and NOT_TRAINED in flags:
            raise _Blocked(Obstacle("skipped", f"input {name} ({key[:8]}) {WAS_NOT_TRAINED}", "untrained"))
        seen.append((needed, flags))
        return output

    def _missing(self, name: str, failed: Result, tolerated: bool) -> None:
        if failed.status == "damaged":
            raise _Blocked(Obstacle("damaged", failed.reason, key=failed.cause))
        cause = "diverged" if failed.status == "diverged" else failed.cause or "failed"
        if tolerated and cause != "failed":
            return
        how = "diverged" if failed.status == "diverged" else f"failed: {failed.reason}"
        reason = failed.reason if failed.status == "skipped" else f"input {name} ({failed.kind} {failed.key[:8]}) {how}"
        raise _Blocked(Obstacle("skipped", reason, cause))

    def _find(self, key: str) -> tuple[Any, tuple[str, ...]]:
        made = self.made.get(key)
        if made is not None:
            return made.output, made.flags
        entry = self.inputs[key]
        if entry.diverged:
            return None, ()
        if entry.value is not None:
            return Value(entry.value), entry.flags
        if entry.rows is not None:
            return Measurements(entry.rows), entry.flags
        return self._load(entry), entry.flags

    def _load(self, entry: Input) -> Artifact:
        assert entry.artifact is not None and entry.made_by is not None
        kept = self.memory.get(("artifact", entry.key))
        if kept is not None and kept[1] == entry.attempt:
            known: Artifact = kept[0]
            return known
        try:
            tensors, header = self.artifacts.get(entry.artifact)
        except ArtifactDamaged as error:
            raise _Blocked(Obstacle("damaged", str(error), key=entry.key)) from error
        artifact: Artifact = entry.made_by(tensors, header)
        self.memory.put(("artifact", entry.key), (artifact, entry.attempt, "", entry.flags), nbytes_of(artifact))
        return artifact


class _Blocked(Exception):
    """Ends the collecting of arguments."""

    def __init__(self, obstacle: Obstacle) -> None:
        super().__init__(obstacle.reason)
        self.obstacle = obstacle
