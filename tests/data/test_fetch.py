"""Fetching: each step once, damaged archives again, nothing that is not the archive meant."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from types import MappingProxyType

import pytest

from harness.data import fetch as fetching
from harness.data import locations
from harness.data.catalogue import DataPackage
from harness.data.clients import ClientError
from harness.errors import HarnessError


def archive_bytes(**files: bytes) -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(f"package/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return held.getvalue()


CONTENT = archive_bytes(a=b"one", b=b"two" * 1000, c=b"left out")


class Registry:
    """Stands for a registry: serves what it is given, and counts."""

    def __init__(self) -> None:
        self.serves = [CONTENT]
        self.asked = 0

    def download(self, package: DataPackage, folder: Path, progress: object = None) -> Path:
        del progress
        served = self.serves[min(self.asked, len(self.serves) - 1)]
        self.asked += 1
        path = folder / package.file
        path.write_bytes(served)
        return path


@pytest.fixture
def entry() -> DataPackage:
    return DataPackage(
        name="toy",
        client="npm",
        package="@maker/toy",
        version="1.2.3",
        file="maker-toy-1.2.3.tgz",
        size=len(CONTENT),
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        licence="MIT",
        source="nobody",
        gives="three files",
        keep=("*/a", "*/b"),
    )


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: DataPackage) -> Registry:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("harness.data.catalogue.PACKAGES", MappingProxyType({"toy": entry}))
    monkeypatch.setattr(fetching, "PACKAGES", MappingProxyType({"toy": entry}))
    made = Registry()
    monkeypatch.setattr(fetching, "download", made.download)
    return made


def test_what_is_fetched_is_unpacked_below_the_cache(registry: Registry, tmp_path: Path) -> None:
    (folder,) = fetching.fetch(["toy"])
    assert folder.is_relative_to(tmp_path / "cache")
    assert (folder / "package" / "a").read_bytes() == b"one"
    assert not (folder / "package" / "c").exists(), "only what the catalogue keeps"
    assert not list((tmp_path / "cache" / "data" / "partial").iterdir()), "no unfinished work is left"


def test_a_second_fetch_does_nothing(registry: Registry) -> None:
    fetching.fetch(["toy"])
    before = fetching.where(["toy"])
    fetching.fetch(["toy", "toy"])
    assert registry.asked == 1
    assert fetching.where(["toy"]) == before


def test_an_archive_that_lies_there_is_used(registry: Registry, entry: DataPackage) -> None:
    entry.archive.parent.mkdir(parents=True)
    entry.archive.write_bytes(CONTENT)
    assert fetching.where(["toy"])[0].status == "archive only"
    fetching.fetch(["toy"])
    assert registry.asked == 0


def test_a_damaged_archive_is_fetched_again(registry: Registry, entry: DataPackage) -> None:
    entry.archive.parent.mkdir(parents=True)
    entry.archive.write_bytes(b"\0" * len(CONTENT))
    said: list[str] = []
    fetching.fetch(["toy"], say=said.append)
    assert registry.asked == 1
    assert "damaged" in said[0]
    assert entry.archive.read_bytes() == CONTENT


def test_a_damaged_download_is_tried_once_more(registry: Registry) -> None:
    registry.serves = [CONTENT[:-1], CONTENT]
    fetching.fetch(["toy"])
    assert registry.asked == 2


def test_another_archive_than_the_one_meant_is_refused(registry: Registry, entry: DataPackage) -> None:
    registry.serves = [archive_bytes(a=b"other")]
    with pytest.raises(HarnessError, match=r"another archive as @maker/toy 1\.2\.3.*by hand") as raised:
        fetching.fetch(["toy"])
    assert entry.sha256 in str(raised.value)
    assert fetching.where(["toy"])[0].status == "absent"


def test_an_interrupted_unpacking_leaves_nothing_half_done(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, entry: DataPackage
) -> None:
    def interrupted(*arguments: object) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(fetching, "unpack", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fetching.fetch(["toy"])
    assert fetching.where(["toy"])[0].status == "archive only"
    fetching.fetch(["toy"])
    assert registry.asked == 1, "the archive that was complete is kept"


def test_progress_and_announcement(registry: Registry, entry: DataPackage) -> None:
    (row,) = fetching.announcement([entry])
    assert row[0] == "toy" and "MIT" in row and row[-1] == "fetch from the npm registry"
    seen: list[tuple[str, int, int]] = []
    fetching.fetch(["toy"], progress=lambda package, done, total: seen.append((package.name, done, total)))
    assert seen[-1] == ("toy", entry.size, entry.size)
    assert fetching.announcement([entry])[0][-1] == "nothing to do"


def test_a_task_never_downloads(registry: Registry) -> None:
    with pytest.raises(fetching.DataAbsentError, match=r"licence: MIT.*harness data fetch toy"):
        fetching.require("toy")
    assert registry.asked == 0
    (folder,) = fetching.fetch(["toy"])
    assert fetching.require("toy") == folder


def test_an_unknown_name_is_answered_with_the_nearest(registry: Registry) -> None:
    with pytest.raises(HarnessError, match="did you mean 'toy'"):
        fetching.fetch(["toyy"])


def test_verification_reads_everything(registry: Registry, entry: DataPackage) -> None:
    (absent,) = fetching.verify(["toy"])
    assert absent.problem == "it is not here"
    fetching.fetch(["toy"])
    assert [verdict.problem for verdict in fetching.verify()] == [None]
    (entry.folder / "package" / "a").write_bytes(b"One")
    assert "package/a is damaged" in str(fetching.verify()[0].problem)
    (entry.folder / "package" / "a").unlink()
    assert "package/a is missing" in str(fetching.verify()[0].problem)
    (entry.folder / "package" / "a").write_bytes(b"one")
    (entry.folder / "stray").write_bytes(b"")
    assert "not of this package" in str(fetching.verify()[0].problem)


def test_what_is_damaged_is_repaired_by_the_next_fetch(registry: Registry, entry: DataPackage) -> None:
    fetching.fetch(["toy"])
    assert fetching.repair(["toy"]) == []
    (entry.folder / "package" / "a").write_bytes(b"One")
    entry.archive.write_bytes(b"nonsense")
    assert fetching.repair(["toy"]) == ["toy"]
    fetching.fetch(["toy"])
    assert registry.asked == 2
    assert fetching.verify()[0].problem is None


def test_a_full_disk_is_noticed_first(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 10})())
    with pytest.raises(HarnessError, match="HARNESS_CACHE"):
        fetching.fetch(["toy"])
    assert registry.asked == 0


def test_a_failing_client_is_one_sentence(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object) -> Path:
        raise ClientError("npm could not")

    monkeypatch.setattr(fetching, "download", broken)
    with pytest.raises(HarnessError, match="npm could not"):
        fetching.fetch(["toy"])


def test_two_processes_at_once_end_with_one_sound_package(registry: Registry, entry: DataPackage) -> None:
    entry.archive.parent.mkdir(parents=True)
    entry.archive.write_bytes(CONTENT)
    code = (
        "import sys\nfrom types import MappingProxyType\nfrom harness.data import catalogue, fetch\n"
        f"from harness.data.catalogue import DataPackage\nentry = {entry!r}\n"
        "catalogue.PACKAGES = fetch.PACKAGES = MappingProxyType({'toy': entry})\n"
        "fetch.fetch(['toy'])\nsys.exit(fetch.verify(['toy'])[0].problem)\n"
    )
    root = Path(__file__).resolve().parent.parent.parent
    both = [
        subprocess.Popen([sys.executable, "-c", code], cwd=root, env=dict(os.environ), stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    assert [process.wait(60) for process in both] == [0, 0]
    for process in both:
        process.communicate()
    assert fetching.verify(["toy"])[0].problem is None


def test_the_second_to_publish_gives_way(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
        locations.publish(tmp_path / name, tmp_path / "target")
    assert (tmp_path / "target" / "file").read_text() == "first"


def test_leftovers_of_killed_processes_are_swept(registry: Registry, tmp_path: Path) -> None:
    parent = tmp_path / "cache" / "data" / "partial"
    (parent / "old").mkdir(parents=True)
    (parent / "fresh").mkdir()
    long_ago = time.time() - 2 * locations.STALE_SECONDS
    os.utime(parent / "old", (long_ago, long_ago))
    with locations.work_folder("test") as folder:
        assert folder.is_dir()
        assert not (parent / "old").exists()
        assert (parent / "fresh").exists(), "another process may be at it"
    assert not folder.exists()


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "file"))
    with pytest.raises(HarnessError, match="HARNESS_CACHE"), locations.work_folder("test"):
        pass
