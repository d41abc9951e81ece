"""The catalogue: complete, without contradictions, and without addresses."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.data import catalogue
from harness.data.catalogue import PACKAGES, package, packages
from harness.errors import HarnessError

ENDINGS = {"pip": ".whl", "npm": ".tgz", "apt": ".deb"}


@pytest.mark.parametrize("name", PACKAGES)
def test_every_package_says_all_that_must_be_known(name: str) -> None:
    entry = PACKAGES[name]
    assert re.fullmatch(r"[0-9a-f]{64}", entry.sha256)
    assert entry.size > 10_000
    assert entry.file.endswith(ENDINGS[entry.client])
    assert entry.licence and entry.source and entry.gives and entry.keep
    shown = entry.version.rpartition(":")[2] if entry.client == "apt" else entry.version
    assert shown in entry.file


def test_no_two_packages_are_the_same_archive() -> None:
    assert len({entry.sha256 for entry in PACKAGES.values()}) == len(PACKAGES)
    assert len({entry.file for entry in PACKAGES.values()}) == len(PACKAGES)


def test_the_code_names_no_address() -> None:
    for path in Path(catalogue.__file__).parent.rglob("*.py"):
        assert not re.search(r"https?://|\.(org|com|io)\b", path.read_text(encoding="utf-8")), path


def test_what_is_kept_is_part_of_the_folders_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    entry = package("mnist")
    assert replace(entry, keep=("other",)).folder != entry.folder
    assert entry.folder.is_relative_to(tmp_path) and entry.archive.is_relative_to(tmp_path)


def test_names() -> None:
    assert [entry.name for entry in packages(["emoji", "mnist", "emoji"])] == ["emoji", "mnist"]
    with pytest.raises(HarnessError, match="did you mean 'openmoji'"):
        package("openmoj")
