"""Folders of the cache, and locks between processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.data import locations
from harness.errors import HarnessError

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    return tmp_path


def test_everything_lies_below_the_cache_root(cache: Path) -> None:
    folders = {locations.archives_folder(), locations.unpacked_folder(), locations.decoded_folder()}
    assert len(folders) == 3
    assert all(folder.parent == locations.data_root() and folder.is_relative_to(cache) for folder in folders)


def test_without_the_variable_the_users_cache_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HARNESS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "of the user"))
    assert locations.data_root() == tmp_path / "of the user" / "transfer-harness" / "data"


def test_one_process_waits_for_another(cache: Path) -> None:
    code = (
        "import pathlib, time\nfrom harness.data.locations import one_at_a_time\n"
        "with one_at_a_time('work'):\n"
        f"    pathlib.Path({str(cache / 'inside')!r}).touch()\n    time.sleep(0.6)\n"
        f"    pathlib.Path({str(cache / 'done')!r}).touch()\n"
    )
    other = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=dict(os.environ))
    deadline = time.monotonic() + 30
    while not (cache / "inside").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    with locations.one_at_a_time("something else"):
        assert not (cache / "done").exists(), "another piece of work does not wait"
    with locations.one_at_a_time("work"):
        assert (cache / "done").exists(), "the same piece of work does"
    assert other.wait(30) == 0


def test_a_process_that_was_killed_holds_nobody_up(cache: Path) -> None:
    code = (
        "import pathlib, time\nfrom harness.data.locations import one_at_a_time\n"
        f"with one_at_a_time('work'):\n    pathlib.Path({str(cache / 'inside')!r}).touch()\n    time.sleep(60)\n"
    )
    other = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=dict(os.environ))
    deadline = time.monotonic() + 30
    while not (cache / "inside").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    other.kill()
    other.wait(30)
    with locations.one_at_a_time("work"):
        pass


def test_a_file_is_replaced_and_a_folder_is_not(cache: Path) -> None:
    for text in ("one", "two"):
        (cache / "draft").write_text(text)
        locations.publish(cache / "draft", cache / "deep" / "file")
    assert (cache / "deep" / "file").read_text() == "two"
    (cache / "draft").mkdir()
    with pytest.raises(OSError):
        locations.publish(cache / "draft", cache / "deep" / "file")


def test_the_size_of_a_tree(cache: Path) -> None:
    (cache / "a" / "b").mkdir(parents=True)
    (cache / "a" / "1").write_bytes(bytes(10))
    (cache / "a" / "b" / "2").write_bytes(bytes(5))
    assert locations.tree_size(cache / "a") == 15
    assert locations.tree_size(cache / "nowhere") == 0


def test_unfinished_work_is_removed_also_after_an_error(cache: Path) -> None:
    with pytest.raises(KeyboardInterrupt), locations.work_folder("test") as folder:
        (folder / "half").write_text("x")
        raise KeyboardInterrupt
    assert not folder.exists()


@pytest.mark.parametrize("variable", ["HARNESS_SCRATCH", "SLURM_TMPDIR", "HARNESS_CACHE"])
def test_a_folder_that_is_none_is_named_by_its_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    for name in ("HARNESS_SCRATCH", "SLURM_TMPDIR"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "file").touch()
    monkeypatch.setenv(variable, str(tmp_path / "file"))
    with (
        pytest.raises(HarnessError, match=f"{variable} names no folder to write to: Not a directory"),
        locations.one_at_a_time("work"),
    ):
        pass
