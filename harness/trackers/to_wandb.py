"""Runs as offline runs of Weights & Biases, which ``wandb sync`` uploads; nothing is sent from here.

What is there whole stands in a list of our own, because ``wandb sync --clean`` deletes what it has uploaded. The files
are written by a service that may lag behind; only once it has ended are its runs in the list. A run that is not in the
list was left by a crash: it is deleted and written again. Its identifier is the same each time, so that an upload of it
twice is one run there.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError

if TYPE_CHECKING:
    from harness.trackers.runs import Run

LIST = "exported.txt"
TOGETHER = 100
"""So many runs are noted in one go; after a crash no more than these are written again."""
_QUIET = {
    "silent": True, "console": "off", "disable_git": True, "disable_code": True, "disable_job_creation": True,
    "x_disable_stats": True, "x_disable_meta": True, "x_disable_machine_info": True,
}  # fmt: skip


def open_tracker(study: str, folder: Path, at: str | None) -> WandB:
    """Open the folder ``at``, else ``wandb`` in the study's results folder."""
    return WandB(study, Path(at) if at else folder / "wandb")


class WandB:
    """A folder of offline runs of the project that is called like the study."""

    def __init__(self, study: str, folder: Path) -> None:
        """Use ``folder``, made when the first run is written."""
        self.study = study
        self.folder = folder.absolute()
        self._open: list[str] = []
        for name in ("CACHE", "CONFIG", "DATA"):  # it would write below the home folder
            os.environ.setdefault(f"WANDB_{name}_DIR", str(self.folder / ".own"))
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")

    def known(self) -> set[str]:
        """Return the runs that are there, or were and have been uploaded; unfinished ones are deleted."""
        path = self.folder / LIST
        found = set(path.read_text(encoding="utf-8").split()) if path.exists() else set()
        for folder in self.folder.glob("wandb/offline-run-*"):
            if folder.name.rsplit("-", 1)[1] not in found:
                shutil.rmtree(folder, ignore_errors=True)
        return found

    def place(self) -> str:
        """Say how to look."""
        return f"wandb sync {self.folder}/wandb/offline-run-*"

    def settle(self) -> None:
        """End the service that writes the files, and note what is then there."""
        if self._open:
            import wandb

            wandb.teardown()
            with (self.folder / LIST).open("a", encoding="utf-8") as file:
                file.writelines(f"{identifier}\n" for identifier in self._open)
            self._open = []

    def write(self, run: Run) -> None:
        """Write a run."""
        import wandb

        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            opened = wandb.init(
                id=run.id, project=self.study, name=run.name, group=run.group, mode="offline", dir=self.folder,
                job_type=str(run.settings.get("kind", "trial")), config={"status": run.status, **run.settings},
                settings=wandb.Settings(**_QUIET),
            )  # fmt: skip
            _fill(opened, run)
            opened.finish(exit_code=0 if run.status == "ok" else 1)
            self._open.append(run.id)
            if len(self._open) >= TOGETHER:
                self.settle()
        except (OSError, wandb.Error) as error:
            raise HarnessError(f"Weights & Biases in '{self.folder}': {str(error) or type(error).__name__}") from error


def _fill(opened: Any, run: Run) -> None:
    """Log the points that have a step in its order, and state the others as the run's summary."""
    steps: dict[int, dict[str, float]] = {}
    for point in run.points:
        if point.step is None:
            opened.summary[point.name] = point.value
        else:
            steps.setdefault(point.step, {})[point.name] = point.value
    for step in sorted(steps):
        opened.log(steps[step], step=step)
