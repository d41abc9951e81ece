"""Who listens where, and whether a client without the token gets anything."""

from __future__ import annotations

import http.client
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import psutil
import pytest

METHODS = (
    "NodeInfoGcsService/GetAllNodeInfo",
    "NodeManagerService/GetNodeStats",
    "ObjectManagerService/Pull",
    "CoreWorkerService/NumPendingTasks",
    "ReporterService/HealthCheck",
    "RayletDriver/ClusterInfo",
)
"""One method of each of Ray's gRPC services that processes of ours may offer; none of them changes anything."""


@dataclass(frozen=True)
class Listener:
    """A TCP port on which a process listens."""

    process: str
    host: str
    port: int

    @property
    def reached_at(self) -> str:
        """The address at which a neighbour on this machine reaches it."""
        return "127.0.0.1" if self.host in ("::", "0.0.0.0", "::ffff:0.0.0.0") else self.host.removeprefix("::ffff:")


def listeners(processes: Iterable[psutil.Process]) -> list[Listener]:
    """All TCP ports on which some processes listen, as the kernel's tables say."""
    found = []
    for process in processes:
        try:
            name = process.name()
            ports = [one.laddr for one in process.net_connections(kind="tcp") if one.status == psutil.CONN_LISTEN]
        except psutil.NoSuchProcess:
            continue
        found += [Listener(name, address.ip, address.port) for address in ports]
    return sorted(set(found), key=lambda one: one.port)


def assert_closed(found: Sequence[Listener], token: str) -> None:
    """Each port refuses a client without the token: gRPC by UNAUTHENTICATED, HTTP by its status 401.

    So that a question that nobody understands does not count as refused, the same question with the token must be
    understood.
    """
    for listener in found:
        status = _http_status(listener)
        if status is not None:
            assert status == 401, (listener, status)
            continue
        answers = {method: _grpc_status(listener, method, None) for method in METHODS}
        offered = {method for method, answer in answers.items() if answer != "UNIMPLEMENTED"}
        assert offered, (listener, answers)
        assert {answers[method] for method in offered} == {"UNAUTHENTICATED"}, (listener, answers)
        wrong = {_grpc_status(listener, method, "0" * len(token)) for method in offered}
        assert wrong == {"UNAUTHENTICATED"}, (listener, wrong)
        assert "UNAUTHENTICATED" not in {_grpc_status(listener, method, token) for method in offered}, listener


def _http_status(listener: Listener) -> int | None:
    """The answer to a plain question by HTTP/1.1; None from what speaks something else."""
    connection = http.client.HTTPConnection(listener.reached_at, listener.port, timeout=60)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status
    except http.client.BadStatusLine:
        return None
    finally:
        connection.close()


def _grpc_status(listener: Listener, method: str, token: str | None) -> str:
    """The name of the status of an empty call; `OK` when it was served."""
    grpc = pytest.importorskip("grpc")
    metadata = () if token is None else (("authorization", f"Bearer {token}"),)
    with grpc.insecure_channel(f"{listener.reached_at}:{listener.port}") as channel:
        try:
            channel.unary_unary(f"/ray.rpc.{method}")(b"", timeout=60, metadata=metadata)
        except grpc.RpcError as error:
            return str(error.code().name)
    return "OK"
