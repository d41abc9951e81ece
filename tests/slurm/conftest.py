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
import os
import time
from pathlib import Path

from harness.graph import Measurement, Measurements, Stage, StageContext, Stopped, Weights, stage
from harness.methods.base import Trial, method
from harness.tasks.base import Task


def hold(folder: str, ctx: StageContext) -> None:
    while not Path(folder, "go").exists() and not ctx.should_stop():
        time.sleep(0.05)


@stage(version=1)
def long_training(
    task: Task, steps: int = 40, hold_at: int = -1, folder: str = "", seed: int = 0, *, ctx: StageContext
) -> Weights:
    import torch

    generator, weight, first = ctx.generator("order", seed), torch.zeros(4, dtype=torch.float64), 0
    saved = ctx.checkpoint.load()
    if saved is not None:
        weight, first = saved[0]["weight"], int(saved[1]["step"])
        generator.set_state(saved[0]["generator"])
    for step in range(first, steps):
        if step == hold_at:
            hold(folder, ctx)
        if ctx.should_stop():
            ctx.checkpoint.save({"weight": weight, "generator": generator.get_state()}, {"step": step})
            raise Stopped(f"before step {step}")
        with open(Path(folder, "steps"), "a") as log:
            log.write(f"{task.name} {seed} {step} {os.environ.get('SLURM_RESTART_COUNT', '0')}\\n")
        weight = torch.tanh(weight + torch.randn(4, generator=generator, dtype=torch.float64))
    return Weights({"weight": weight})


@stage(version=1)
def quick_score(
    init: Weights, task: Task, index: int = 0, trouble: str = "", folder: str = "", *, ctx: StageContext
) -> Measurements:
    if trouble == "hold":
        Path(folder, f"begun-{os.environ.get('SLURM_ARRAY_TASK_ID', '')}").touch()
        hold(folder, ctx)
        if ctx.should_stop():
            raise Stopped("asked to")
    if trouble == "fail" and index == 0 and not Path(folder, "go").exists():
        raise ValueError("not before it may go")
    value = float(init.tensors["weight"].sum()) + index
    return Measurements((Measurement("accuracy", value, "test", task.name, n_eval=1),))


@method("slow")
def slow(
    trial: Trial, *, index: int = 0, folder: str = "", trouble: str = "", steps: int = 40, wait: bool = False
) -> Stage:
    hold_at = 20 if wait else -1
    base = long_training.bind(
        task=trial.source, steps=steps, hold_at=hold_at, folder=folder, seed=trial.source_seed
    )
    return quick_score.bind(init=base, task=trial.target, index=index, trouble=trouble, folder=folder)
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
params: {{folder: {folder}, trouble: "{trouble}", wait: {wait}}}
"""

Harness = Callable[..., "subprocess.CompletedProcess[str]"]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs Slurm where there is none, and where nobody named this folder: these tests are long."""
    here = Path(__file__).parent
    paths = [Path(config.invocation_params.dir, word.partition("::")[0]) for word in config.args]
    named = any(path.is_relative_to(here) for path in paths)
    reason = missing() if named else "only on request: make test-slurm"
    for item in items:
        if reason is not None and item.get_closest_marker("slurm"):
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """Two nodes of one core, and room for arrays of three."""
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    made = Lab(folder / "lab", nodes=2, max_array=4)
    try:
        try:
            made.__enter__()
        except (AssertionError, OSError) as error:  # a container may lack what Slurm's daemons want
            pytest.skip(f"Slurm does not come up here: {error}; {made.last_words()}")
        try:
            yield made
        finally:
            made.__exit__()
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

    def study(self, trials: int = 8, trouble: str = "", wait: bool = False) -> Path:
        """Write a study of four sources with `trials` trials each.

        wait: every training of a source waits in its middle, after 20 of 40 steps, until `go`.
        trouble: `hold`: each score waits for that, too; `fail`: scores with index 0 fail until then.
        """
        (self.folder / "slow_plugin.py").write_text(PLUGIN, encoding="utf-8")
        path = self.folder / "slow.yaml"
        indices = ", ".join(map(str, range(trials)))
        text = STUDY.format(indices=indices, folder=self.folder, trouble=trouble, wait=str(wait).lower())
        path.write_text(text, encoding="utf-8")
        return path

    def go(self, *requeued: str) -> None:
        """Let everything run that waits; Slurm lets requeued jobs wait two minutes before they may start again."""
        (self.folder / "go").touch()
        for job in requeued:
            self.lab.call("scontrol", "update", f"JobId={job}", "StartTime=now")

    def steps(self) -> list[tuple[str, int, int, int]]:
        """Every step of a training, in order: the source, its seed, the step, how often the job had been requeued."""
        try:
            lines = (self.folder / "steps").read_text().splitlines()
        except FileNotFoundError:
            return []
        return [(source, int(seed), int(step), int(restart)) for source, seed, step, restart in map(str.split, lines)]

    def waiting(self) -> bool:
        """Whether two trainings stand in their middle."""
        return [step for _, _, step, _ in self.steps()].count(19) == 2

    def assert_resumed(self) -> None:
        """Of four trainings two went on in their middle after the job had been requeued; no step was taken twice."""
        trainings: dict[tuple[str, int], list[tuple[int, int]]] = {}
        for source, seed, step, restart in self.steps():
            trainings.setdefault((source, seed), []).append((step, restart))
        resumed = [(step, int(step >= 20)) for step in range(40)]
        whole = [(step, 1) for step in range(40)]
        assert sorted(trainings.values()) == sorted([resumed, resumed, whole, whole])

    def harness(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the harness on the login node."""
        root = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
        return subprocess.run(
            [sys.executable, "-m", "harness", *words], cwd=self.folder,
            env={**self.lab.environment, "PYTHONPATH": path},
            capture_output=True, text=True, timeout=600, check=False,
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
        """Every trial has one value: to the last bit that of a run in one process that nothing interrupts."""
        expected = Cluster(self.lab, self.folder / "undisturbed")
        expected.folder.mkdir()
        text = (self.folder / "slow.yaml").read_text(encoding="utf-8")
        (expected.folder / "slow.yaml").write_text(text.replace(str(self.folder), str(expected.folder)))
        shutil.copy(self.folder / "slow_plugin.py", expected.folder)
        expected.go()
        done = expected.harness("run", "slow.yaml", "--in-process")
        assert done.returncode == 0, done.stderr
        assert len(expected.outcomes()) == 4 * trials
        assert all(len(values) == 1 for values in expected.outcomes().values())
        assert self.outcomes() == expected.outcomes(), self.logs()[-3000:]

    def restarts(self, job: str) -> int:
        """How often Slurm has put a job back into the queue."""
        return int(self.lab.job(job).get("Restarts", "0"))

    def requeued(self, job: str) -> bool:
        """Whether a job is back in the queue, and nothing of its earlier life runs any more.

        Slurm counts a restart while the processes that it has told to end may still be at it.
        """
        return self.restarts(job) == 1 and self.lab.job(job)["JobState"] in ("PENDING", "RUNNING")

    def urgent(self) -> None:
        """Submit a short job that takes both nodes from whoever has them."""
        script = self.folder / "urgent.sh"
        script.write_text("#!/bin/sh\nsleep 3\n")
        done = self.lab.call("sbatch", "--partition=urgent", "--nodes=2", "--output=/dev/null", str(script))
        assert done.returncode == 0, done.stderr

    def over(self, job: str) -> None:
        """Wait until nothing of a job is left in the queue."""
        self.lab.until(lambda: not self.lab.call("squeue", "-h", "-j", job).stdout.strip(), f"{job} is over", 900)
