"""Runs as TensorBoard's event files, one a run, written aside and then given their place in one step.

A run is a folder below ``trials/`` or ``stages/``. Another execution of the same trial or stage takes the place of the
one before. Numbers are in single precision: the faster of TensorBoard's two readers shows no others.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError
from harness.store import new_id

if TYPE_CHECKING:
    from harness.trackers.runs import Run

_EVENTS = "events.out.tfevents"
_DRAFTS = ".drafts"
_ODD = re.compile(r"[^A-Za-z0-9_.,=()+-]+")
_LONGEST_NAME = 100


def open_tracker(study: str, folder: Path, at: str | None) -> TensorBoard:
    """Open the folder ``at``, else ``tensorboard`` in the study's results folder."""
    return TensorBoard(Path(at) if at else folder / "tensorboard")


class TensorBoard:
    """A folder of event files."""

    def __init__(self, folder: Path) -> None:
        """Use ``folder``, made when the first run is written."""
        self.folder = folder
        self._drafts = folder.with_name(f"{folder.name}{_DRAFTS}")

    def known(self) -> set[str]:
        """Return the runs that are there, which their files' names state; drafts of a crash are deleted."""
        shutil.rmtree(self._drafts, ignore_errors=True)
        return {path.name.rsplit(".", 1)[1] for path in self.folder.glob(f"*/*/{_EVENTS}.*")}

    def place(self) -> str:
        """Say how to look."""
        return f"tensorboard --logdir {self.folder}"

    def settle(self) -> None:
        """Do nothing: what was written is there."""

    def write(self, run: Run) -> None:
        """Write a run."""
        target = self.folder / run.group / folder_name(run)
        draft = self._drafts / new_id()
        try:
            draft.mkdir(parents=True)
            _write_events(draft / f"{_EVENTS}.{int(run.ended)}.{run.id}", run)
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.exists():
                target.rename(self._drafts / new_id())
            draft.rename(target)
            shutil.rmtree(self._drafts, ignore_errors=True)
        except OSError as error:
            raise HarnessError(f"'{target}' could not be written: {error.strerror or error}") from error


def folder_name(run: Run) -> str:
    """Return a folder name for a run: readable, and different for different trials and stages."""
    digest = hashlib.sha256(run.slot.encode()).hexdigest()[:8]
    return f"{_ODD.sub('_', run.name)[:_LONGEST_NAME]}-{digest}"


def _write_events(path: Path, run: Run) -> None:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.summary.writer.record_writer import RecordWriter

    with path.open("wb") as file:
        writer = RecordWriter(file)
        writer.write(Event(wall_time=run.started, file_version="brain.Event:2").SerializeToString())
        writer.write(_event(run, 0, _text("settings", _table(run))))
        for point in run.points:
            writer.write(_event(run, point.step or 0, _scalar(point.name, point.value)))
        writer.flush()


def _event(run: Run, step: int, value: Any) -> bytes:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary

    made: bytes = Event(wall_time=run.ended, step=step, summary=Summary(value=[value])).SerializeToString()
    return made


def _scalar(tag: str, value: float) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary

    return Summary.Value(tag=tag, simple_value=value)


def _text(tag: str, text: str) -> Any:
    from tensorboard.compat.proto.summary_pb2 import DATA_CLASS_TENSOR, Summary, SummaryMetadata
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.compat.proto.types_pb2 import DT_STRING

    plugin = SummaryMetadata.PluginData(plugin_name="text")
    tensor = TensorProto(dtype=DT_STRING, string_val=[text.encode()])
    return Summary.Value(
        tag=tag, tensor=tensor, metadata=SummaryMetadata(plugin_data=plugin, data_class=DATA_CLASS_TENSOR)
    )


def _table(run: Run) -> str:
    """Return the settings as the table that TensorBoard's text page draws."""
    rows = {"status": run.status, **run.settings}
    return "\n".join(["| setting | value |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())])
