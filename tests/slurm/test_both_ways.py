"""Studies on a real Slurm of two nodes: both ways of submitting, and a pre-emption in the middle of a training."""

from __future__ import annotations

import pytest

from tests.slurm.conftest import Cluster

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.timeout(1800)]


def test_a_failing_sbatch_is_an_error(cluster: Cluster) -> None:
    cluster.study()
    done = cluster.harness("submit", "slow.yaml", "--partition", "nowhere")
    assert done.returncode == 2 and "sbatch refused" in done.stderr and "partition" in done.stderr.lower()
    assert done.stdout == ""


def test_one_allocation_of_two_nodes_is_preempted_and_comes_back(cluster: Cluster) -> None:
    """Both nodes stand in the middle of a training when a job of higher priority takes them."""
    cluster.study(wait=True)
    (job,) = cluster.submit("--nodes", "2")
    cluster.lab.until(cluster.waiting, "two trainings are in their middle")
    cluster.urgent()
    cluster.lab.until(lambda: cluster.requeued(job), "it is requeued")
    cluster.go(job)
    assert cluster.lab.ended(job) == "COMPLETED", cluster.logs()
    cluster.assert_whole()
    cluster.assert_resumed()
    status = cluster.harness("status", "slow").stdout
    assert "COMPLETED" in status and job in status
    assert not list((cluster.folder / "results" / "store" / "logs").glob("slurm-*")), "the token is gone"
    assert cluster.harness("submit", "slow.yaml").stdout == "study slow has nothing left to run\n"


def test_an_array_longer_than_slurm_allows(cluster: Cluster) -> None:
    """Sources first, then five shards in arrays of at most three. Trials that fail leave other shards alone."""
    cluster.study(trials=5, trouble="fail")
    jobs = cluster.submit("--array", "5")
    assert len(jobs) == 3
    for job in jobs:
        cluster.over(job)
    counts = cluster.counts()
    assert (counts["done"], counts["failed"]) == (16, 4), counts
    status = cluster.harness("status", "slow").stdout
    assert "COMPLETED" in status and "FAILED" in status, status
    cluster.go()
    for job in cluster.submit("--array", "5"):
        cluster.over(job)
    cluster.assert_whole(5)
    steps = cluster.steps()
    assert len(steps) == len({step[:3] for step in steps}) == 160, "no source was trained twice"
