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


@pytest.mark.parametrize("text", ["[]", "3", '"format"', "null"])
def test_a_lock_file_that_is_json_of_another_shape(tmp_path: Path, text: str) -> None:
    path = locks.lock_path("small", tmp_path)
    path.parent.mkdir()
    path.write_text(text, encoding="utf-8")
    with pytest.raises(HarnessError, match="of a format that this version does not read"):
        locks.verify(STUDY, expansion(digits_upright()), tmp_path)


def test_a_lock_file_in_no_text_is_one_sentence(tmp_path: Path) -> None:
    path = locks.lock_path("small", tmp_path)
    path.parent.mkdir()
    path.write_bytes(b"\xff\xfe{")
    with pytest.raises(HarnessError, match="is not a lock file") as caught:
        locks.verify(STUDY, expansion(digits_upright()), tmp_path)
    assert "\n" not in str(caught.value)


def test_the_file_is_sorted_json_that_ends_with_a_newline(tmp_path: Path) -> None:
    values = (digits_flip(), digits_upright(), mlp(hidden=8))
    first = locks.prepare(STUDY, expansion(*values), tmp_path / "a").read_text(encoding="utf-8")
    other = locks.prepare(STUDY, expansion(*reversed(values)), tmp_path / "b").read_text(encoding="utf-8")
    assert first == other, "the order in which a study names things is no part of its lock"
    content = json.loads(first)
    assert list(content) == ["backbones", "checkpoints", "format", "study", "tasks"]
    assert (content["format"], content["study"]) == (1, "small")
    assert first == json.dumps(content, indent=2, sort_keys=True) + "\n"


def test_preparing_again_accepts_what_changed_and_forgets_what_is_gone(tmp_path: Path) -> None:
    locks.prepare(STUDY, expansion(digits_upright(), digits_flip()), tmp_path)
    other = dataclasses.replace(digits_upright(), data={"provider": "elsewhere"})
    locks.prepare(STUDY, expansion(other), tmp_path)
    locks.verify(STUDY, expansion(other), tmp_path)
    with pytest.raises(HarnessError, match="'digits_flip' is not in"):
        locks.verify(STUDY, expansion(digits_flip()), tmp_path)


def test_of_several_differences_the_first_by_name_is_told(tmp_path: Path) -> None:
    locks.prepare(STUDY, expansion(digits_upright()), tmp_path)
    with pytest.raises(HarnessError, match=r"^'digits_flip' is not in"):
        locks.verify(STUDY, expansion(digits_invert(), digits_upright(), digits_flip()), tmp_path)


@pytest.mark.parametrize(("before", "after"), [({"hidden": 8}, {"hidden": 16}), ({"depth": 1}, {"depth": 3})])
def test_another_backbone_was_not_prepared(tmp_path: Path, before: dict[str, int], after: dict[str, int]) -> None:
    locks.prepare(STUDY, expansion(mlp(**before)), tmp_path)
    locks.verify(STUDY, expansion(mlp(**before)), tmp_path)
    with pytest.raises(HarnessError, match=r"'mlp\(depth=\d, hidden=\d+\)' is not in"):
        locks.verify(STUDY, expansion(mlp(**after)), tmp_path)


def test_every_split_is_read_once_and_a_sentence_of_the_task_comes_through(tmp_path: Path) -> None:
    read: list[str] = []

    def note(split: str) -> Split:
        read.append(split)
        return digits_upright().split(split)

    task: Task = dataclasses.replace(digits_upright(), load=note)
    locks.prepare(STUDY, expansion(task, task, TaskSet((task,))), tmp_path)
    assert sorted(read) == sorted(task.sizes)

    def refuse(_split: str) -> Split:
        raise HarnessError("the archive is damaged: fetch it again")

    with pytest.raises(HarnessError, match=r"^the archive is damaged: fetch it again$"):
        locks.prepare(STUDY, expansion(dataclasses.replace(digits_flip(), load=refuse)), tmp_path)


def test_a_results_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="Not a directory"):
        locks.prepare(STUDY, expansion(digits_upright()), tmp_path / "file")
    locks.verify(STUDY, expansion(digits_upright()), tmp_path / "file")  # no lock file there: nothing to hold to
