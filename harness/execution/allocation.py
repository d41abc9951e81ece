"""A Slurm allocation, and one Ray across its nodes: ours alone, with a token, gone when the run ends.

The head runs on the node of the batch script, beside the driver. Each node's part of Ray is a job step that runs
:mod:`harness.execution.node`; it starts no shell and uses ports and a folder that no other job on that node has.
Heads and workers are started explicitly, which every Ray can do that this program works with; `ray symmetric-run` finds
out by addresses who is the head, which fails where nodes share one.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from harness.errors import HarnessError

ADDRESS: Final = "slurm"
"""What stands for an address: the Ray that this run brings up on all nodes of its allocation."""

START_SECONDS: Final = 180.0
"""How long the nodes may take until all have joined; cold shared file systems are slow to import Ray from."""

END_SECONDS: Final = 15.0

ANNOUNCING: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""What Slurm sends to all processes of a step before it ends them."""


def block_announcements() -> set[int]:
    """Keep what announces an end from this thread and from what it starts: Ray must stay up while a run saves its work.

    Returns the signals that were blocked before, for `signal.pthread_sigmask` to restore.
    """
    return {int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, ANNOUNCING)}


@dataclass(frozen=True)
class Allocation:
    """What Slurm gave this job. nodes: their names, that of the batch script first; cores: of each."""

    job: str
    nodes: tuple[str, ...]
    cores: tuple[int, ...]
    gpus: bool

    @staticmethod
    def here(environment: Mapping[str, str] | None = None) -> Allocation:
        """Read the allocation that this process runs in. Raises HarnessError outside of one."""
        env = os.environ if environment is None else environment
        job, nodes = env.get("SLURM_JOB_ID"), env.get("SLURM_JOB_NODELIST")
        if not job or not nodes:
            raise HarnessError(
                "--address slurm works inside a Slurm allocation: use `harness submit`, sbatch or salloc"
            )
        names = _printed(["scontrol", "show", "hostnames", nodes]).split()
        cores = repeated_counts(env.get("SLURM_JOB_CPUS_PER_NODE", "1"))
        if len(cores) != len(names):
            raise HarnessError(f"Slurm names {len(names)} nodes but the cores of {len(cores)}")
        gpus = any(env.get(name) for name in ("SLURM_JOB_GPUS", "SLURM_GPUS_ON_NODE", "SLURM_STEP_GPUS"))
        return Allocation(job, tuple(names), tuple(cores), gpus)


def repeated_counts(text: str) -> list[int]:
    """Read Slurm's short form of a list of counts: `2(x3),4` is 2, 2, 2, 4."""
    found: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"(\d+)(?:\(x(\d+)\))?", part.strip())
        if match is None:
            raise HarnessError(f"cannot read the cores that Slurm gave: {text!r}")
        found += [int(match[1])] * int(match[2] or 1)
    return found


class SlurmRay:
    """Ray on all nodes of an allocation.

    folder: for the token and the nodes' logs; on a file system that all nodes share.  spare_head: no work on the
    head's node, where there is another.
    """

    def __init__(self, allocation: Allocation, folder: Path, spare_head: bool = False) -> None:
        self.allocation = allocation
        self.spare_head = spare_head and len(allocation.nodes) > 1
        self.folder = folder / f"slurm-{allocation.job}-{os.environ.get('SLURM_RESTART_COUNT', '0')}-{os.getpid()}"
        self.address = ""
        self._steps: list[subprocess.Popen[bytes]] = []

    def start(self) -> str:
        """Bring Ray up on every node and return its address.

        Raises HarnessError, with the end of its log, when a node does not come up in time.
        """
        self.folder.mkdir(parents=True, mode=0o700)
        self._write_token()
        head = node_address(self.allocation.nodes[0])
        self.address = f"{head}:{free_port()}"
        self._step(0, head)
        self._await(lambda: _listens(self.address), "the head of Ray did not come up")
        for place in range(1, len(self.allocation.nodes)):
            self._step(place, node_address(self.allocation.nodes[place]))
        return self.address

    def await_nodes(self, ray: Any) -> None:
        """Wait until every node has joined, once this process is connected."""
        wanted = len(self.allocation.nodes)
        self._await(
            lambda: sum(bool(node["Alive"]) for node in ray.nodes()) >= wanted,
            f"not all of the {wanted} nodes joined Ray",
        )

    def _write_token(self) -> None:
        path = self.folder / "token"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32))
        os.environ.pop("RAY_AUTH_TOKEN", None)
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ["RAY_AUTH_TOKEN_PATH"] = str(path)

    def _step(self, place: int, address: str) -> None:
        name, cores = self.allocation.nodes[place], self.allocation.cores[place]
        work = 0 if place == 0 and self.spare_head else cores
        own = [sys.executable, "-m", "harness.execution.node", "--address", self.address]
        own += ["--own-address", address, "--cores", str(work)]
        own += ["--head", f"--driver={os.getpid()}"] if place == 0 else []
        own += [] if self.allocation.gpus else ["--no-gpus"]
        step = [
            "srun",
            "--nodes=1",
            "--ntasks=1",
            f"--nodelist={name}",
            "--overlap",
            "--exact",
            f"--cpus-per-task={cores}",
        ]
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [*step, "--kill-on-bad-exit=0", *own],
                stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
                cwd=Path.cwd(),
            )  # fmt: skip
        self._steps.append(process)

    def _await(self, there: Any, problem: str) -> None:
        end = time.monotonic() + START_SECONDS
        while not there():
            dead = [place for place, step in enumerate(self._steps) if step.poll() is not None]
            if dead or time.monotonic() > end:
                which = self.allocation.nodes[dead[0] if dead else 0]
                said = self._last_words(which)
                self.stop()
                raise HarnessError(f"{problem}: on {which} {said or 'nothing was printed'}")
            time.sleep(0.1)

    def _last_words(self, node: str) -> str:
        try:
            lines = (self.folder / f"{node}.log").read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return ""
        return " / ".join(line.strip() for line in lines[-3:] if line.strip())[:400]

    def stop(self) -> None:
        """End every node's part, and remove the token; logs stay where a node said something."""
        for step in self._steps:
            if step.stdin is not None:
                step.stdin.close()
        end = time.monotonic() + END_SECONDS
        for step in self._steps:
            try:
                step.wait(max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                step.kill()
        self._steps.clear()
        self.abandon()

    def abandon(self) -> None:
        """Remove the token without waiting for the nodes, which end with the job."""
        shutil.rmtree(self.folder, ignore_errors=True)


def node_address(name: str) -> str:
    """Return the IPv4 address at which Slurm itself reaches a node. Raises HarnessError when there is none."""
    described = _printed(["scontrol", "--oneliner", "show", "node", name])
    match = re.search(r"\bNodeAddr=(\S+)", described)
    host = match[1] if match else name
    try:
        return socket.gethostbyname(host)
    except OSError as error:
        raise HarnessError(f"the address of node {name} ({host}) is not known here: {error}") from error


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1.0).close()
    except OSError:
        return False
    return True


def _printed(command: Sequence[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    except FileNotFoundError:
        raise HarnessError(f"{command[0]} is not installed here: is this a Slurm cluster?") from None
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        said = (getattr(error, "stderr", "") or str(error)).strip()
        raise HarnessError(f"{' '.join(command)} failed: {said}") from error
