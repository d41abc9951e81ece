"""The quickstart through the command line while its driver, and then its workers, are killed with -9.

Four kills of each by default; HARNESS_KILLS=20 makes it twenty.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

import analysis

ROOT = Path(__file__).parents[1]
KILLS = int(os.environ.get("HARNESS_KILLS", "4"))
IDENTITY = ["trial_id", "task", "split", "metric"]


def harness(results: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "harness", *arguments, "--results", str(results)]


def run_command(results: Path) -> list[str]:
    return harness(results, "run", str(ROOT / "studies" / "quickstart.yaml"), "--set", "seeds=[0]")


def outcomes(results: Path) -> dict[tuple[str, ...], float]:
    """Value by trial, task, split and metric; every row must be there once."""
    frame = analysis.load_outcomes(results, "quickstart")
    frame = frame[frame["status"] == "ok"]
    rows = [tuple(row) for row in frame[IDENTITY].itertuples(index=False)]
    assert len(set(rows)) == len(rows)
    return dict(zip(rows, frame["value"], strict=True))


def known(results: Path) -> dict[tuple[str, ...], float]:
    return outcomes(results) if (results / "store" / "trials" / "_delta_log").is_dir() else {}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, ...], float]:
    """The same trials in one process, never interrupted."""
    results = tmp_path_factory.mktemp("undisturbed")
    subprocess.run([*run_command(results), "--in-process"], cwd=ROOT, check=True, capture_output=True)
    return outcomes(results)


def end_all(driver: subprocess.Popen[bytes]) -> None:
    """Kill a driver with -9, and then what it leaves behind: a machine going down takes all of it."""
    below = psutil.Process(driver.pid).children(recursive=True)
    driver.kill()
    driver.wait()
    for process in below:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_driver_killed_again_and_again_loses_nothing(
    tmp_path: Path, undisturbed: dict[tuple[str, ...], float]
) -> None:
    chance = random.Random(7)
    reported: dict[tuple[str, ...], float] = {}
    for kill in range(KILLS):
        driver = subprocess.Popen(run_command(tmp_path), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            driver.wait(timeout=chance.uniform(2, 16))
        except subprocess.TimeoutExpired:
            end_all(driver)
        now = known(tmp_path)
        assert reported.items() <= now.items(), f"rows reported done were lost or changed by kill {kill}"
        reported = now
    subprocess.run(run_command(tmp_path), cwd=ROOT, check=True, capture_output=True)
    assert outcomes(tmp_path) == undisturbed


def workers_below(driver: int) -> list[psutil.Process]:
    found = []
    for process in psutil.Process(driver).children(recursive=True):
        try:
            if process.name().startswith("ray::Actor"):
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_workers_killed_again_and_again_lose_nothing(tmp_path: Path, undisturbed: dict[tuple[str, ...], float]) -> None:
    chance = random.Random(8)
    killed, runs = 0, 0
    while killed < KILLS:
        results = tmp_path / str(runs)
        runs += 1
        driver = subprocess.Popen(run_command(results), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while driver.poll() is None:
            time.sleep(chance.uniform(0.2, 2.0))
            alive = workers_below(driver.pid) if driver.poll() is None else []
            if alive and killed < KILLS:
                os.kill(chance.choice(alive).pid, signal.SIGKILL)
                killed += 1
        assert driver.returncode in (0, 3), "a study never dies of its workers"
        subprocess.run(run_command(results), cwd=ROOT, check=True, capture_output=True)
        assert outcomes(results) == undisturbed
