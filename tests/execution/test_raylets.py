"""Runs on a Ray of several nodes that is up already: the same values, a node lost on the way, and closed doors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import analysis
from tests.execution.drive import scenario
from tests.execution.lab import Lab, toys
from tests.execution.ports import assert_closed, listeners
from tests.execution.raylets import ROOT, Raylets, family, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]


@pytest.fixture(scope="module")
def raylets() -> Iterator[Raylets]:
    with Raylets(3) as made:
        yield made


def start(raylets: Raylets, results: Path, name: str, **options: Any) -> subprocess.Popen[str]:
    """Start a driver that joins the nodes."""
    words = json.dumps({"address": raylets.address, "progress": "plain", "grace": 200, "refresh": 1.0, **options})
    return subprocess.Popen(
        [sys.executable, "-m", "tests.execution.drive", str(results), name, words],
        cwd=ROOT, env=raylets.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def finish(driver: subprocess.Popen[str]) -> dict[str, Any]:
    """Wait for a driver that ends well; return its summary."""
    out, err = driver.communicate(timeout=600)
    assert driver.returncode == 0, err
    found: dict[str, Any] = json.loads(out.splitlines()[-1])
    return found


def test_outcomes_equal_those_of_one_process_bit_for_bit(raylets: Raylets, tmp_path: Path) -> None:
    tables = []
    for results, how in ((tmp_path / "many", ["--address", raylets.address]), (tmp_path / "one", ["--in-process"])):
        command = [sys.executable, "-m", "harness", "run", str(ROOT / "studies" / "quickstart.yaml"), *how]
        cut = ["seeds=[0]", "sources=[digits_flip, digits_noise]", "targets=[digits_upright, digits_invert]"]
        for change in (*cut, "params.steps=5", "params.source.steps=10"):
            command += ["--set", change]
        done = subprocess.run(
            [*command, "--results", str(results)], cwd=tmp_path, env=raylets.environment, capture_output=True,
            text=True, timeout=600, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        frame = analysis.load_outcomes(results, "quickstart")
        rows = frame[["trial_id", "task", "split", "metric", "status", "value"]]
        tables.append(sorted(map(tuple, rows.itertuples(index=False))))
    assert tables[0] == tables[1] and len(tables[0]) >= 12


def test_all_nodes_work_at_a_time(raylets: Raylets, tmp_path: Path) -> None:
    """Each of three stages waits for the two others: with one core a node, they must be on three nodes."""
    results = tmp_path / "results"
    assert finish(start(raylets, results, "meeting"))["done"] == 3
    values = Lab(results, {}).values(scenario("meeting", str(tmp_path / "log")))
    assert sorted(map(float, values)) == [2.0, 3.0, 4.0], "the last numbers of the nodes' addresses"


def test_without_the_token_nobody_joins(raylets: Raylets, tmp_path: Path) -> None:
    environment = {**raylets.environment, "RAY_AUTH_TOKEN": "0" * 64}
    script = (
        "import sys\nfrom harness.errors import HarnessError\nfrom harness.execution.session import start_session\n"
        "try:\n    start_session(1, None, sys.argv[1])\nexcept HarnessError as error:\n    print('refused:', error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, raylets.address], env=environment, capture_output=True, text=True, timeout=300,
        cwd=ROOT, check=False,
    )  # fmt: skip
    assert done.stdout.startswith(f"refused: no Ray cluster can be joined at {raylets.address}"), done.stderr


def test_no_port_of_any_node_serves_who_has_no_token(raylets: Raylets, tmp_path: Path) -> None:
    driver = start(raylets, tmp_path / "results", "meeting", workers=2)  # the third never comes: both wait
    try:
        met = tmp_path / "log.met"
        until(lambda: met.exists() and len(os.listdir(met)) == 2, "two stages run")
        found = listeners([*raylets.processes(), *family(driver.pid)])
        names = {listener.process for listener in found}
        assert {"gcs_server", "raylet", "ray::Actor", "python"} <= names, names
        assert_closed(found, raylets.token)
    finally:
        driver.kill()
        driver.communicate()


def test_a_run_outlives_a_node(raylets: Raylets, tmp_path: Path) -> None:
    """Three stages: the first runs through, the others wait; then the node of one of them is gone."""
    results, log = tmp_path / "results", tmp_path / "log"
    driver = start(raylets, results, "held", workers=2)
    lines = {"1 4", "2 4"}
    until(lambda: log.exists() and lines <= set(log.read_text().splitlines()), "two stages wait")
    busy = [place for place in (1, 2, 3) if has_worker(raylets, place)]
    assert len(busy) == 2
    raylets.kill_node(busy[-1])
    Path(f"{log}.go").touch()
    summary = finish(driver)
    assert (summary["done"], summary["failed"]) == (3, 0)
    lab, stages = Lab(results, {}), scenario("held", str(log))
    assert lab.values(stages) == [float(sum(range(20)))] * 3
    assert len(lab.store.records()) == 3
    lost = [row.status for row in lab.attempts()]
    assert len(lost) == 1 and set(lost) <= {"preempted", "crashed"}, lost
    begun = [line for line in log.read_text().splitlines() if line in ("0 0", "1 0", "2 0")]
    assert len(begun) == 4, "only what was lost was begun again"


def has_worker(raylets: Raylets, place: int) -> bool:
    return any(process.name().startswith("ray::Actor") for process in family(raylets.parts[place].pid))


def test_toys_that_meet_give_up_in_the_end(tmp_path: Path) -> None:
    with pytest.raises(TimeoutError):
        toys.meeting.function(index=0, of=2, folder=str(tmp_path / "met"), patience=0.1)
