"""A real Slurm on this one machine: a controller and several node daemons, each on a loopback address of its own.

Needs Debian's `slurm-wlm` and `munge` and, because slurmd does, the rights of root. Everything lies in one folder but
for munge's key, for which its daemon takes the place that the packages name.
"""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "munged")
PATHS = "/usr/sbin:/usr/bin:/sbin:/bin"


def missing() -> str | None:
    """Why no Slurm can be set up here; None when one can."""
    absent = [program for program in PROGRAMS if shutil.which(program, path=f"{os.environ['PATH']}:{PATHS}") is None]
    if absent:
        return f"not installed: {', '.join(absent)} (Debian: slurm-wlm, munge)"
    return None if os.geteuid() == 0 else "slurmd needs the rights of root"


class Lab:
    """A cluster of `nodes` nodes with `cores` cores each; partitions `work` (default) and `urgent`, which pre-empts.

    `max_array`: Slurm's MaxArraySize.  `grace`: seconds between the notice and the end of a pre-empted job.
    """

    def __init__(self, folder: Path, nodes: int = 2, cores: int = 1, max_array: int = 1001, grace: int = 20) -> None:
        self.folder = folder
        self.nodes = [f"n{number + 1}" for number in range(nodes)]
        self.cores, self.max_array, self.grace = cores, max_array, grace
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "RAY_"))},
            "SLURM_CONF": str(folder / "slurm.conf"),
            "PATH": f"{os.environ['PATH']}:{PATHS}",
            "RAY_worker_niceness": "0",  # Ray would give way to whatever else runs on this machine
        }

    # --- up and down ----------------------------------------------------------------------------------------------

    def __enter__(self) -> Lab:
        for part in ("state", "spool", "log", "munge"):
            (self.folder / part).mkdir(parents=True)
        self._configure()
        try:
            self._start_munge()
            self._start("slurmctld", ["slurmctld", "-D", "-i"])
            for node in self.nodes:
                self.start_node(node)
            self.until(lambda: self.states() == dict.fromkeys(self.nodes, "idle"), "all nodes are idle", 300)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if "slurmctld" in self._daemons:
            subprocess.run(["scancel", f"--user={getpass.getuser()}"], env=self.environment, timeout=30, check=False)
            time.sleep(0.5)
        for name in list(self._daemons)[::-1]:
            self._stop(name, signal.SIGTERM)

    def _configure(self) -> None:
        host, ports = socket.gethostname().split(".")[0], free_ports(1 + len(self.nodes))
        lines = [
            "ClusterName=lab",
            f"SlurmctldHost={host}(127.0.0.1)",
            f"SlurmctldPort={ports[0]}",
            "SlurmUser=root", "SlurmdUser=root", "AuthType=auth/munge",
            f"AuthInfo=socket={self.folder}/munge/socket",
            f"StateSaveLocation={self.folder}/state",
            f"SlurmdSpoolDir={self.folder}/spool/%n",
            f"SlurmctldPidFile={self.folder}/slurmctld.pid",
            f"SlurmdPidFile={self.folder}/slurmd-%n.pid",
            f"SlurmctldLogFile={self.folder}/log/slurmctld.log",
            f"SlurmdLogFile={self.folder}/log/slurmd-%n.log",
            "ProctrackType=proctrack/linuxproc", "TaskPlugin=task/none", "MpiDefault=none",
            "SelectType=select/cons_tres", "SelectTypeParameters=CR_Core", "SchedulerType=sched/backfill",
            "SchedulerParameters=sched_interval=2,bf_interval=2", "ReturnToService=2", "JobRequeue=1",
            "PreemptType=preempt/partition_prio", "PreemptMode=REQUEUE", f"MaxArraySize={self.max_array}",
            "SlurmdTimeout=10", "KillWait=10", "InactiveLimit=0", "MinJobAge=600",
            "AccountingStorageType=accounting_storage/none", "SlurmdParameters=config_overrides",
        ]  # fmt: skip
        for place, node in enumerate(self.nodes):
            lines.append(
                f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.{place + 1} Port={ports[place + 1]} "
                f"CPUs={self.cores} RealMemory=1000 State=UNKNOWN"
            )
        every = ",".join(self.nodes)
        lines.append(
            f"PartitionName=work Nodes={every} Default=YES MaxTime=60 State=UP PriorityTier=1 GraceTime={self.grace}"
        )
        lines.append(f"PartitionName=urgent Nodes={every} MaxTime=60 State=UP PriorityTier=10 PreemptMode=OFF")
        (self.folder / "slurm.conf").write_text("\n".join(lines) + "\n")

    def _start_munge(self) -> None:
        munge = self.folder / "munge"
        key = munge / "key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        command = [
            "munged", "--foreground", "--force", f"--socket={munge}/socket", f"--key-file={key}",
            f"--log-file={munge}/log", f"--pid-file={munge}/pid", f"--seed-file={munge}/seed",
        ]  # fmt: skip
        self._start("munged", command)
        self.until(lambda: (munge / "socket").exists(), "munge listens", 120)

    def _start(self, name: str, command: Sequence[str]) -> None:
        with (self.folder / "log" / f"{name}.out").open("ab") as log:
            self._daemons[name] = subprocess.Popen(
                command, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def _stop(self, name: str, number: int) -> None:
        daemon = self._daemons.pop(name)
        daemon.send_signal(number)
        try:
            daemon.wait(20)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()

    def start_node(self, node: str) -> None:
        """Bring a node up (again)."""
        self._start(node, ["slurmd", "-D", "-N", node])

    def kill_node(self, node: str) -> None:
        """End a node as a power cut does: its daemon and every process of its job steps."""
        self._stop(node, signal.SIGKILL)
        for process in processes_of(self.environment["SLURM_CONF"], node):
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                continue

    def last_words(self) -> str:
        """The last thing that each daemon wrote to its log."""
        logs = sorted((self.folder / "log").glob("*.log"))
        lines = [path.read_text(errors="replace").splitlines()[-1:] for path in logs]
        return " / ".join(f"{path.stem}: {line[0]}" for path, line in zip(logs, lines, strict=True) if line)

    # --- looking --------------------------------------------------------------------------------------------------

    def call(self, *command: str, **options: object) -> subprocess.CompletedProcess[str]:
        """Run a client."""
        return subprocess.run(
            command, env={**self.environment, **dict(options.pop("env", {}))}, capture_output=True, text=True,
            timeout=120, check=False, **options,
        )  # fmt: skip

    def states(self) -> dict[str, str]:
        """The state of each node, in short."""
        lines = self.call("sinfo", "--noheader", "--Node", "--partition=work", "--format=%N %t").stdout.split("\n")
        return dict(line.split() for line in lines if line.strip())

    def job(self, number: str) -> dict[str, str]:
        """What Slurm says of a job, by name."""
        words = self.call("scontrol", "--oneliner", "show", "job", number).stdout.split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def until(self, there: Callable[[], object], what: str, seconds: float = 600.0) -> None:
        """Wait for something; fails, saying what, when it does not come."""
        end = time.monotonic() + seconds
        while not there():
            assert time.monotonic() < end, f"not in {seconds:g} s: {what}; {self.call('squeue').stdout}"
            time.sleep(0.2)

    def ended(self, number: str, seconds: float = 900.0) -> str:
        """Wait for a job's end and return its state."""
        over = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "DEADLINE", "OUT_OF_MEMORY")
        self.until(lambda: self.job(number).get("JobState") in over, f"job {number} ends", seconds)
        return self.job(number)["JobState"]


def free_ports(number: int) -> list[int]:
    """Ports that nobody listens on."""
    sockets = [socket.socket() for _ in range(number)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


def processes_of(configuration: str, node: str) -> list[int]:
    """The processes that Slurm started on a node of ours, found by their environment."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            words = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if f"SLURM_CONF={configuration}".encode() in words and f"SLURMD_NODENAME={node}".encode() in words:
            found.append(int(folder.name))
    return found
