"""What goes wrong on clusters, on a real Slurm of two nodes: nothing is lost, nothing is done twice."""

from __future__ import annotations

import pytest

from tests.slurm.conftest import Cluster

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.timeout(3000)]


def test_a_job_that_runs_out_of_time_goes_on_in_the_middle(cluster: Cluster) -> None:
    """A minute before its end it saves what it has, and requeues itself. The end is set once trainings have begun."""
    cluster.study(wait=True)
    (job,) = cluster.submit("--nodes", "2", "--time", "50", "--notice", "60")
    cluster.lab.until(cluster.waiting, "two trainings are in their middle")
    hours, minutes, _ = map(int, cluster.lab.job(job)["RunTime"].split(":"))
    cluster.lab.call("scontrol", "update", f"JobId={job}", f"TimeLimit={hours * 60 + minutes + 2}")
    cluster.lab.until(lambda: cluster.requeued(job), "it requeues itself")
    assert "interrupted: back into the queue" in cluster.logs()
    cluster.lab.call("scontrol", "update", f"JobId={job}", "TimeLimit=50")
    cluster.go(job)
    assert cluster.lab.ended(job) == "COMPLETED", cluster.logs()
    cluster.assert_whole()
    cluster.assert_resumed()


def test_a_node_that_dies(cluster: Cluster) -> None:
    """Slurm requeues the job. What had been committed stays, what the node had in hand begins anew."""
    cluster.study(wait=True)
    (job,) = cluster.submit("--nodes", "2")
    cluster.lab.until(cluster.waiting, "two trainings are in their middle")
    before = cluster.outcomes()
    cluster.lab.kill_node("n2")
    try:
        cluster.lab.until(
            lambda: cluster.restarts(job) == 1 or cluster.lab.job(job)["JobState"] != "RUNNING", "Slurm notices"
        )
    finally:
        cluster.lab.start_node("n2")
        cluster.lab.until(lambda: "down" not in cluster.lab.states()["n2"], "the node is back")
    cluster.go(job)
    assert cluster.lab.ended(job) == "COMPLETED", cluster.logs()
    cluster.assert_whole()
    assert all(cluster.outcomes()[place] == values for place, values in before.items())


def test_an_element_that_is_cancelled_leaves_the_others_alone(cluster: Cluster) -> None:
    cluster.study(trials=6, trouble="hold")
    *_, array = cluster.submit("--array", "2")
    begun = [cluster.folder / "begun-1", cluster.folder / "begun-2"]
    cluster.lab.until(lambda: all(path.exists() for path in begun), "both elements run")
    cluster.lab.call("scancel", f"{array}_2")
    cluster.lab.until(lambda: not cluster.lab.call("squeue", "-h", "-j", f"{array}_2").stdout.strip(), "it is gone")
    cluster.go()
    cluster.over(array)
    counts = cluster.counts()
    assert counts["failed"] == 0 and 0 < counts["done"] < 24, counts
    states = cluster.harness("status", "slow").stdout
    assert "COMPLETED" in states and "CANCELLED" in states, states
    for job in cluster.submit("--array", "2"):
        cluster.over(job)
    cluster.assert_whole(6)
    steps = cluster.steps()
    assert len(steps) == len({step[:3] for step in steps}) == 160, "no source was trained twice"


def test_elements_that_are_preempted_go_on_in_the_middle(cluster: Cluster) -> None:
    cluster.study(wait=True)
    *_, array = cluster.submit("--array", "2")
    cluster.lab.until(cluster.waiting, "two trainings are in their middle")
    cluster.urgent()
    elements = [f"{array}_1", f"{array}_2"]
    cluster.lab.until(lambda: all(cluster.requeued(one) for one in elements), "both are requeued")
    cluster.go(*elements)
    cluster.over(array)
    cluster.assert_whole()
    cluster.assert_resumed()
