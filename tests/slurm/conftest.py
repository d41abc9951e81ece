"""A Slurm cluster for tests, where its programs are installed; a study of trials that take a while."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.slurm.lab import Lab, missing

PLUGIN = """
import time
from harness.graph import Measurement, Measurements, Stage, StageContext, Weights, stage
from harness.methods.base import Trial, method
from harness.tasks.base import Task

@stage(version=1)
def slow_source(task: Task, seconds: float = 0.5, seed: int = 0, *, ctx: StageContext) -> Weights:
    import torch

    saved = ctx.checkpoint.load()
    done = 0 if saved is None else int(saved[1]["step"])
    for step in range(done, 20):
        if ctx.should_stop():
            from harness.graph import Stopped
            ctx.checkpoint.save({}, {"step": step, "begun": True})
            raise Stopped(f"after {step} steps")
        time.sleep(seconds / 20)
    return Weights({"weight": torch.full((3,), float(seed))}, {"resumed_at": done})

@stage(version=1)
def slow_score(init: Weights, task: Task, seconds: float = 0.5, index: int = 0, seed: int = 0) -> Measurements:
    time.sleep(seconds)
    value = float(init.tensors["weight"].sum()) + index / 100
    return Measurements((Measurement("accuracy", value, "test", task.name, n_eval=1),))

@method("slow")
def slow(trial: Trial, *, index: int = 0, seconds: float = 0.5, source_seconds: float = 0.5) -> Stage:
    base = slow_source.bind(task=trial.source, seconds=source_seconds, seed=trial.source_seed)
    return slow_score.bind(init=base, task=trial.target, seconds=seconds, index=index, seed=trial.seed)
"""

STUDY = """
study: slow
plugins: [./slow_plugin.py]
sources: [digits_flip, digits_noise]
targets: [digits_upright]
backbones: [mlp]
methods: [slow]
seeds: {{source: [0, 1], target: [0], tie: false}}
axes: {{index: [{indices}]}}
params: {{seconds: {seconds}, source: {{seconds: {source_seconds}}}}}
"""

Harness = Callable[..., "subprocess.CompletedProcess[str]"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what needs Slurm where there is none."""
    reason = missing()
    for item in items:
        if reason is not None and item.get_closest_marker("slurm"):
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """Two nodes of one core, and room for arrays of three."""
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    try:
        with Lab(folder / "lab", nodes=2, max_array=4) as made:
            yield made
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def cluster(lab: Lab, tmp_path: Path) -> Cluster:
    """The cluster and a folder that all of its nodes see."""
    return Cluster(lab, tmp_path)


class Cluster:
    """A user's view: a folder with a study, and the commands of the harness and of Slurm."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab = lab
        self.folder = folder

    def study(self, trials: int = 8, seconds: float = 0.2, source_seconds: float = 0.2) -> Path:
        """Write a study of four sources with `trials` trials each, that take so many seconds."""
        (self.folder / "slow_plugin.py").write_text(PLUGIN, encoding="utf-8")
        path = self.folder / "slow.yaml"
        indices = ", ".join(map(str, range(trials)))
        text = STUDY.format(indices=indices, seconds=seconds, source_seconds=source_seconds)
        path.write_text(text, encoding="utf-8")
        return path

    def harness(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the harness on the login node."""
        root = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
        return subprocess.run(
            [sys.executable, "-m", "harness", *words], cwd=self.folder,
            env={**self.lab.environment, "PYTHONPATH": path},
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip

    def submit(self, *words: str) -> list[str]:
        """Submit the study; return the numbers of its jobs."""
        done = self.harness("submit", "slow.yaml", "--slurm", "--cpus-per-node", "1", *words)
        assert done.returncode == 0, done.stderr + done.stdout
        return [line.split()[0] for line in done.stdout.splitlines() if line.split()[0].isdigit()]

    def logs(self) -> str:
        """All that the jobs printed."""
        return "\n".join(path.read_text(errors="replace") for path in sorted(self.folder.glob("results/slow/*.log")))

    def counts(self) -> dict[str, int]:
        """The state of the trials."""
        import json

        return {
            name: n for name, n in json.loads(self.harness("status", "slow", "--json").stdout).items() if name != "jobs"
        }

    def outcomes(self) -> dict[tuple[str, int, int], list[float]]:
        """All values by source, source seed and index, as the store has them."""
        from harness.store import outcomes

        found: dict[tuple[str, int, int], list[float]] = {}
        for row in outcomes(self.folder / "results", "slow").to_pylist():
            place = (row["source"], int(row["source_seed"]), int(row["index"]))
            found.setdefault(place, []).append(row["value"])
        return found

    def assert_whole(self, trials: int = 8) -> None:
        """Every trial has its one right value."""
        expected = {
            (source, seed, index): [3.0 * seed + index / 100]
            for source in ("digits_flip", "digits_noise") for seed in (0, 1) for index in range(trials)
        }  # fmt: skip
        found = self.outcomes()
        assert found.keys() == expected.keys(), self.logs()[-3000:]
        for place, values in found.items():
            assert values == pytest.approx(expected[place]), place

    def started(self) -> bool:
        """Whether some outcome is there already."""
        from harness.store import Store

        results = self.folder / "results"
        return Store.exists(results) and len(Store.open(results).records()) >= 6
