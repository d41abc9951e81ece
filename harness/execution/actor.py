"""The inside of a Ray actor: its process made ready, then a :class:`Worker` that takes calls as bytes."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path

from harness.execution.ladder import trace
from harness.execution.messages import Call
from harness.execution.shipping import Plugin, package_digest, package_root, unpack_plugins
from harness.execution.worker import Worker, WorkerSetup, use_threads
from harness.graph import World
from harness.registry import BACKBONES, ESTIMATORS, METHODS, TASKS


@dataclass(frozen=True)
class Luggage:
    """What an actor is given to start with. ``log``: the file for what it prints, relative to the store. ``digest``:
    of the driver's package, which the actor's must equal."""

    setup: WorkerSetup
    digest: str
    plugins: tuple[Plugin, ...]
    log: str
    world: World | None = None


class Desk:
    """One actor's worker. Its methods never raise: what goes wrong comes back as text."""

    def __init__(self) -> None:
        self._worker: Worker | None = None
        self._stopped = False

    def start(self, luggage: bytes) -> str:
        """Make the process ready; return why that failed, or nothing."""
        try:
            self._start(pickle.loads(luggage))  # noqa: S301  (from our own driver, through Ray's transport)
        except Exception as error:
            return f"{type(error).__name__}: {error}\n{traceback.format_exc()}"
        return ""

    def _start(self, luggage: Luggage) -> None:
        _redirect(luggage.setup.root / luggage.log)
        _ignore_interrupts()
        if package_digest() != luggage.digest:
            raise RuntimeError(
                f"the harness package at {package_root()} on this node differs from the driver's: install the same one"
            )
        for registry in (TASKS, BACKBONES, METHODS, ESTIMATORS):
            registry.names()  # imports what defines the stages, wherever their functions live
        unpack_plugins(luggage.plugins, luggage.setup.root / "scratch")
        use_threads(luggage.setup.threads)
        self._worker = Worker(luggage.setup, luggage.world)
        if self._stopped:
            self._worker.stop()

    def run(self, call: bytes) -> tuple[bool, bytes]:
        """Run a call; return (True, the reply) or (False, a traceback), pickled."""
        try:
            if self._worker is None:
                raise RuntimeError("this worker did not start")
            unpacked: Call = pickle.loads(call)  # noqa: S301  (from our own driver, through Ray's transport)
            return True, pickle.dumps(self._worker.run(unpacked), protocol=5)
        except Exception as error:
            return False, pickle.dumps(trace(error))

    def stop(self) -> None:
        """Ask the running stage to save its state and stop."""
        self._stopped = True
        if self._worker is not None:
            self._worker.stop()


def _redirect(path: Path) -> None:
    """Send everything that this process prints to its own log."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)
    sys.stdout = os.fdopen(os.dup(1), "w", buffering=1, errors="replace")
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1, errors="replace")


def _ignore_interrupts() -> None:
    """Ctrl-C reaches the whole process group; only the driver acts on it."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    except ValueError:  # not the main thread
        return
