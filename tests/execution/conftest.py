"""Fixtures: a lab that runs in this process, and one that runs on a Ray of its own, brought up once a module."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.execution.session import start_session
from tests.execution.lab import Lab


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path / "results", {"in_process": True, "disk_cache": tmp_path / "cache"})


@pytest.fixture(scope="module")
def ray_session() -> Iterator[None]:
    session = start_session(2, None)
    yield
    session.close()


@pytest.fixture
def ray_lab(tmp_path: Path, ray_session: None) -> Lab:
    return Lab(tmp_path / "results", {"workers": 2, "disk_cache": tmp_path / "cache", "grace": 3.0})
