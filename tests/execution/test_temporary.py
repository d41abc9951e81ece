"""Temporary folders: removed by their owners, or by the next run when those were killed; never under a living one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from harness.execution.temporary import PREFIX, TemporaryFolder, sweep

OWNER = """
import sys
from harness.execution.temporary import TemporaryFolder
folder = TemporaryFolder()
print(folder.path, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def owner(place: Path):
    """A process with a folder, and the folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER], env={**os.environ, "TMPDIR": str(place)}, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    yield process, Path(process.stdout.readline().strip())
    process.kill()
    process.communicate()


def ended() -> int:
    """The number of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_folder_is_private_and_goes_with_its_owner(place: Path) -> None:
    folder = TemporaryFolder()
    assert folder.path.parent == place and folder.path.name.startswith(f"{PREFIX}{os.getpid()}-")
    assert folder.path.stat().st_mode & 0o777 == 0o700
    (folder.path / "below").mkdir()
    folder.remove()
    assert not folder.path.exists()
    folder.remove()


def test_folders_of_killed_runs_are_swept(owner) -> None:
    process, folder = owner
    sweep()
    assert folder.is_dir(), "its owner lives"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert folder.is_dir()
    other = TemporaryFolder()
    assert not folder.exists() and other.path.is_dir()


def test_a_folder_whose_owner_counts_as_another_process_stays(owner, place: Path) -> None:
    """As one of a container does, whose processes have numbers of their own."""
    _, folder = owner
    renamed = folder.rename(place / f"{PREFIX}{ended()}-x")
    sweep()
    assert renamed.is_dir()


def test_what_is_not_ours_stays(place: Path) -> None:
    new = place / f"{PREFIX}{os.getpid()}-x"  # its owner has had no time to lock it
    others = [new, place / f"{PREFIX}me", place / f"{PREFIX}me-1", place / f"other-{ended()}-x"]
    for folder in others:
        folder.mkdir()
    file = place / f"{PREFIX}{ended()}-file"
    file.touch()
    sweep()
    assert all(folder.is_dir() for folder in others) and file.is_file()
