"""A small study that has been run once, for commands that read results."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

SMALL = """\
study: small
sources: [digits_flip, digits_noise]
targets: [digits_upright, digits_invert]
backbones: [{backbone: mlp, hidden: 8}]
methods: [linear_probe, fine_tune]
seeds: [0, 1]
params: {shots: 5, steps: 4, source: {steps: 4}}
baselines: {scratch: {method: from_scratch, source: none}}
exclude: [{match: {source: digits_noise, target: digits_invert}, reason: not asked for}]
on_untrained_source: run
analyses:
  - {kind: matrix, name: accuracy, rows: source, cols: target, facet: method}
"""
Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def small() -> str:
    """The text of the small study."""
    return SMALL


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, harness_in: Command) -> Path:
    """A folder with small.yaml and the results of its run."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "small.yaml").write_text(SMALL, encoding="utf-8")
    done = harness_in(folder, "run", "small.yaml", "--in-process")
    assert done.returncode == 0, done.stderr
    return folder
