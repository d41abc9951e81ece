"""What the engine costs on a Ray of several nodes: trials that compute nothing, on raylets of this one machine.

    python tests/benchmarks/noop_cluster.py                      # 12,000 and 120,000 trials over 4 raylets
    python tests/benchmarks/noop_cluster.py --trials 1200 12000 --raylets 2

Every study is run by a driver of its own that joins the nodes, which are up already. Prints, judges nothing.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.benchmarks.noop import CELL, write_study  # noqa: E402  # the repository is no package
from tests.execution.raylets import Raylets  # noqa: E402

RUN = """
import resource, sys
from harness.cli import main
status = main(sys.argv[1:])
print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
sys.exit(status)
"""


def measure(raylets: Raylets, folder: Path, trials: int) -> tuple[int, float, float]:
    """Run a study of about `trials` trials; return their number, the seconds, and the driver's peak memory in GiB."""
    results = folder / f"results_{trials}"
    study = write_study(folder, "noop", trials)
    words = ["run", str(study), "--results", str(results), "--address", raylets.address]
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", RUN, *words], cwd=folder, env=raylets.environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    seconds = time.perf_counter() - begun
    if done.returncode:
        raise SystemExit(f"{' '.join(words)} failed:\n{done.stdout}\n{done.stderr}")
    peak = int(done.stdout.split()[-1])
    return max(1, round(trials / CELL)) * CELL, seconds, peak / 2**20


def main() -> None:
    """Measure all numbers of trials, smallest first, and say how time grows with them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, nargs="+", default=[12_000, 120_000])
    parser.add_argument("--raylets", type=int, default=4, help="nodes with one core each, beside a head with none")
    arguments = parser.parse_args()
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, {arguments.raylets} raylets")
    found: list[tuple[int, float]] = []
    with tempfile.TemporaryDirectory() as name, Raylets(arguments.raylets) as raylets:
        for trials in sorted(arguments.trials):
            load = os.getloadavg()[0]
            number, seconds, peak = measure(raylets, Path(name), trials)
            found.append((number, seconds))
            print(
                f"{number:,} trials: {seconds:.1f} s from start to end, {number / seconds:,.0f} a second, "
                f"driver's peak memory {peak:.2f} GiB (load of the machine before: {load:.1f})",
                flush=True,
            )
    if len(found) > 1:
        (few, short), (many, long) = found[0], found[-1]
        print(f"{many / few:.1f} times the trials took {long / short:.1f} times as long")


if __name__ == "__main__":
    main()
