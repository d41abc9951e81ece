"""Folders of the cache are copied once to a node's own disk, whole and verified, or used where they are."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import harness.data.node_copies as node_copies
from harness.data import decoded as decoding
from harness.data.locations import one_at_a_time
from harness.data.node_copies import local_copy
from harness.errors import HarnessError
from harness.store.cache import CacheStore, node_root, scratch_root

ROOT = Path(__file__).parents[2]
MANY = """
import sys
from pathlib import Path
from harness.data.node_copies import local_copy

def check(made):
    with open(sys.argv[2], "a") as file:
        file.write("made\\n")

print(local_copy(Path(sys.argv[1]), check=check))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of the cache: 3 MB in two files."""
    made = tmp_path / "cache" / "package-1.0"
    (made / "in").mkdir(parents=True)
    (made / "large").write_bytes(os.urandom(3_000_000))
    (made / "in" / "small").write_text("größe")
    return made


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HARNESS_SCRATCH", str(tmp_path / "scratch"))
    found = scratch_root()
    assert found is not None
    return found


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_without_a_scratch_disk_nothing_is_copied(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HARNESS_SCRATCH", "SLURM_TMPDIR"):
        monkeypatch.delenv(name, raising=False)
    assert scratch_root() is None and local_copy(folder) == folder


def test_where_the_scratch_disk_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HARNESS_SCRATCH", raising=False)
    monkeypatch.setenv("SLURM_TMPDIR", str(tmp_path / "job"))
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "shared"))
    assert scratch_root() == node_root() == tmp_path / "job" / f"transfer-harness-{os.getuid()}"
    monkeypatch.setenv("HARNESS_SCRATCH", str(tmp_path / "own"))
    assert scratch_root() == tmp_path / "own" / f"transfer-harness-{os.getuid()}"
    assert CacheStore().root == node_root() / "artifacts", "features are cached there, too"
    with one_at_a_time("work"):
        assert not (tmp_path / "shared").exists(), "and no lock lies on shared storage"


def test_a_copy_is_the_folder_and_is_made_once(folder: Path, scratch: Path) -> None:
    made = local_copy(folder)
    assert made.parent == scratch / "copies" and content(made) == content(folder)
    (made / "in" / "small").write_text("ours")
    assert local_copy(folder) == made and (made / "in" / "small").read_text() == "ours", "it is not made again"
    (folder / "new").write_text("replaced")
    renewed = local_copy(folder)
    assert renewed != made and content(renewed) == content(folder), "what was put in its place is another folder"
    assert (scratch / "copies").stat().st_mode & 0o077 == 0, "nobody else's business"


def test_many_processes_at_once_make_one_copy(folder: Path, scratch: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = [sys.executable, "-c", MANY, str(folder), str(log)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(4)]
    places = {process.communicate(timeout=120)[0].strip() for process in started}
    assert len(places) == 1 and log.read_text() == "made\n"
    assert content(Path(places.pop())) == content(folder)
    assert [path.name for path in (scratch / "copies").iterdir() if path.name.startswith(".")] == []


def test_a_damaged_folder_is_not_copied(folder: Path, scratch: Path) -> None:
    digests = {"large": hashlib.sha256((folder / "large").read_bytes()).hexdigest()}
    (folder / "large").write_bytes(b"other")
    with pytest.raises(HarnessError, match=r"large is damaged: run `harness data verify`"):
        local_copy(folder, digests)
    assert list((scratch / "copies").iterdir()) == []


def test_a_copy_that_went_wrong_is_not_used(folder: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = hashlib.file_digest

    def other(file, kind):
        return digest(file, kind) if "scratch" not in file.name else hashlib.sha256(b"the disk lied")

    monkeypatch.setattr(node_copies.hashlib, "file_digest", other)
    assert local_copy(folder) == folder
    assert list((scratch / "copies").iterdir()) == []


@pytest.mark.parametrize(("gigabytes", "copied"), [("0.002", False), ("0.004", True)])
def test_the_budget_holds(folder: Path, scratch: Path, monkeypatch, gigabytes: str, copied: bool) -> None:
    monkeypatch.setenv("HARNESS_SCRATCH_GB", gigabytes)
    assert (local_copy(folder) != folder) is copied


def test_what_nobody_used_for_a_day_makes_room(folder: Path, scratch: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("HARNESS_SCRATCH_GB", "0.005")
    first = local_copy(folder)
    other = tmp_path / "cache" / "other"
    other.mkdir()
    (other / "x").write_bytes(bytes(3_000_000))
    assert local_copy(other) == other, "what is in use stays"
    yesterday = time.time() - 2 * node_copies.STALE_SECONDS
    os.utime(first, (yesterday, yesterday))
    assert local_copy(other) != other and not first.exists()


def test_a_full_disk_leaves_the_shared_folder_in_use(folder: Path, scratch: Path, monkeypatch) -> None:
    usage = node_copies.shutil.disk_usage
    monkeypatch.setattr(node_copies.shutil, "disk_usage", lambda path: usage(path)._replace(free=1000))
    assert local_copy(folder) == folder


def test_a_budget_that_is_no_number_is_one_sentence(folder: Path, scratch: Path, monkeypatch) -> None:
    monkeypatch.setenv("HARNESS_SCRATCH_GB", "much")
    with pytest.raises(HarnessError, match="HARNESS_SCRATCH_GB is a number of gigabytes, not 'much'"):
        local_copy(folder)


def test_decoded_pictures_are_read_from_the_node(scratch: Path, tmp_path: Path) -> None:
    from PIL import Image

    from harness.data.items import Item

    pictures = [Image.fromarray(np.full((4, 4), 40 * at, np.uint8), mode="L") for at in range(3)]
    items = [(Item(str(at), "x", str(at), draw=lambda size, at=at: pictures[at]), at) for at in range(3)]
    stored = decoding.decoded("task-4", "d" * 64, "train", lambda: items, 4, lambda image, size: image)
    assert stored.pictures.is_relative_to(scratch) and stored.labels == (0, 1, 2)
    shared = decoding.decoded_folder() / f"task-4-{'d' * 16}" / "train" / decoding.PICTURES
    assert np.array_equal(decoding.open_pictures(stored.pictures), decoding.open_pictures(shared))
    again = decoding.decoded("task-4", "d" * 64, "train", lambda: pytest.fail("decoded again"), 4, lambda *_: None)
    assert again == stored


def test_decoded_pictures_that_were_damaged_since_are_found(scratch: Path) -> None:
    from PIL import Image

    from harness.data.items import Item

    items = [(Item("a", "x", "a", draw=lambda size: Image.new("L", (4, 4), 7)), 0)]
    stored = decoding.decoded("task-4", "e" * 64, "train", lambda: items, 4, lambda image, size: image)
    node_copies.shutil.rmtree(stored.pictures.parent)
    shared = decoding.decoded_folder() / f"task-4-{'e' * 16}" / "train" / decoding.PICTURES
    bytes_there = shared.read_bytes()
    shared.write_bytes(bytes_there[:-1] + b"\0")
    with pytest.raises(HarnessError, match="are damaged"):
        decoding.decoded("task-4", "e" * 64, "train", lambda: items, 4, lambda image, size: image)
