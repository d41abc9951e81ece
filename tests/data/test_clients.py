"""The registry clients: what they are told, and what is said when they are missing or fail."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

from harness.data import clients
from harness.data.catalogue import Client, DataPackage
from harness.data.clients import ClientError, download

FAKE = """#!/bin/sh
echo "$0 $@" >> "$ASKED"
{body}
"""


def entry(client: Client, file: str) -> DataPackage:
    return DataPackage("toy", client, "toy-data", "1.0", file, 100, "0" * 64, "MIT", "nobody", "nothing")


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where fake clients write what they were told; they come first on the path."""
    monkeypatch.setenv("ASKED", str(tmp_path / "asked"))
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return tmp_path / "asked"


def fake(tmp_path: Path, name: str, body: str) -> None:
    path = tmp_path / "bin" / name
    path.write_text(FAKE.format(body=body))
    path.chmod(0o755)


def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def test_npm_only_packs_and_runs_no_script(tmp_path: Path, asked: Path) -> None:
    fake(tmp_path, "npm", "head -c 100 /dev/zero > toy-data-1.0.tgz; sleep 0.3")
    seen: list[tuple[int, int]] = []
    got = download(entry("npm", "toy-data-1.0.tgz"), work(tmp_path), lambda done, total: seen.append((done, total)))
    assert got.name == "toy-data-1.0.tgz"
    told = asked.read_text()
    assert " pack " in told and "--ignore-scripts" in told and "toy-data@1.0" in told
    assert "install" not in told
    assert seen and all(0 <= done <= total == 100 for done, total in seen)


def test_apt_downloads_with_the_systems_lists_first(tmp_path: Path, asked: Path) -> None:
    fake(tmp_path, "apt-get", "touch toy-data_1.0_all.deb")
    download(entry("apt", "toy-data_1.0_all.deb"), work(tmp_path))
    lines = asked.read_text().splitlines()
    assert len(lines) == 1 and lines[0].endswith("download toy-data=1.0")


def test_apt_falls_back_to_lists_of_its_own(tmp_path: Path, asked: Path) -> None:
    body = 'case "$@" in *Dir::State::lists*download*) touch toy-data_1.0_all.deb;; *update) ;; *) exit 100;; esac'
    fake(tmp_path, "apt-get", body)
    folder = work(tmp_path)
    download(entry("apt", "toy-data_1.0_all.deb"), folder)
    lines = asked.read_text().splitlines()
    assert [line.split()[-1] for line in lines] == ["toy-data=1.0", "update", "toy-data=1.0"]
    assert str(folder) in lines[1], "the system's own lists are left alone"


def test_apt_that_has_gone_on_says_so(tmp_path: Path, asked: Path) -> None:
    fake(tmp_path, "apt-get", 'echo "E: Version 1.0 was not found" >&2; exit 100')
    with pytest.raises(ClientError, match=r"Version 1\.0 was not found.*another version.*by hand"):
        download(entry("apt", "toy-data_1.0_all.deb"), work(tmp_path))


def test_pip_really_downloads_from_where_the_user_points_it(
    tmp_path: Path, asked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pip")
    wheel = tmp_path / "shelf" / "toy_data-1.0-py3-none-any.whl"
    wheel.parent.mkdir()
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("toy_data/data.txt", "data")
        file.writestr("toy_data-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: toy-data\nVersion: 1.0\n")
        file.writestr("toy_data-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr("toy_data-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    got = download(entry("pip", wheel.name), work(tmp_path))
    assert got.read_bytes() == wheel.read_bytes()


def test_pip_that_finds_nothing_is_one_sentence(tmp_path: Path, asked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pip")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(ClientError, match=r"pip could not download toy-data 1\.0.*by hand"):
        download(entry("pip", "toy_data-1.0-py3-none-any.whl"), work(tmp_path))


def test_without_the_module_pip_the_program_is_used(
    tmp_path: Path, asked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients.importlib.util, "find_spec", lambda name: None)
    fake(tmp_path, "pip", "touch toy.whl")
    assert download(entry("pip", "toy.whl"), work(tmp_path)).name == "toy.whl"
    assert "--no-deps" in asked.read_text()


@pytest.mark.parametrize(("client", "name"), [("npm", "npm"), ("apt", "apt-get")])
def test_a_missing_client_is_named_with_the_other_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client: Client, name: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    with pytest.raises(ClientError) as raised:
        download(entry(client, "toy-data-1.0.tgz"), work(tmp_path))
    text = str(raised.value)
    assert f"its client {name} is not on this machine" in text
    assert "toy-data-1.0.tgz" in text and str(tmp_path / "cache") in text and "\n" not in text


def test_an_interrupted_download_ends_its_client(tmp_path: Path, asked: Path) -> None:
    fake(tmp_path, "npm", 'echo $$ > "$ASKED.pid"; exec sleep 60')

    def stop(done: int, total: int) -> None:
        if asked.with_name("asked.pid").exists():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(entry("npm", "toy.tgz"), work(tmp_path), stop)
    pid = int(asked.with_name("asked.pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_client_that_leaves_nothing_is_noticed(tmp_path: Path, asked: Path) -> None:
    fake(tmp_path, "npm", "true")
    with pytest.raises(ClientError, match="0 files"):
        download(entry("npm", "toy.tgz"), work(tmp_path))
