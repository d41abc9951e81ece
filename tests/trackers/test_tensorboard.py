"""Event files as TensorBoard's own reader sees them, beside what the store holds."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.store import CurveRow, Group, StageRecord, Store
from harness.trackers import export, open_tracker, to_tensorboard

from .conftest import CURVES, ENDED, STUDY, VALUES, key_of, trained

pytest.importorskip("tensorboard")
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event


def read(folder: Path) -> dict[str, dict[str, list[tuple[int, float, float]]]]:
    """For each run, for each tag, (step, value, time) as TensorBoard reads them."""
    found = {}
    for path in sorted(path for path in folder.glob("*/*") if path.is_dir()):
        events = EventAccumulator(str(path), size_guidance={"scalars": 0}).Reload()
        found[str(path.relative_to(folder))] = {
            tag: [(event.step, event.value, event.wall_time) for event in events.Scalars(tag)]
            for tag in events.Tags()["scalars"]
        }
    return found


def single(value: float) -> float:
    """The nearest number of single precision."""
    return float(struct.unpack("<f", struct.pack("<f", value))[0])


def test_what_is_read_back_is_what_is_stored(store: Store, tmp_path: Path) -> None:
    store.commit(trained("b"))
    tracker = open_tracker("tensorboard", STUDY, tmp_path)
    assert export(store, STUDY, tracker) == 5
    found = read(tmp_path / "tensorboard")
    stages = [tags for name, tags in found.items() if name.startswith("stages/train_digits_")]
    time = ENDED.timestamp()
    assert stages == [{"train/loss": [(step, single(value), time) for step, value in CURVES[n]]} for n in "ab"]
    trials = [tags for name, tags in found.items() if name.startswith("trials/digits_")]
    assert sorted(map(str, trials)) == sorted(
        [str({f"half(of=digits, side={n})/test/accuracy": [(0, single(VALUES[n]), time)]}) for n in "ab"] + ["{}"]
    )


def test_numbers_are_of_the_kind_that_both_readers_show(store: Store, tmp_path: Path) -> None:
    """The reader written in Rust, which TensorBoard takes by default, knows scalars of single precision only."""
    export(store, STUDY, open_tracker("tensorboard", STUDY, tmp_path))
    kinds = set()
    for path in tmp_path.rglob("events*"):
        for record in RawEventFileLoader(str(path)).Load():
            for value in Event.FromString(record).summary.value:
                kinds.add((value.tag == "settings", value.WhichOneof("value")))
    assert kinds == {(True, "tensor"), (False, "simple_value")}


def test_settings_are_a_table_of_text(store: Store, tmp_path: Path) -> None:
    export(store, STUDY, open_tracker("tensorboard", STUDY, tmp_path, str(tmp_path / "elsewhere")))
    (folder,) = (tmp_path / "elsewhere" / "trials").glob("digits_c*")
    events = EventAccumulator(str(folder)).Reload()
    (text,) = events.Tensors("settings")
    assert b"| status | oom |" in text.tensor_proto.string_val[0]
    assert b"| reason | too large |" in text.tensor_proto.string_val[0]
    assert events.SummaryMetadata("settings").plugin_data.plugin_name == "text"


def test_again_doubles_nothing_and_changes_no_byte(store: Store, tmp_path: Path) -> None:
    export(store, STUDY, open_tracker("tensorboard", STUDY, tmp_path))
    once = {path: path.read_bytes() for path in tmp_path.rglob("events*")}
    assert export(store, STUDY, open_tracker("tensorboard", STUDY, tmp_path)) == 0
    export(store, STUDY, open_tracker("tensorboard", STUDY, tmp_path, str(tmp_path / "second")))
    assert {path: path.read_bytes() for path in (tmp_path / "tensorboard").rglob("events*")} == once
    again = {path.name: path.read_bytes() for path in (tmp_path / "second").rglob("events*")}
    assert again == {path.name: content for path, content in once.items()}


@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_crash_inside_a_run_leaves_no_part_of_it(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    real, calls = to_tensorboard._write_events, []

    def dying(path: Path, run: object) -> None:
        real(path, run)
        calls.append(path)
        if len(calls) == at + 1:
            path.write_bytes(path.read_bytes()[:20])
            raise KeyboardInterrupt

    monkeypatch.setattr(to_tensorboard, "_write_events", dying)
    with pytest.raises(KeyboardInterrupt):
        export(store, STUDY, open_tracker("tensorboard", STUDY, tmp_path))
    assert len(read(tmp_path / "tensorboard")) == at
    monkeypatch.setattr(to_tensorboard, "_write_events", real)
    assert export(store, STUDY, open_tracker("tensorboard", STUDY, tmp_path)) == 3 - at
    assert len(read(tmp_path / "tensorboard")) == 3
    assert not (tmp_path / "tensorboard.drafts").exists()


def test_another_execution_takes_the_place_of_the_one_before(store: Store, tmp_path: Path) -> None:
    export(store, STUDY, open_tracker("tensorboard", STUDY, tmp_path))
    key = key_of("train a")
    old = store.records()[key]
    store.withdraw([key], "stale")
    row = StageRecord(key, "train", preimage=old.preimage)
    store.commit(Group([row], [], [CurveRow(key, row.attempt, "train/loss", 9, 9.5)]))
    assert export(store, STUDY, open_tracker("tensorboard", STUDY, tmp_path)) == 1
    (tags,) = (tags for name, tags in read(tmp_path / "tensorboard").items() if name.startswith("stages"))
    assert [(step, value) for step, value, _ in tags["train/loss"]] == [(9, 9.5)]


def test_a_place_that_cannot_be_written_gets_one_sentence(store: Store, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    tracker = open_tracker("tensorboard", STUDY, tmp_path, str(tmp_path / "file" / "below"))
    with pytest.raises(HarnessError, match="could not be written"):
        export(store, STUDY, tracker)
