"""A local run, the default: Ray listens on all interfaces, so every port must refuse who has no token."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from tests.execution.ports import assert_closed, listeners
from tests.execution.raylets import ROOT, family, until


@pytest.mark.slow
def test_no_port_of_a_local_run_serves_who_has_no_token(tmp_path: Path) -> None:
    """The token is one that the test chose, so that it can tell a locked door from a wall."""
    token, log = secrets.token_hex(32), tmp_path / "log"
    options = json.dumps({"workers": 2, "progress": "none"})
    driver = subprocess.Popen(
        [sys.executable, "-m", "tests.execution.drive", str(tmp_path / "results"), "held", options],
        cwd=ROOT, env={**os.environ, "RAY_AUTH_TOKEN": token}, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        lines = {"1 4", "2 4"}
        until(lambda: log.exists() and lines <= set(log.read_text().splitlines()), "two workers are busy")
        found = listeners(family(driver.pid))
        names = [listener.process for listener in found]
        assert {"gcs_server", "raylet"} <= set(names) and names.count("ray::Actor") == 2, names
        assert_closed(found, token)
    finally:
        Path(f"{log}.go").touch()
        assert driver.wait(300) == 0


@pytest.mark.slow
def test_a_run_in_this_process_listens_nowhere(tmp_path: Path) -> None:
    log = tmp_path / "log"
    driver = subprocess.Popen(
        [sys.executable, "-m", "tests.execution.drive", str(tmp_path / "results"), "held", '{"in_process": true}'],
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        until(lambda: log.exists() and "1 4" in log.read_text().splitlines(), "a stage is running")
        assert listeners(family(driver.pid)) == []
    finally:
        Path(f"{log}.go").touch()
        assert driver.wait(300) == 0
