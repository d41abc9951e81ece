"""Drivers in processes of their own: interrupted, killed, short of disk, and two at once on one store."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from tests.execution.drive import scenario
from tests.execution.lab import Lab

ROOT = Path(__file__).parents[2]


def start(results: Path, name: str, *, file_limit: int | None = None, **options: Any) -> subprocess.Popen[str]:
    """Start a driver; with ``file_limit`` no file may grow beyond so many bytes."""

    def limit() -> None:
        if file_limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))

    options = {"in_process": True, "progress": "plain", **options}
    command = [sys.executable, "-m", "tests.execution.drive", str(results), name, json.dumps(options)]
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=limit
    )


def finish(driver: subprocess.Popen[str], timeout: float = 300) -> tuple[int, dict[str, Any], str]:
    """Wait for a driver; return its exit status, its summary and what it said."""
    out, err = driver.communicate(timeout=timeout)
    lines = [line for line in out.splitlines() if line.startswith("{")]
    return driver.returncode, json.loads(lines[-1]) if lines else {}, err


def wait_for(log: Path, lines: int, timeout: float = 300) -> None:
    """Wait until a file is there and has so many lines."""
    until = time.monotonic() + timeout
    while not log.exists() or len(log.read_text().splitlines()) < lines:
        assert time.monotonic() < until, "the driver did not get far enough"
        time.sleep(0.05)


def done_keys(results: Path) -> set[str]:
    """The keys that a store reports as done, read by a process of our own."""
    return set(Lab(results, {}).store.records())


def processes_that_name(text: str) -> list[str]:
    """The command lines, of any process, that contain a text."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if text in line:
            found.append(line)
    return found


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_saves_its_state_and_goes_on(tmp_path: Path, number: int, status: int) -> None:
    """The first of three stages is done, the second has taken 5 of its 20 steps and waits."""
    results, log = tmp_path / "results", tmp_path / "log"
    driver = start(results, "held")
    wait_for(log, 25)
    driver.send_signal(number)
    returned, summary, said = finish(driver)
    assert (returned, summary["interrupted"]) == (status, number)
    assert "stopping" in said
    assert (summary["done"], summary["pending"], summary["failed"]) == (1, 2, 0)
    assert len(log.read_text().splitlines()) == 25
    Path(f"{log}.go").touch()
    returned, summary, _ = finish(start(results, "held"))
    assert (returned, summary["done"]) == (0, 3)
    assert len(log.read_text().splitlines()) == 60, "no step was taken twice"
    lab, stages = Lab(results, {}), scenario("held", str(log))
    assert lab.values(stages) == [float(sum(range(20)))] * 3


def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    """The stage hears nothing for a quarter of an hour, and the grace is as long. Two kinds: two of one may be one."""
    driver = start(tmp_path / "results", "deaf", grace=1000)
    wait_for(tmp_path / "log", 0)
    driver.send_signal(signal.SIGINT)
    driver.send_signal(signal.SIGTERM)
    returned, summary, _ = finish(driver)
    assert returned == 130 and summary["failed"] == 0


def test_a_stage_deaf_to_a_signal_is_left_after_the_grace(tmp_path: Path) -> None:
    driver = start(tmp_path / "results", "deaf", grace=1.0)
    wait_for(tmp_path / "log", 0)
    driver.send_signal(signal.SIGTERM)
    returned, summary, _ = finish(driver)
    assert (returned, summary["failed"]) == (143, 0)


def test_a_killed_driver_loses_no_row_that_was_reported(tmp_path: Path) -> None:
    results, chance = tmp_path / "results", random.Random(3)
    reported: set[str] = set()
    for _ in range(4):
        driver = start(results, "naps")
        time.sleep(chance.uniform(1.5, 4.0))
        driver.kill()
        driver.communicate()
        if (results / "store" / "records" / "_delta_log").is_dir():
            now = done_keys(results)
            assert reported <= now
            reported = now
    returned, summary, _ = finish(start(results, "naps"))
    assert (returned, summary["done"]) == (0, 60)
    assert summary["stages_run"] == 60 - len(reported)
    lab, stages = Lab(results, {}), scenario("naps", "")
    assert all(len(lab.store.measurements(stage.key)) == 1 for stage in stages)


