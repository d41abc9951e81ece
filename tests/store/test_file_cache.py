"""Copies of files: made once, used while they are there, the least recently used gone first."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.store.file_cache import FileCache


def writer(content: bytes, made: list[bytes]):
    def make(draft: Path) -> None:
        made.append(content)
        draft.write_bytes(content)

    return make


def test_a_copy_is_made_once_and_again_when_it_vanished(tmp_path: Path) -> None:
    cache, made = FileCache(tmp_path / "c", 100), []
    path = cache.get("in/a", writer(b"1234", made))
    assert path.read_bytes() == b"1234" and cache.get("in/a", writer(b"other", made)) == path and made == [b"1234"]
    cache.drop("in/a")
    cache.drop("in/a")
    assert cache.get("in/a", writer(b"other", made)).read_bytes() == b"other"
    assert [file.name for file in cache.root.rglob("*") if file.is_file()] == ["a"], "no drafts stay"


def test_what_was_not_used_for_longest_goes_first(tmp_path: Path) -> None:
    cache, made = FileCache(tmp_path, 10), []
    for at, name in enumerate("abc"):
        os.utime(cache.get(name, writer(b"123", made)), (at, at))
    cache.get("a", writer(b"", made))  # used just now
    cache.get("d", writer(b"1234", made))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a", "c", "d"], "10 bytes fit: b goes"


def test_one_that_is_larger_than_the_budget_stays_while_it_is_used(tmp_path: Path) -> None:
    assert FileCache(tmp_path, 2).get("large", writer(b"12345", [])).read_bytes() == b"12345"


def test_a_copy_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fails(draft: Path) -> None:
        draft.write_bytes(b"half")
        raise OSError("the network is down")

    with pytest.raises(OSError, match="network"):
        FileCache(tmp_path, 100).get("a", fails)
    assert list(tmp_path.iterdir()) == []
