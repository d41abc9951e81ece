"""The node-local cache keeps to its budget and forgives everything."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import torch

from harness.store import CacheStore, StoreError, cache_root
from tests.store.samples import key_of


def fill(cache: CacheStore, name: object, floats: int = 1000) -> bool:
    return cache.put(key_of(name), {"x": torch.full((floats,), float(len(str(name))))}, {"name": str(name)})


def age(cache: CacheStore, name: object, seconds: float) -> None:
    (path,) = cache.root.rglob(f"{key_of(name)}.safetensors")
    stamp = path.stat().st_mtime - seconds
    os.utime(path, (stamp, stamp))


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    cache = CacheStore(tmp_path)
    assert cache.get(key_of("a")) is None and key_of("a") not in cache
    assert fill(cache, "a")
    tensors, header = cache.get(key_of("a")) or ({}, {})
    assert header == {"name": "a"} and torch.equal(tensors["x"], torch.ones(1000)) and key_of("a") in cache


def test_the_least_recently_used_go_first(tmp_path: Path) -> None:
    cache = CacheStore(tmp_path, budget_bytes=13_500)  # three files of 4,000 bytes and their headers
    for seconds, name in ((30, "a"), (20, "b"), (10, "c")):
        assert fill(cache, name)
        age(cache, name, seconds)
    assert cache.get(key_of("a")) is not None  # used: now the youngest
    assert fill(cache, "d")
    assert [name for name in "abcd" if key_of(name) in cache] == ["a", "c", "d"]
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) <= 13_500


def test_what_exceeds_the_budget_is_not_kept(tmp_path: Path) -> None:
    cache = CacheStore(tmp_path, budget_bytes=5000)
    assert fill(cache, "a")
    assert not fill(cache, "big", 2000)
    assert key_of("a") in cache


def test_it_may_vanish_or_break_at_any_time(tmp_path: Path) -> None:
    cache = CacheStore(tmp_path / "cache")
    fill(cache, "a")
    shutil.rmtree(tmp_path / "cache")
    assert cache.get(key_of("a")) is None
    assert fill(cache, "a")
    (path,) = cache.root.rglob("*.safetensors")
    path.write_bytes(path.read_bytes()[:-100])
    assert cache.get(key_of("a")) is None and not path.exists()
    cache.clear()
    cache.clear()


def test_a_full_disk_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "artifacts").write_text("a file where the folder should be")
    assert not fill(CacheStore(tmp_path), "a")


def test_a_key_is_never_a_path(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="stage key"):
        CacheStore(tmp_path).get("../../etc/passwd")


def test_where_it_lies(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "here"))
    assert cache_root() == tmp_path / "here"
    monkeypatch.delenv("HARNESS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_root() == tmp_path / "transfer-harness"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_root() == Path.home() / ".cache" / "transfer-harness"
