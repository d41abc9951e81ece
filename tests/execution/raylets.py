"""A Ray of several nodes on this one machine, each on a loopback address, started as in a Slurm allocation."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from harness.execution.allocation import free_port
from harness.execution.temporary import sweep

ROOT = Path(__file__).parents[2]


class Raylets:
    """A head without cores for work and `nodes` further nodes of one core each, behind a token."""

    def __init__(self, nodes: int) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        self.token = secrets.token_hex(32)
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")},
            "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": self.token,
            "PYTHONPATH": str(ROOT),
        }  # fmt: skip
        self.nodes = nodes
        self._folder = Path(tempfile.mkdtemp(prefix="rl-"))
        self.parts: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Raylets:
        try:
            self._start(0)
            until(self._listens, "the head listens")
            for place in range(1, self.nodes + 1):
                self._start(place)
            until(lambda: all(map(self._has_joined, range(self.nodes + 1))), "all nodes have joined")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for part in self.parts:
            if part.stdin is not None:
                part.stdin.close()
        for part in self.parts:
            try:
                part.wait(60)
            except subprocess.TimeoutExpired:
                end_all(part.pid)
        shutil.rmtree(self._folder, ignore_errors=True)
        sweep()

    def _start(self, place: int) -> None:
        own = ["--own-address", f"127.0.0.{place + 1}", "--cores", "1" if place else "0", "--no-gpus"]
        own += ["--address", self.address]
        own += [] if place else ["--head"]
        with (self._folder / f"{place}.log").open("wb") as log:
            command = [sys.executable, "-m", "harness.execution.node", *own]
            self.parts.append(
                subprocess.Popen(
                    command, cwd=ROOT, env=self.environment, stdin=subprocess.PIPE, stdout=log, stderr=log
                )
            )  # fmt: skip

    def _has_joined(self, place: int) -> bool:
        said = (self._folder / f"{place}.log").read_text(errors="replace")
        assert self.parts[place].poll() is None, said[-2000:]
        return "Ray runtime started" in said

    def _listens(self) -> bool:
        assert self.parts[0].poll() is None, (self._folder / "0.log").read_text(errors="replace")[-2000:]
        host, _, port = self.address.rpartition(":")
        try:
            socket.create_connection((host, int(port)), timeout=1.0).close()
        except OSError:
            return False
        return True

    def kill_node(self, place: int) -> None:
        """End a node as a power cut does."""
        end_all(self.parts[place].pid)
        self.parts[place].wait()

    def processes(self) -> list[psutil.Process]:
        """All processes of all nodes."""
        return [process for part in self.parts if part.poll() is None for process in family(part.pid)]


def family(root: int) -> list[psutil.Process]:
    """A process and all below it."""
    first = psutil.Process(root)
    return [first, *first.children(recursive=True)]


def end_all(root: int) -> None:
    """Kill a process and all below it."""
    for process in family(root):
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue


def until(there: Callable[[], object], what: str, seconds: float = 300.0) -> None:
    """Wait for something; fails, saying what, when it does not come."""
    end = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < end, f"not in {seconds:g} s: {what}"
        time.sleep(0.1)
