"""Trackers beside a run: a process each that looks at the store while the driver works, and never the other way round.

It ends once its standard input does, that is with the driver, however that ends; then it looks once more.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from harness.trackers.base import require

PATIENCE = 300.0
"""Seconds that a tracker may take after the run; what is then missing, `harness track` brings."""


@contextmanager
def trackers_beside(study: str, results: str, names: Sequence[str]) -> Iterator[None]:
    """Keep the trackers ``names`` up to date while the body runs.

    Raises:
        HarnessError: before the body, when a tracker's package is not installed. Nothing that happens to a tracker
            later does any harm to the body; it complains on standard error.
    """
    for name in names:
        require(name)
    children = [_start(study, results, name) for name in dict.fromkeys(names)]
    try:
        yield
    finally:
        for child in children:
            with suppress(OSError):
                assert child.stdin is not None
                child.stdin.close()
        for child in children:
            try:
                child.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                sys.stderr.write(f"harness: a tracker was too slow and stopped (later: harness track {study})\n")
                child.kill()
                child.wait()


def _start(study: str, results: str, name: str) -> subprocess.Popen[bytes]:
    """Start a process of its own, which signals to the driver do not reach."""
    import harness

    package = Path(harness.__file__ or ".").resolve().parent.parent
    path = os.pathsep.join(filter(None, (str(package), os.environ.get("PYTHONPATH"))))
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "harness.trackers", name, study, results],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": path},
    )
