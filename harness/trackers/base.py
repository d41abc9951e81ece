"""What a tracker is to us, which there are, and where each keeps its files unless told otherwise."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from harness.errors import HarnessError, suggest

if TYPE_CHECKING:
    from harness.trackers.runs import Run


class Tracker(Protocol):
    """Where runs are shown."""

    def known(self) -> set[str]:
        """Return the identifiers of the runs that are there whole; what a crash left unfinished is removed."""

    def write(self, run: Run) -> None:
        """Write one run; it counts as known only once all of it is there."""

    def settle(self) -> None:
        """Return once all that was written is there; called after some runs, and after a failure."""

    def place(self) -> str:
        """Say where to look."""


@dataclass(frozen=True)
class _Kind:
    """A kind of tracker: the modules that it needs, and the module of ours that opens it."""

    modules: tuple[str, ...]
    ours: str


_KINDS = {
    "tensorboard": _Kind(("tensorboard",), "harness.trackers.to_tensorboard"),
    "mlflow": _Kind(("mlflow", "sqlalchemy", "alembic"), "harness.trackers.to_mlflow"),
    "wandb": _Kind(("wandb",), "harness.trackers.to_wandb"),
}
TRACKERS = tuple(_KINDS)


def require(name: str) -> None:
    """Make sure that a tracker's packages are installed.

    Raises:
        HarnessError: one is not, or there is no such tracker.
    """
    if name not in _KINDS:
        raise HarnessError(f"there is no tracker {name!r}{suggest(name, TRACKERS)}; there are {', '.join(TRACKERS)}")
    missing = [module for module in _KINDS[name].modules if importlib.util.find_spec(module) is None]
    if missing:
        raise HarnessError(f"tracker {name!r} needs the package {missing[0]}: pip install 'transfer-harness[{name}]'")


def open_tracker(name: str, study: str, folder: Path, at: str | None = None) -> Tracker:
    """Open a tracker.

    Args:
        name: one of :data:`TRACKERS`. study: name of the study, under which its runs are gathered.
        folder: the study's results folder, where the tracker's files go.
        at: another place for them: a folder, or for MLflow a tracking URI.

    Raises:
        HarnessError: its packages are not installed, or it cannot be written to.
    """
    require(name)
    opener: Callable[[str, Path, str | None], Tracker] = importlib.import_module(_KINDS[name].ours).open_tracker
    return opener(study, folder, at)
