"""One node's part of a Ray cluster, as a job step: `python -m harness.execution.node`.

Ray runs in the foreground in a folder of its own, which is removed at the end: when the driver closes this process's
input or dies. A signal from Slurm is not the end yet: it is passed on to the driver, which saves what it can. Slurm
sends it to every process of the step; Ray and its workers are started with it blocked, and with them what they start.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from harness.execution.allocation import ANNOUNCING, block_announcements, free_port
from harness.execution.session import OBJECT_STORE_BYTES
from harness.execution.temporary import TemporaryFolder


def ray_command(arguments: argparse.Namespace, folder: Path) -> list[str]:
    """Return the command that starts Ray with its files in ``folder``.

    Every port is one that the system picks, but for the head's own.
    """
    command = [str(Path(sys.executable).with_name("ray")), "start", "--block", f"--num-cpus={arguments.cores}"]
    command += [f"--node-ip-address={arguments.own_address}", f"--object-store-memory={OBJECT_STORE_BYTES}"]
    command += ["--min-worker-port=0", "--max-worker-port=0", "--dashboard-agent-listen-port=0"]
    command += ["--disable-usage-stats"]
    command += ["--num-gpus=0"] if arguments.no_gpus else []
    if arguments.head:
        port = arguments.address.rpartition(":")[2]
        return [
            *command, "--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir={folder}",
            *_client_port(),
        ]  # fmt: skip
    return [*command, f"--address={arguments.address}", f"--temp-dir={folder}"]


def _client_port() -> list[str]:
    """Ray serves clients at one fixed port where its extra for them is installed: move it out of others' way."""
    return [f"--ray-client-server-port={free_port()}"] if importlib.util.find_spec("grpc") else []


def main(argv: Sequence[str] | None = None) -> int:
    """Start Ray, wait until it or the driver ends, and leave nothing behind."""
    parser = argparse.ArgumentParser(prog="harness.execution.node", allow_abbrev=False)
    parser.add_argument("--head", action="store_true")
    parser.add_argument("--address", required=True, help="of the head: IP:PORT")
    parser.add_argument("--own-address", required=True)
    parser.add_argument("--driver", type=int, help="the driver's process, where it runs on this node")
    parser.add_argument("--cores", type=int, required=True)
    parser.add_argument("--no-gpus", action="store_true")
    arguments = parser.parse_args(argv)
    folder = TemporaryFolder()
    os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
    process = subprocess.Popen(
        ray_command(arguments, folder.path),
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=block_announcements,
    )

    def announced(number: int, frame: object) -> None:
        """Slurm wants the job to end: the driver is told, and Ray stays up for what it still has to save."""
        if arguments.driver is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(arguments.driver, signal.SIGUSR1)

    for number in ANNOUNCING:
        signal.signal(number, announced)
    threading.Thread(target=_end_with_driver, args=(process,), daemon=True).start()
    try:
        while process.poll() is None:  # no long call: a signal that reaches the other thread would not end it
            time.sleep(0.1)
        return process.returncode
    finally:
        _end(process)
        folder.remove(patient=True)


def _end_with_driver(process: subprocess.Popen[bytes]) -> None:
    """End Ray when the driver closes this step's input, as its death does too."""
    while os.read(sys.stdin.fileno(), 4096):
        pass
    _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End Ray's daemons; workers end when they are gone. Nothing of theirs is worth saving."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
