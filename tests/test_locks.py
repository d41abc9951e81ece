"""The lock file: what it holds, and what it stops."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness import locks
from harness.backbones.base import Checkpoint
from harness.backbones.small import mlp
from harness.errors import HarnessError
from harness.tasks.base import Split, Task, TaskSet
from harness.tasks.digits import digits_flip, digits_invert, digits_upright

STUDY: Any = SimpleNamespace(name="small")


def expansion(*values: object, **params: object) -> Any:
    """Something with blocks, axes and settings, as an expansion has."""
    block = SimpleNamespace(axes=[SimpleNamespace(values=values)], settings=[SimpleNamespace(params=params)])
    return SimpleNamespace(blocks=[block])


def test_every_named_thing_is_locked_once(tmp_path: Path) -> None:
    weights = tmp_path / "w.safetensors"
    weights.write_bytes(b"weights")
    values = (digits_upright(), TaskSet((digits_upright(), digits_flip())), None, mlp(hidden=8), mlp(hidden=16))
    path = locks.prepare(STUDY, expansion(*values, teacher=Checkpoint(path=str(weights)), steps=3), tmp_path)
    content = json.loads(path.read_text(encoding="utf-8"))
    assert path == tmp_path / "small" / "study.lock.json"
    assert sorted(content["tasks"]) == ["digits_flip", "digits_upright"]
    assert sorted(content["backbones"]) == ["mlp(depth=2, hidden=16)", "mlp(depth=2, hidden=8)"]
    # printf weights | sha256sum
    (locked,) = content["checkpoints"].values()
    assert locked["sha256"] == "9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c"
    assert [entry.name for entry in path.parent.iterdir()] == ["study.lock.json"]


def test_without_a_lock_file_anything_goes(tmp_path: Path) -> None:
    locks.verify(STUDY, expansion(digits_upright()), tmp_path)


def test_what_was_prepared_passes_and_so_does_less(tmp_path: Path) -> None:
    both = expansion(digits_upright(), digits_flip(), mlp())
    locks.prepare(STUDY, both, tmp_path)
    locks.verify(STUDY, both, tmp_path)
    locks.verify(STUDY, expansion(digits_flip()), tmp_path)


def test_what_was_not_prepared_is_named(tmp_path: Path) -> None:
    locks.prepare(STUDY, expansion(digits_upright()), tmp_path)
    with pytest.raises(HarnessError, match=r"'digits_invert' is not in .*study\.lock\.json: run `harness prepare`"):
        locks.verify(STUDY, expansion(digits_upright(), digits_invert()), tmp_path)


def test_other_data_under_the_same_name_is_named(tmp_path: Path) -> None:
    locks.prepare(STUDY, expansion(digits_upright()), tmp_path)
    other = dataclasses.replace(digits_upright(), data={"provider": "elsewhere"})
    with pytest.raises(HarnessError, match="'digits_upright' is no longer what"):
        locks.verify(STUDY, expansion(other), tmp_path)


def test_other_weights_in_the_same_file_are_named(tmp_path: Path) -> None:
    weights = tmp_path / "w.safetensors"
    weights.write_bytes(b"weights")
    locks.prepare(STUDY, expansion(Checkpoint(path=str(weights))), tmp_path)
    weights.write_bytes(b"other weights")
    with pytest.raises(HarnessError, match=r"w\.safetensors' is no longer what"):
        locks.verify(STUDY, expansion(Checkpoint(path=str(weights))), tmp_path)


def broken(_split: str) -> Split:
    """Fail as a missing file would."""
    raise FileNotFoundError("images.bin")


def test_data_that_cannot_be_read_stop_preparation(tmp_path: Path) -> None:
    task: Task = dataclasses.replace(digits_upright(), load=broken)
    with pytest.raises(HarnessError, match=r"split 'train' cannot be read: FileNotFoundError: images\.bin"):
        locks.prepare(STUDY, expansion(task), tmp_path)
    assert not locks.lock_path("small", tmp_path).exists()


@pytest.mark.parametrize(("text", "sentence"), [("{", "is not a lock file"), ('{"format": 99}', "of a format")])
def test_a_lock_file_that_cannot_be_read(tmp_path: Path, text: str, sentence: str) -> None:
    path = locks.lock_path("small", tmp_path)
    path.parent.mkdir()
    path.write_text(text, encoding="utf-8")
    with pytest.raises(HarnessError, match=sentence):
        locks.verify(STUDY, expansion(digits_upright()), tmp_path)
