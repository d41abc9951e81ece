"""Unpacking: what is written, what is left out, and what is refused."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from harness.data.archives import ArchiveError, safe_parts, unpack


def tar_bytes(members: dict[str, bytes | None], mode: str, links: dict[str, str] | None = None) -> bytes:
    """Return a tar file; None makes a folder."""
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode=mode) as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            if content is None:
                info.type = tarfile.DIRTYPE
            else:
                info.size = len(content)
            tar.addfile(info, io.BytesIO(content or b""))
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type = tarfile.SYMTYPE
            info.linkname = target
            tar.addfile(info)
    return held.getvalue()


def deb_bytes(data: bytes, name: str = "data.tar.xz") -> bytes:
    """Return a Debian package, written by the ar format's own rules."""
    parts = [b"!<arch>\n"]
    for member, content in (("debian-binary", b"2.0\n"), ("control.tar.xz", b"odd"), (name, data)):
        header = f"{member:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode()
        assert len(header) == 60
        parts += [header, content, b"\n" * (len(content) % 2)]
    return b"".join(parts)


def written(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def target(tmp_path: Path) -> Path:
    folder = tmp_path / "target"
    folder.mkdir()
    return folder


def make(tmp_path: Path, name: str, content: bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(content)
    return path


def test_a_wheel_is_unpacked(tmp_path: Path, target: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a-1-py3-none-any.whl", "w") as file:
        file.writestr("a/data.txt", "x" * 3_000_000)
        file.writestr("a/", "")
        file.writestr("b.txt", "y")
    assert unpack(tmp_path / "a-1-py3-none-any.whl", target) == 2
    assert written(target) == {"a/data.txt": b"x" * 3_000_000, "b.txt": b"y"}


def test_an_npm_package_is_unpacked_without_its_links(tmp_path: Path, target: Path) -> None:
    content = tar_bytes({"package/a.txt": b"a", "package": None}, "w:gz", {"package/out": "/etc/passwd"})
    assert unpack(make(tmp_path, "a.tgz", content), target) == 1
    assert written(target) == {"package/a.txt": b"a"}


@pytest.mark.parametrize(("name", "mode"), [("data.tar.xz", "w:xz"), ("data.tar.gz", "w:gz"), ("data.tar", "w")])
def test_a_debian_package_is_unpacked(tmp_path: Path, target: Path, name: str, mode: str) -> None:
    data = tar_bytes({"./usr/share/a.txt": b"a", "./usr/share/b.txt": b"b" * 100_001}, mode)
    archive = make(tmp_path, "a_1_all.deb", deb_bytes(data, name))
    assert unpack(archive, target) == 2
    assert written(target) == {"usr/share/a.txt": b"a", "usr/share/b.txt": b"b" * 100_001}


def test_a_zip_link_is_left_out(tmp_path: Path, target: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.whl", "w") as file:
        link = zipfile.ZipInfo("link")
        link.external_attr = 0o120777 << 16
        file.writestr(link, "/etc/passwd")
        file.writestr("kept", "1")
    assert unpack(tmp_path / "a.whl", target) == 1
    assert not (target / "link").exists()


def test_only_what_is_kept_is_written(tmp_path: Path, target: Path) -> None:
    content = tar_bytes({"package/img/x/1.png": b"1", "package/img/readme": b"2", "package/LICENSE": b"3"}, "w:gz")
    unpack(make(tmp_path, "a.tgz", content), target, ("*/img/*.png", "*/LICENSE"))
    assert set(written(target)) == {"package/img/x/1.png", "package/LICENSE"}


@pytest.mark.parametrize("name", ["../out", "/etc/out", "a/../../out", "a\\..\\out", "C:/out", ".", "x/.."])
def test_no_member_leaves_the_folder(tmp_path: Path, target: Path, name: str) -> None:
    with pytest.raises(ArchiveError, match="outside"):
        safe_parts(name)
    if name != ".":
        content = tar_bytes({name: b"!"}, "w:gz")
        with pytest.raises(ArchiveError, match="outside"):
            unpack(make(tmp_path, "a.tgz", content), target)
    assert written(tmp_path / "target") == {}


def test_a_member_cannot_be_written_through_another(tmp_path: Path, target: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.whl", "w") as file, pytest.warns(UserWarning, match="Duplicate"):
        file.writestr("a", "1")
        file.writestr("a", "2")
    with pytest.raises(ArchiveError, match="cannot be unpacked"):
        unpack(tmp_path / "a.whl", target)


@pytest.mark.parametrize("name", ["a.tgz", "a.whl", "a.deb", "a.rar"])
def test_a_damaged_or_unknown_archive_is_named(tmp_path: Path, target: Path, name: str) -> None:
    with pytest.raises(ArchiveError, match=r"a\."):
        unpack(make(tmp_path, name, b"no archive at all"), target)


def test_a_truncated_archive_is_noticed(tmp_path: Path, target: Path) -> None:
    content = tar_bytes({"package/a": bytes(range(256)) * 4000}, "w:gz")
    with pytest.raises(ArchiveError, match="cannot be unpacked"):
        unpack(make(tmp_path, "a.tgz", content[: len(content) // 2]), target)


def test_a_debian_package_with_other_compression_is_refused(tmp_path: Path, target: Path) -> None:
    with pytest.raises(ArchiveError, match=r"data\.tar\.zst"):
        unpack(make(tmp_path, "a.deb", deb_bytes(b"zst", "data.tar.zst")), target)
    with pytest.raises(ArchiveError, match="damaged"):
        unpack(make(tmp_path, "b.deb", b"!<arch>\n"), target)
