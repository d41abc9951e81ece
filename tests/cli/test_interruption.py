"""Ctrl-C, SIGTERM and SIGUSR1: a clean end with the promised status, and a run that goes on afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., "subprocess.CompletedProcess[str]"]
ROOT = Path(__file__).resolve().parents[2]

PLUGIN = '''
import time
from pathlib import Path

from harness.graph import Measurement, Measurements, Stage, StageContext, Stopped, stage
from harness.methods.base import Trial, method
from harness.tasks.base import Task


@stage(version=1)
def doze(target: Task, seed: int, *, ctx: StageContext) -> Measurements:
    while not Path("wake").exists() and seed > 0:
        Path("dozing").touch()
        time.sleep(0.05)
        if ctx.should_stop():
            raise Stopped
    return Measurements((Measurement("accuracy", float(seed), "test", target.name),))


@method("dozing")
def dozing(trial: Trial) -> Stage:
    """Waits until it is woken; with seed 0 not at all."""
    return doze.bind(target=trial.target, seed=trial.seed)
'''
STUDY = """\
study: naps
plugins: [./dozing.py]
sources: [none]
targets: [digits_upright]
backbones: [mlp]
methods: [dozing]
seeds: [0, 1, 2]
"""


@pytest.mark.slow
@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGUSR1, 138)])
def test_an_interrupted_run_can_go_on(tmp_path: Path, harness_in: Command, sent: signal.Signals, status: int) -> None:
    (tmp_path / "dozing.py").write_text(PLUGIN, encoding="utf-8")
    (tmp_path / "naps.yaml").write_text(STUDY, encoding="utf-8")
    command = [sys.executable, "-m", "harness", "run", "naps.yaml", "--in-process"]
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        deadline = time.monotonic() + 300
        while not (tmp_path / "dozing").exists():
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(sent)
        out, err = process.communicate(timeout=300)
    assert process.returncode == status, (out, err)
    assert "Traceback" not in err
    assert "the next run goes on from here" in out
    (tmp_path / "wake").touch()
    again = harness_in(tmp_path, "run", "naps.yaml", "--in-process")
    assert again.returncode == 0, again.stderr
    assert again.stdout.startswith("3 done; ")