def test_two_drivers_share_one_store(tmp_path: Path) -> None:
    results = tmp_path / "results"
    drivers = [start(results, "naps", refresh=0.3, batch=2) for _ in range(2)]
    ends = [finish(driver) for driver in drivers]
    assert [(returned, summary["done"]) for returned, summary, _ in ends] == [(0, 60)] * 2
    lab, stages = Lab(results, {}), scenario("naps", "")
    assert done_keys(results) == {stage.key for stage in stages}
    assert all(len(lab.store.measurements(stage.key)) == 1 for stage in stages)
    assert {row.status for row in lab.attempts()} <= {"duplicate"}


def test_two_drivers_agree_on_chains(tmp_path: Path) -> None:
    results = tmp_path / "results"
    drivers = [start(results, "chains", refresh=0.2) for _ in range(2)]
    assert [finish(driver)[0] for driver in drivers] == [0, 0]
    alone = Lab(tmp_path / "alone", {"in_process": True})
    stages = scenario("chains", "")
    alone.run(stages)
    assert Lab(results, {}).values(stages) == alone.values(stages)
    assert all(row.agreed for row in Lab(results, {}).attempts())


def test_a_file_too_large_fails_its_stage_only(tmp_path: Path) -> None:
    results = tmp_path / "results"
    script = (
        "import sys, json\nfrom pathlib import Path\nfrom tests.execution.lab import Lab, toys\n"
        f"lab = Lab(Path({str(results)!r}), {{'in_process': True, 'progress': 'plain'}})\n"
        "big, small = toys.large.bind(megabytes=8), toys.base.bind(seed=0)\n"
        "summary = lab.run([toys.score.bind(net=small), big, toys.noop.bind(index=1)])\n"
        "print(json.dumps([summary.done, summary.failed, lab.attempts(big)[-1].reason]))\n"
    )
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2**22, 2**22))  # noqa: E731  # a preexec hook of one line
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=300, preexec_fn=limit
    )
    finished, failed, reason = json.loads(done.stdout.splitlines()[-1])
    assert (finished, failed) == (2, 1), done.stderr
    assert "could not be written" in reason and "File too large" in reason


def test_a_full_disk_under_the_tables_ends_the_run_in_a_sentence(tmp_path: Path) -> None:
    results = tmp_path / "results"
    assert finish(start(results, "20"))[0] == 0
    driver = start(results, "5000", file_limit=2_000)
    returned, _, said = finish(driver)
    assert returned == 1
    assert "everything reported as done is kept" in said
    assert len(done_keys(results)) >= 20
    assert finish(start(results, "5000"))[1]["done"] == 5000


# --- on Ray --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_an_interrupted_run_on_ray_goes_on_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """Of three stages the first runs through, if it was begun; the others wait after 5 of their 20 steps."""
    results, log = tmp_path / "results", tmp_path / "log"
    driver = start(results, "held", in_process=False, workers=2, grace=200)
    wait_for(log, 5)
    driver.send_signal(signal.SIGTERM)
    returned, summary, said = finish(driver)
    assert (returned, summary["interrupted"]) == (143, signal.SIGTERM), said
    assert summary["pending"] >= 2 and summary["done"] + summary["pending"] == 3
    assert not list(Path(tempfile.gettempdir()).glob(f"th-{driver.pid}-*"))
    Path(f"{log}.go").touch()
    returned, summary, _ = finish(start(results, "held", in_process=False, workers=2))
    assert (returned, summary["done"]) == (0, 3)
    assert len(log.read_text().splitlines()) == 60, "no step was taken twice"
    assert not list((results / "store" / "scratch" / "pulses").iterdir())


@pytest.mark.slow
def test_a_killed_driver_on_ray_can_be_followed_by_another(tmp_path: Path) -> None:
    results = tmp_path / "results"
    driver = start(results, "naps", in_process=False, workers=2)
    until = time.monotonic() + 300
    while time.monotonic() < until and not (
        (results / "store" / "records" / "_delta_log").is_dir() and done_keys(results)
    ):
        time.sleep(0.3)
    os.kill(driver.pid, signal.SIGKILL)
    driver.communicate()
    before = done_keys(results)
    assert before
    while processes_that_name(f"th-{driver.pid}-"):  # its Ray ends by itself, and writes until it has
        assert time.monotonic() < until
        time.sleep(0.1)
    returned, summary, _ = finish(start(results, "naps", in_process=False, workers=2))
    assert (returned, summary["done"], summary["stages_run"]) == (0, 60, 60 - len(before))
    assert not list(Path(tempfile.gettempdir()).glob(f"th-{driver.pid}-*")), "the next run sweeps what was left"
