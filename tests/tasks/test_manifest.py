"""The generator of manifests, as it is called."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.data import manifest as manifests
from harness.data.items import Item
from harness.errors import HarnessError
from harness.tasks import manifest as making
from harness.tasks.packaged import Folders, Rule


def read_things(folders: Folders) -> Iterator[Item]:
    del folders
    for number in range(20):
        yield Item(f"{number:02d}", "ab"[number % 2], f"{number}", text=f"thing {number}")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    rule = Rule("things", (), read_things, "each by itself", kind="text")
    monkeypatch.setattr(making, "rules", lambda: {"things": rule})
    monkeypatch.setattr(manifests, "FOLDER", tmp_path / "manifests")
    manifests.load.cache_clear()
    yield tmp_path / "manifests"
    manifests.load.cache_clear()


def test_all_manifests_are_written_and_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert making.main([]) == 0
    assert "things: 2 classes, {'train': 10, 'val': 4, 'test': 6}" in capsys.readouterr().out
    assert manifests.load("things").class_sizes() == {"train": (5, 5), "val": (2, 2), "test": (3, 3)}


def test_writing_again_changes_nothing(folder: Path) -> None:
    making.main(["things"])
    before = (folder / "things.json").read_bytes()
    making.main(["things"])
    assert (folder / "things.json").read_bytes() == before


def test_an_unknown_task_is_refused(folder: Path) -> None:
    with pytest.raises(HarnessError, match="did you mean 'things'"):
        making.main(["thing"])


def test_large_sets_of_pictures_are_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(making, "MOST_COMPARED", 1)
    rule = Rule("pictures", (), read_things, "each by itself")
    assert list(making.same_examples(rule, list(read_things({})))) == []


def test_items_that_cannot_be_drawn_are_named() -> None:
    rule = Rule("pictures", (), read_things, "each by itself")
    with pytest.raises(HarnessError, match="00 is no picture"):
        list(making.same_examples(rule, list(read_things({}))))


def test_every_module_of_a_family_is_found() -> None:
    found = making.rules()
    assert {"mnist", "wesnoth_race", "wn_pos", "emoji_face"} <= set(found)
    assert list(found) == sorted(found)
