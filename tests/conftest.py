"""What all tests share: the repository's root, one torch thread, and a way to run the command line as users do."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from harness.data.fetch import DataAbsentError

ROOT = Path(__file__).resolve().parent.parent

# One thread a process: two torch threads on a busy two-core machine can be a hundred times slower than one.
for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")
# Nothing is drawn on a screen.
os.environ.setdefault("MPLBACKEND", "Agg")

# How long an example takes says more of the machine than of the code.
settings.register_profile("project", deadline=None)
settings.load_profile("project")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, Any, Any]:
    """Skip what needs data packages that were not fetched."""
    return (yield from _skipped_without_data(item))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Skip what needs data packages that were not fetched."""
    return (yield from _skipped_without_data(item))


def _skipped_without_data(item: pytest.Item) -> Generator[None, Any, Any]:
    try:
        return (yield)
    except DataAbsentError as error:
        if item.get_closest_marker("packaged") is None:
            raise
        pytest.skip(str(error))


Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def harness_in() -> Command:
    """Run ``harness ARGUMENTS...`` in a folder and return the finished process."""

    def run(folder: Path, *arguments: str, timeout: float = 300, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "harness", *arguments],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), **more},
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            check=False,
        )

    return run


@pytest.fixture
def harness_command(tmp_path: Path, harness_in: Command) -> Command:
    """Run ``harness ARGUMENTS...`` in a fresh folder, the same for all calls of a test."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return harness_in(tmp_path, *arguments)

    return run
