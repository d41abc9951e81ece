"""Studies on a real Slurm of two nodes: both ways of submitting, and what goes wrong on clusters."""

from __future__ import annotations

import pytest

from tests.slurm.conftest import Cluster

pytestmark = [pytest.mark.slurm, pytest.mark.slow]


def test_one_allocation_of_two_nodes(cluster: Cluster) -> None:
    cluster.study()
    (job,) = cluster.submit("--nodes", "2")
    assert cluster.lab.ended(job) == "COMPLETED", cluster.logs()
    cluster.assert_whole()
    status = cluster.harness("status", "slow").stdout
    assert "COMPLETED" in status and job in status
    assert not list((cluster.folder / "results" / "store" / "logs").glob("slurm-*")), "the token is gone"
    assert cluster.harness("submit", "slow.yaml").returncode == 2, "there is nothing left to run"


def test_an_array_longer_than_slurm_allows(cluster: Cluster) -> None:
    """Sources first, then five shards in arrays of at most three."""
    cluster.study()
    jobs = cluster.submit("--array", "5")
    assert len(jobs) == 3
    for job in jobs:
        cluster.lab.until(lambda job=job: not cluster.lab.call("squeue", "-h", "-j", job).stdout.strip(), job, 240)
    cluster.assert_whole()
    states = cluster.harness("status", "slow").stdout
    assert states.count("COMPLETED") == 3, states


def test_a_failing_sbatch_is_an_error(cluster: Cluster) -> None:
    cluster.study()
    done = cluster.harness("submit", "slow.yaml", "--partition", "nowhere")
    assert done.returncode == 2 and "sbatch refused" in done.stderr and "partition" in done.stderr.lower()
    assert done.stdout == ""


def test_a_preempted_job_comes_back_and_ends(cluster: Cluster) -> None:
    cluster.study(trials=12, seconds=0.7)
    (job,) = cluster.submit("--nodes", "2")
    cluster.lab.until(cluster.started, "the first outcomes", 120)
    script = cluster.folder / "urgent.sh"
    script.write_text("#!/bin/sh\nsleep 3\n")
    cluster.lab.call("sbatch", "--partition=urgent", "--nodes=2", "--output=/dev/null", str(script))
    cluster.lab.until(lambda: int(cluster.lab.job(job).get("Restarts", "0")) > 0, "it is requeued", 120)
    before = cluster.outcomes()
    assert cluster.lab.ended(job) == "COMPLETED", cluster.logs()
    cluster.assert_whole(12)
    assert before and all(cluster.outcomes()[place] == values for place, values in before.items())


def test_a_job_that_runs_out_of_time_goes_on(cluster: Cluster) -> None:
    """A minute before the end of its two minutes it saves what it has, and requeues itself."""
    cluster.study(trials=14, seconds=2.5)
    (job,) = cluster.submit("--nodes", "2", "--time", "2", "--notice", "60")
    cluster.lab.until(lambda: int(cluster.lab.job(job).get("Restarts", "0")) > 0, "it requeues itself", 240)
    assert "interrupted: back into the queue" in cluster.logs()
    assert cluster.lab.ended(job, 400) == "COMPLETED", cluster.logs()
    cluster.assert_whole(14)


def test_a_node_that_dies(cluster: Cluster) -> None:
    cluster.study(trials=12, seconds=0.7)
    (job,) = cluster.submit("--nodes", "2")
    cluster.lab.until(cluster.started, "the first outcomes", 120)
    cluster.lab.kill_node("n2")
    try:
        before = cluster.outcomes()
        cluster.lab.until(
            lambda: int(cluster.lab.job(job).get("Restarts", "0")) > 0 or cluster.lab.job(job)["JobState"] != "RUNNING",
            "Slurm notices",
            120,
        )
    finally:
        cluster.lab.start_node("n2")
        cluster.lab.until(lambda: "down" not in cluster.lab.states()["n2"], "the node is back", 60)
    assert cluster.lab.ended(job) == "COMPLETED", cluster.logs()
    cluster.assert_whole(12)
    assert all(cluster.outcomes()[place] == values for place, values in before.items())


def test_an_element_that_is_cancelled_leaves_the_others_alone(cluster: Cluster) -> None:
    cluster.study(trials=6, seconds=0.5)
    *_, array = cluster.submit("--array", "2")
    cluster.lab.until(lambda: cluster.lab.call("squeue", "-h", "-t", "R", "-j", array).stdout.strip(), "it runs", 240)
    cluster.lab.call("scancel", f"{array}_2")
    cluster.lab.until(lambda: not cluster.lab.call("squeue", "-h", "-j", array).stdout.strip(), "all end", 240)
    counts = cluster.counts()
    assert counts["done"] >= 12 and counts["failed"] == 0, counts
    states = cluster.harness("status", "slow").stdout
    assert "COMPLETED" in states and ("CANCELLED" in states or "FAILED" in states), states
    again = cluster.submit("--array", "2")
    for job in again:
        cluster.lab.until(lambda job=job: not cluster.lab.call("squeue", "-h", "-j", job).stdout.strip(), job, 240)
    cluster.assert_whole(6)
