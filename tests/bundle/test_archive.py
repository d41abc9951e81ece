"""The file: equal bytes for equal content, and every change found."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.bundle.archive import SUMS, pack, verify, write_sums
from harness.errors import HarnessError

FILES = {"README.md": b"# x\n", "rows/a.csv": b"1,2\n" * 1000, "figures/a.png": bytes(range(256)) * 40}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in FILES.items():
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    write_sums(tmp_path / "in")
    return tmp_path / "in"


@pytest.fixture
def packed(folder: Path, tmp_path: Path) -> Path:
    assert pack(folder, "study", tmp_path / "out" / "x.zip") == 4
    return tmp_path / "out" / "x.zip"


def rewritten(source: Path, change: Callable[[str, bytes], bytes | None]) -> Path:
    target = source.with_name("changed.zip")
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = change(name, old.read(name))
            if content is not None:
                new.writestr(name, content)
    return target


def test_the_sums_are_those_of_sha256sum(folder: Path) -> None:
    lines = dict(line.split("  ")[::-1] for line in (folder / SUMS).read_text().splitlines())
    assert lines == {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
    if shutil.which("sha256sum"):
        done = subprocess.run(["sha256sum", "-c", SUMS], cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_equal_content_gives_equal_bytes(folder: Path, packed: Path) -> None:
    once = packed.read_bytes()
    for number, path in enumerate(folder.rglob("*")):
        os.utime(path, (number, number))
        path.chmod(0o700)
    pack(folder, "study", packed)
    assert packed.read_bytes() == once
    assert [path.name for path in packed.parent.iterdir()] == ["x.zip"]


def test_a_sound_bundle_is_sound(packed: Path) -> None:
    found = verify(packed)
    assert (found.members, found.problems) == (4, ())
    assert found.nbytes == sum(map(len, FILES.values()))
    with zipfile.ZipFile(packed) as archive:
        assert archive.testzip() is None
        assert {name.split("/")[0] for name in archive.namelist()} == {"study"}


def test_every_change_is_found(packed: Path) -> None:
    def problems(change: Callable[[str, bytes], bytes | None]) -> tuple[str, ...]:
        return verify(rewritten(packed, change)).problems

    assert problems(lambda name, content: content) == ()
    assert problems(lambda name, content: content[:-1] if name.endswith("a.csv") else content) == (
        "study/rows/a.csv: it is not what was packed",
    )
    assert problems(lambda name, content: None if name.endswith("a.csv") else content) == (
        "study/rows/a.csv: it is missing",
    )
    bad = rewritten(packed, lambda name, content: content)
    with zipfile.ZipFile(bad, "a") as archive:
        archive.writestr("study/more.txt", b"")
    assert verify(bad).problems == ("study/more.txt: it has no checksum",)
    assert problems(lambda name, content: b"nonsense\n" + content if name.endswith(SUMS) else content) == (
        f"study/{SUMS}: line 1 states no checksum",
    )


def test_flipped_bytes_are_found_wherever_they_are(packed: Path) -> None:
    sound = packed.read_bytes()
    for place in range(40, len(sound) - 400, 997):
        packed.write_bytes(sound[:place] + bytes([sound[place] ^ 0xFF]) + sound[place + 1 :])
        with contextlib.suppress(HarnessError):
            assert verify(packed).problems, place


def test_what_is_no_bundle_gets_one_sentence(packed: Path, tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="there is no file"):
        verify(tmp_path / "absent.zip")
    (tmp_path / "text.zip").write_text("no zip")
    with pytest.raises(HarnessError, match="cannot be read as a bundle"):
        verify(tmp_path / "text.zip")
    with pytest.raises(HarnessError, match="it has no SHA256SUMS"):
        verify(rewritten(packed, lambda name, content: None if name.endswith(SUMS) else content))


def test_what_cannot_be_written_leaves_the_older_file(folder: Path, packed: Path) -> None:
    once = packed.read_bytes()
    (folder / "pipe").symlink_to(folder / "README.md")
    (folder / "gone").symlink_to(folder / "nowhere")
    assert pack(folder, "study", packed) == 5, "a link that leads nowhere is no file"
    packed.write_bytes(once)
    with pytest.raises(HarnessError, match="could not be written"):
        pack(folder, "study", packed / "under a file" / "x.zip")
    assert packed.read_bytes() == once
