"""Bringing Ray up and down: a cluster of our own unless an address is given, never a stranger's by accident.

Ray's ports listen on all interfaces even for a local cluster, so a random token keeps strangers out.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import secrets
import signal
import socket
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.execution.allocation import ADDRESS as SLURM_ADDRESS
from harness.execution.allocation import Allocation, SlurmRay, block_announcements
from harness.execution.temporary import TemporaryFolder

REACH_SECONDS = 10.0
OBJECT_STORE_BYTES = 256 * 2**20
"""Only calls and replies pass through Ray, so its object store can be small."""

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


@dataclass
class Session:
    """A connection to Ray. ``owned``: this run made it and closes it; ``folder``: its temporary directory;
    ``cluster``: what runs on the nodes of a Slurm allocation."""

    owned: bool
    folder: TemporaryFolder | None
    address: str | None = None
    cluster: SlurmRay | None = None

    def close(self) -> None:
        """Shut down what this run brought up, and remove its temporary directory."""
        try:
            if self.owned:
                load_ray().shutdown()
        finally:
            if self.cluster is not None:
                self.cluster.stop()
        if self.folder is not None:
            self.folder.remove(patient=True)

    def abandon(self) -> None:
        """Remove the temporary directory without waiting for Ray, which ends with this process."""
        if self.cluster is not None:
            self.cluster.abandon()
        if self.folder is not None:
            self.folder.remove()


def load_ray() -> Any:
    """Import Ray, whose interface is only partly typed."""
    return importlib.import_module("ray")


def thread_variables(threads: int) -> dict[str, str]:
    """Return the environment in which numerical libraries use ``threads`` threads."""
    return dict.fromkeys(_THREAD_VARIABLES, str(threads))


def start_session(
    cpus: float,
    gpus: float | None,
    address: str | None = None,
    dashboard: bool = False,
    shared: Path | None = None,
    spare_head: bool = False,
) -> Session:
    """Connect to Ray at ``address``, or start a local cluster of ``cpus`` cores with a token of its own.

    The address ``slurm`` brings Ray up on all nodes of this job's allocation: ``shared`` is then a folder that they all
    see, and ``spare_head`` keeps work off the first of them. The environment variable RAY_ADDRESS is not heeded.
    Raises HarnessError when Ray is missing or does not start.
    """
    cluster = None
    if address == SLURM_ADDRESS:
        cluster = SlurmRay(Allocation.here(), shared or Path.cwd(), spare_head)
    _prepare_environment(local=address is None)
    try:
        ray = load_ray()
    except ImportError:
        raise HarnessError("Ray is not installed: install it, or use --in-process") from None
    if ray.is_initialized():
        return Session(False, None, address)
    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False, "configure_logging": True}
    try:
        with warnings.catch_warnings(), _signals_kept():
            warnings.simplefilter("ignore")
            if cluster is not None:
                return _start_on_nodes(ray, cluster, quiet)
            if address is not None:
                _must_listen(address)
                ray.init(address=address, **quiet)
                return Session(True, None, address)
            return _start_local(ray, cpus, gpus, dashboard, quiet)
    except HarnessError:
        raise
    except Exception as error:
        where = f"no Ray cluster can be joined at {address}" if address is not None else "Ray did not start"
        raise HarnessError(f"{where}: {' '.join(str(error).split())[:300]}") from error


def _must_listen(address: str) -> None:
    """Fail early, and heed signals meanwhile: Ray looks for an address that is dead for long, and deaf to them."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or "/" in address:
        return  # another way of naming a cluster, for Ray to read
    try:
        socket.create_connection((host, int(port)), REACH_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise ConnectionError(f"nobody answers there ({error})") from None


def _start_local(ray: Any, cpus: float, gpus: float | None, dashboard: bool, quiet: dict[str, Any]) -> Session:
    _reset_token(ray)
    folder = TemporaryFolder()
    try:
        with _announcements_blocked():
            context = ray.init(
                address="local",
                num_cpus=cpus,
                num_gpus=gpus,
                include_dashboard=dashboard,
                dashboard_host="127.0.0.1",
                object_store_memory=OBJECT_STORE_BYTES,
                _temp_dir=str(folder.path),
                **quiet,
            )
    except BaseException:
        folder.remove()
        raise
    return Session(True, folder, str(context.dashboard_url or "") or None)


def _start_on_nodes(ray: Any, cluster: SlurmRay, quiet: dict[str, Any]) -> Session:
    address = cluster.start()
    try:
        _reset_token(ray)
        ray.init(address=address, **quiet)
        cluster.await_nodes(ray)
    except BaseException:
        ray.shutdown()
        cluster.stop()
        raise
    return Session(True, None, address, cluster)


@contextlib.contextmanager
def _announcements_blocked() -> Iterator[None]:
    """Start Ray without ears for what announces the end of a Slurm job: its processes get that, too, and would end."""
    if "SLURM_JOB_ID" not in os.environ:
        yield
        return
    before = block_announcements()
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _signals_kept() -> Iterator[None]:
    """Give back the signal handlers that Ray replaces by one that exits at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _prepare_environment(local: bool) -> None:
    """Set what Ray reads when it is first imported. The token stays set: Ray's threads may outlive a shutdown."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    # What Ray prints about workers that died goes to standard output; our own messages and rows say it.
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")
    if local:
        os.environ["RAY_AUTH_MODE"] = "token"
        if not os.environ.get("RAY_AUTH_TOKEN"):
            os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


def _reset_token(ray: Any) -> None:
    """Make a Ray that was imported earlier see the token, where it is new enough to know of one."""
    raylet = getattr(ray, "_raylet", None)
    if raylet is not None and hasattr(raylet, "AuthenticationTokenLoader"):
        raylet.Config.initialize("")
        raylet.AuthenticationTokenLoader.instance().reset_cache()
