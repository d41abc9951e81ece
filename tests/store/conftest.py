"""What the tests of the store share: stores in fresh directories, rows, and other processes that write to them."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.store import Store

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("other_driver.py")


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "results"


@pytest.fixture
def store(results: Path) -> Store:
    return Store.open(results, create=True)


@pytest.fixture
def other_driver() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start other_driver.py with the given arguments; whatever still runs at the end of the test is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, str(SCRIPT), *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def object_server() -> Iterator[dict[str, str]]:
    """A server of object storage on loopback; the environment in which it is found."""
    if importlib.util.find_spec("moto") is None or importlib.util.find_spec("obstore") is None:
        pytest.skip("moto and obstore are not installed")
    command = [sys.executable, str(Path(__file__).with_name("object_server.py"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        yield {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "someone",
            "AWS_SECRET_ACCESS_KEY": "a-secret-of-the-tests",
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        assert process.stdin is not None
        process.stdin.close()
        process.wait(30)


@pytest.fixture
def bucket(object_server: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A fresh bucket, reachable by this process and those that it starts; their caches lie in the test's folder."""
    import harness.store.objects

    for name, value in {**object_server, "HARNESS_CACHE": str(tmp_path / "cache")}.items():
        monkeypatch.setenv(name, value)
    name = f"bucket-{os.urandom(6).hex()}"
    request = urllib.request.Request(f"{object_server['AWS_ENDPOINT_URL']}/{name}", method="PUT")
    urllib.request.urlopen(request, timeout=30).close()
    harness.store.objects._client.cache_clear()
    return name


@pytest.fixture
def remote(bucket: str) -> Store:
    """A store in object storage."""
    return Store.open(f"s3://{bucket}/some/results", create=True)
