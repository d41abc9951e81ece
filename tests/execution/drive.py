"""A driver in a process of its own: ``python -m tests.execution.drive RESULTS SCENARIO OPTIONS`` prints its summary."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from harness.graph import Stage
from tests.execution.lab import Lab, chains, toys


def scenario(name: str, log: str) -> list[Stage]:
    """The terminals of a named scenario."""
    if name == "chains":
        return chains(8, 3)
    if name == "naps":
        return [toys.where.bind(index=i, pause=0.05) for i in range(60)]
    if name == "held":
        return [toys.held.bind(index=i, steps=20, log=log, hold_at=5 if i else -1, gate=f"{log}.go") for i in range(3)]
    if name == "meeting":
        return [toys.meeting.bind(index=i, of=3, folder=f"{log}.met") for i in range(3)]
    if name == "deaf":
        return [toys.fussy.bind(index=0, how="hang", marker=log), *(toys.noop.bind(index=i) for i in range(5))]
    return [toys.noop.bind(index=i) for i in range(int(name))]


def main() -> None:
    results, name, options = sys.argv[1:4]
    lab = Lab(Path(results), {})
    summary = lab.run(scenario(name, str(Path(results).parent / "log")), **json.loads(options))
    print(json.dumps(asdict(summary)))
    sys.exit(summary.exit_status)


if __name__ == "__main__":
    main()
