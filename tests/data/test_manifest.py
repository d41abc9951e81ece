"""Manifests: what is written is what is read, and counts by domain add up."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.data import manifest as manifests
from harness.data.items import Item
from harness.errors import HarnessError

ITEMS = [
    Item("1", "cat", "g1", "photo"),
    Item("2", "cat", "g1", "drawing"),
    Item("3", "dog", "g2", "photo"),
    Item("4", "cat", "g3", "photo"),
]
SPLITS = {"g1": "train", "g2": "train", "g3": "test"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(manifests, "FOLDER", tmp_path)
    manifests.load.cache_clear()
    yield tmp_path
    manifests.load.cache_clear()


def made() -> manifests.Manifest:
    return manifests.summarise("pets", 2, {"shop": "0" * 64}, "by pet", ("cat", "dog"), ITEMS, SPLITS, [["g1", "g9"]])


def test_counts_are_by_domain_split_and_class() -> None:
    manifest = made()
    assert manifest.class_sizes() == {"train": (2, 1), "test": (1, 0)}
    assert manifest.class_sizes("drawing") == {"train": (1, 0)}
    assert manifest.class_sizes("photo") == {"train": (1, 1), "test": (1, 0)}
    assert manifest.groups == {"train": 2, "val": 0, "test": 1}
    assert manifest.domains == ("drawing", "photo")


def test_an_unknown_domain_is_named() -> None:
    with pytest.raises(HarnessError, match=r"no domain 'oil' \(known: drawing, photo\)"):
        made().class_sizes("oil")


def test_what_is_written_is_what_is_read(folder: Path) -> None:
    manifest = made()
    (folder / "pets.json").write_text(manifest.as_json(), encoding="utf-8")
    assert manifests.load("pets") == manifest
    assert manifests.load("pets").digest == manifest.digest


def test_a_missing_or_damaged_manifest_is_one_sentence(folder: Path) -> None:
    with pytest.raises(HarnessError, match="no manifest"):
        manifests.load("pets")
    (folder / "pets.json").write_text("{")
    with pytest.raises(HarnessError, match="damaged"):
        manifests.load("pets")


def test_any_other_example_is_another_digest() -> None:
    other = manifests.summarise("pets", 2, {"shop": "0" * 64}, "by pet", ("cat", "dog"), ITEMS[:3], SPLITS)
    assert other.digest != made().digest
    assert other.items != made().items
