"""What a stage may ask of the place where it runs. Never part of a key."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    import torch
    from torch import Tensor

T = TypeVar("T")


@dataclass(frozen=True)
class World:
    """A gang of processes that run one stage together: this one's rank, their number, and where rank 0 listens."""

    rank: int
    size: int
    address: str


class Checkpoints(Protocol):
    """Where a long stage keeps its state, so that a stopped or pre-empted one goes on where it was."""

    def save(self, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
        """Replace the saved state of this stage."""

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Return the saved state, or None when there is none."""


class StageContext(Protocol):
    """The place where one stage call runs."""

    @property
    def device(self) -> str:
        """A torch device string: ``cpu``, ``cuda:0``."""

    @property
    def threads(self) -> int:
        """The number of cores of this slot."""

    @property
    def loaders(self) -> int:
        """The number of further cores set apart for loading data (a study's ``resources: {train: {loaders: 2}}``)."""

    @property
    def scratch(self) -> Path:
        """A folder for this call's own files, removed after it."""

    @property
    def deadline(self) -> float | None:
        """When the call must have ended, in ``time.monotonic()`` seconds; None without a limit."""

    @property
    def attempt(self) -> int:
        """How often this call was tried before, from 0."""

    @property
    def world(self) -> World | None:
        """The gang that this call belongs to, if any."""

    @property
    def micro_batches(self) -> int:
        """Into how many parts to cut a batch (gradient accumulation), for stages that declare this equivalent."""

    @property
    def checkpoint(self) -> Checkpoints:
        """Saved state of this stage."""

    def generator(self, purpose: str, seed: int, *serves: str | int) -> torch.Generator:
        """Return a CPU generator seeded by :func:`harness.graph.derive_seed`."""

    def should_stop(self) -> bool:
        """Say whether to save state and raise :class:`harness.graph.Stopped` soon."""

    def progress(self, done: int, total: int) -> None:
        """Tell how far the call is."""

    def curve(self, name: str, step: int, value: float) -> None:
        """Record one point of a curve, kept apart from outcomes."""

    def flag(self, name: str) -> None:
        """Mark this call's result, e.g. ``not_trained``."""

    def waited(self, share: float) -> None:
        """Record the share of this call's time, 0 to 1, that a training stood still until its data were there.

        It goes into the column ``data_wait`` of the stage's record, and into no key, artifact or curve.
        """

    def cached(self, key: Hashable, make: Callable[[], T], nbytes: int | None = None) -> T:
        """Return what ``make`` gives, kept in the worker's bounded memory cache under ``key``."""


class BatchContext(Protocol):
    """The place where a batch of calls runs as one tensor program."""

    @property
    def device(self) -> str:
        """A torch device string."""

    @property
    def threads(self) -> int:
        """The number of cores of this slot."""

    @property
    def micro_batches(self) -> int:
        """As in :class:`StageContext`."""

    @property
    def members(self) -> Sequence[StageContext]:
        """One context for each member, padding included."""

    def should_stop(self) -> bool:
        """As in :class:`StageContext`, for the whole batch."""

    def cached(self, key: Hashable, make: Callable[[], T], nbytes: int | None = None) -> T:
        """As in :class:`StageContext`."""
