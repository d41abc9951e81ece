"""Offline runs of Weights & Biases, read back record by record, beside what the store holds."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.store import Store
from harness.trackers import export, open_tracker

from .conftest import CURVES, STUDY, VALUES, trained

wandb = pytest.importorskip("wandb")
from wandb.proto.wandb_internal_pb2 import Record  # noqa: E402

pytestmark = pytest.mark.slow


def read(folder: Path) -> dict[str, dict[str, Any]]:
    """For each offline run its name, configuration, history and summary."""
    found = {}
    for path in folder.glob("wandb/wandb/offline-run-*/run-*.wandb"):
        run: dict[str, Any] = {"config": {}, "history": [], "summary": {}, "exit": None}
        for content in records(path.read_bytes()):
            _take(run, Record.FromString(content))
        assert run["id"] not in found, "a run is there twice"
        found[run["id"]] = run
    return found


def records(content: bytes) -> Iterator[bytes]:
    """Yield the records of a file in the format of LevelDB's log: blocks of 32 KiB, records in one or more pieces."""
    assert content[:4] == b":W&B"
    place, whole = 7, b""
    while place < len(content):
        left = 32768 - place % 32768
        if left < 7:
            place += left
            continue
        _, length, kind = struct.unpack("<IHB", content[place : place + 7])
        whole += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # a whole record, or its last piece
            yield whole
            whole = b""


def _take(run: dict[str, Any], record: Record) -> None:
    kind = record.WhichOneof("record_type")
    if kind == "run":
        run["id"], run["name"], run["project"] = record.run.run_id, record.run.display_name, record.run.project
        run["config"] |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
    elif kind == "history":
        items = {".".join(item.nested_key) or item.key: json.loads(item.value_json) for item in record.history.item}
        run["history"].append((record.history.step.num, items))
    elif kind == "summary":
        run["summary"] |= {
            ".".join(item.nested_key) or item.key: json.loads(item.value_json) for item in record.summary.update
        }
    elif kind == "exit":
        run["exit"] = record.exit.exit_code


def test_what_is_read_back_is_what_is_stored(store: Store, tmp_path: Path) -> None:
    store.commit(trained("b"))
    assert export(store, STUDY, open_tracker("wandb", STUDY, tmp_path)) == 5
    found = list(read(tmp_path).values())
    assert {run["project"] for run in found} == {STUDY}
    curves = {run["config"]["task"]: run["history"] for run in found if "task" in run["config"]}
    assert {task: [(step, items["train/loss"]) for step, items in history] for task, history in curves.items()} == {
        f"digits_{name}": CURVES[name] for name in "ab"
    }
    trials = {run["config"]["source"]: run for run in found if "source" in run["config"]}
    for name in "ab":
        run = trials[f"digits_{name}"]
        assert run["summary"][f"half(of=digits, side={name})/test/accuracy"] == VALUES[name]
        assert (run["config"]["shots"], run["config"]["status"], run["exit"]) == (5, "ok", 0)
    assert (trials["digits_c"]["config"]["status"], trials["digits_c"]["exit"]) == ("oom", 1)


def test_again_doubles_nothing_even_after_a_cleaning(store: Store, tmp_path: Path) -> None:
    export(store, STUDY, open_tracker("wandb", STUDY, tmp_path))
    assert export(store, STUDY, open_tracker("wandb", STUDY, tmp_path)) == 0
    assert len(read(tmp_path)) == 3 == len((tmp_path / "wandb" / "exported.txt").read_text().split())
    for folder in (tmp_path / "wandb" / "wandb").glob("offline-run-*"):
        shutil.rmtree(folder)  # as `wandb sync --clean` does with what it has uploaded
    assert export(store, STUDY, open_tracker("wandb", STUDY, tmp_path)) == 0


def test_a_run_that_a_crash_left_is_written_anew(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.trackers import to_wandb

    def dying(opened: Any, run: object) -> None:
        opened.log({"train/loss": 7.0}, step=1)
        opened.finish()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(to_wandb, "_fill", dying)
        with pytest.raises(KeyboardInterrupt):
            export(store, STUDY, open_tracker("wandb", STUDY, tmp_path))
    assert len(list(tmp_path.glob("wandb/wandb/offline-run-*"))) == 1
    assert export(store, STUDY, open_tracker("wandb", STUDY, tmp_path)) == 3
    found = read(tmp_path)
    assert len(found) == 3
    histories = [[items.get("train/loss") for _, items in run["history"]] for run in found.values() if run["history"]]
    assert histories == [[value for _, value in CURVES["a"]]]
