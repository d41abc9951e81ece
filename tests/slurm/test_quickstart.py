"""The quickstart through `harness submit`, both ways, on a real Slurm of two nodes: the outcomes of one process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.store import outcomes
from tests.slurm.conftest import Cluster
from tests.slurm.lab import Lab

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.timeout(1800)]

STUDY = str(Path(__file__).resolve().parents[2] / "studies" / "quickstart.yaml")
PART = ("--only", "seed=0,1")


@pytest.fixture(scope="module")
def expected(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    """The value of each trial where nothing of Slurm, nor of Ray, has a part."""
    local = Cluster(lab, tmp_path_factory.mktemp("local"))
    done = local.harness("run", STUDY, *PART, "--in-process")
    assert done.returncode == 0, done.stderr
    return values(local.folder)


def values(folder: Path) -> dict[str, float]:
    rows = outcomes(folder / "results", "quickstart").to_pylist()
    found = {row["trial_id"]: row["value"] for row in rows if row["status"] == "ok"}
    assert len(found) == len(rows), "one row a trial"
    return found


@pytest.mark.parametrize(("way", "jobs"), [(("--nodes", "2"), 1), (("--array", "2"), 2)])
def test_outcomes_are_those_of_one_process(
    cluster: Cluster, expected: dict[str, float], way: tuple[str, str], jobs: int
) -> None:
    done = cluster.harness("submit", STUDY, *PART, *way, "--cpus-per-node", "1", "--time", "01:00:00")
    assert done.returncode == 0, done.stderr
    numbers = [line.split()[0] for line in done.stdout.splitlines() if line.split()[0].isdigit()]
    assert len(numbers) == jobs
    for number in numbers:
        cluster.over(number)
    status = json.loads(cluster.harness("status", "quickstart", "--json").stdout)
    assert status["done"] == len(expected) > 400 and status["failed"] == status["pending"] == 0, status
    assert values(cluster.folder) == expected
    assert cluster.harness("report", STUDY).returncode == 0
    assert list((cluster.folder / "results" / "quickstart" / "figures").glob("*.png"))
