"""What Slurm tells a job, and how a node's part of Ray is started."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from harness.errors import HarnessError
from harness.execution import node, options
from harness.execution.allocation import ANNOUNCING, Allocation, free_port, node_address, repeated_counts
from harness.execution.temporary import PREFIX


@pytest.mark.parametrize(
    ("text", "counts"),
    [("4", [4]), ("2(x3)", [2, 2, 2]), ("2(x2),16,1(x1)", [2, 2, 16, 1]), ("72(x2), 36", [72, 72, 36])],
)
def test_slurms_short_lists(text: str, counts: list[int]) -> None:
    assert repeated_counts(text) == counts


@pytest.mark.parametrize("text", ["", "2(x", "many"])
def test_other_lists_are_refused(text: str) -> None:
    with pytest.raises(HarnessError, match="cores that Slurm gave"):
        repeated_counts(text)


def stand_in(folder: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    path = folder / "scontrol"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o700)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_an_allocation_is_read_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, monkeypatch, 'test "$3" = "n[1-3]" && printf "n1\\nn2\\nn3\\n"')
    said = {"SLURM_JOB_ID": "9", "SLURM_JOB_NODELIST": "n[1-3]", "SLURM_JOB_CPUS_PER_NODE": "2(x2),4"}
    assert Allocation.here(said) == Allocation("9", ("n1", "n2", "n3"), (2, 2, 4), gpus=False)
    assert Allocation.here({**said, "SLURM_GPUS_ON_NODE": "2"}).gpus
    with pytest.raises(HarnessError, match="names 3 nodes but the cores of 1"):
        Allocation.here({**said, "SLURM_JOB_CPUS_PER_NODE": "2"})
    with pytest.raises(HarnessError, match="inside a Slurm allocation"):
        Allocation.here({})


def test_a_nodes_address_is_the_one_slurm_uses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, monkeypatch, 'echo "NodeName=n7 Arch=x86_64 NodeAddr=127.0.0.7 NodeHostName=host Port=1"')
    assert node_address("n7") == "127.0.0.7"
    stand_in(tmp_path, monkeypatch, 'echo "NodeName=n7 NodeAddr=no.such.host.invalid"')
    with pytest.raises(HarnessError, match="address of node n7"):
        node_address("n7")


def test_a_job_uses_the_cores_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "3")
    assert options.usable_cores() == 3
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "64")
    assert options.usable_cores() == 8
    monkeypatch.delenv("SLURM_CPUS_ON_NODE")
    assert options.usable_cores() == 8


def test_ports_are_free() -> None:
    with socket.socket() as one:
        one.bind(("", free_port()))


def arguments(**changes: object) -> argparse.Namespace:
    given = {
        "head": False, "address": "10.0.0.1:5000", "own_address": "10.0.0.2", "cores": 3, "no_gpus": True,
        "driver": None,
    }  # fmt: skip
    return argparse.Namespace(**{**given, **changes})


def test_only_the_head_has_a_port_that_is_known_beforehand() -> None:
    head, other = (node.ray_command(arguments(head=one), Path("/tmp/x")) for one in (True, False))
    assert {"--head", "--port=5000", "--include-dashboard=false", "--num-cpus=3", "--num-gpus=0"} <= set(head)
    assert "--address=10.0.0.1:5000" in other and "--head" not in other
    for command in (head, other):
        assert {"--min-worker-port=0", "--max-worker-port=0", "--dashboard-agent-listen-port=0"} <= set(command)
        assert "--temp-dir=/tmp/x" in command
    assert not any(word.startswith("--num-gpus") for word in node.ray_command(arguments(no_gpus=False), Path("/tmp/x")))


STEP = """
import sys
from harness.execution import node
node.ray_command = lambda *_: [sys.executable, "-c", "import time; time.sleep(600)"]
sys.exit(node.main())
"""


@pytest.fixture
def step(tmp_path: Path):
    """A node's step with something that sleeps for Ray, and a driver that says when it was told."""
    told = tmp_path / "told"
    code = (
        "import signal, sys, time, pathlib\n"
        f"signal.signal(signal.SIGUSR1, lambda *_: pathlib.Path({str(told)!r}).touch())\n"
        "print('ready', flush=True)\ntime.sleep(600)"
    )
    driver = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert driver.stdout is not None and driver.stdout.readline() == b"ready\n"
    words = ["--head", "--address", "127.0.0.1:1", "--own-address", "127.0.0.1", "--cores", "1"]
    process = subprocess.Popen(
        [sys.executable, "-c", STEP, *words, "--driver", str(driver.pid)],
        stdin=subprocess.PIPE, env={**os.environ, "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    until(lambda: handles(process.pid, signal.SIGTERM))
    (folder,) = tmp_path.glob(f"{PREFIX}{process.pid}-*")
    yield process, folder, told
    for one in (process, driver):
        one.kill()
        one.wait()


def handles(process: int, number: int) -> bool:
    """Whether a process has a handler for a signal: bit `number - 1` of what the kernel says it catches."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    caught = next(line.split()[1] for line in lines if line.startswith("SigCgt:"))
    return bool(int(caught, 16) >> (number - 1) & 1)


def until(there) -> None:
    end = time.monotonic() + 120
    while not there():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_signal_of_slurm_is_passed_on_and_ray_stays(step) -> None:
    process, folder, told = step
    process.terminate()
    until(told.exists)
    time.sleep(0.3)
    assert process.poll() is None and folder.exists()


def test_what_slurm_sends_to_all_does_not_reach_ray(step) -> None:
    """What stands for Ray would end at a SIGTERM; it is started with that blocked, and so is all that it starts."""
    process, _, told = step
    (ray,) = psutil.Process(process.pid).children()
    lines = Path(f"/proc/{ray.pid}/status").read_text().splitlines()
    blocked = int(next(line.split()[1] for line in lines if line.startswith("SigBlk:")), 16)
    assert all(blocked >> (number - 1) & 1 for number in ANNOUNCING)
    ray.terminate()
    process.terminate()
    until(told.exists)
    assert ray.is_running() and ray.status() != psutil.STATUS_ZOMBIE and process.poll() is None


def test_ray_ends_with_the_driver_and_leaves_nothing(step) -> None:
    process, folder, told = step
    process.stdin.close()
    process.wait(120)
    assert not folder.exists() and not told.exists()
