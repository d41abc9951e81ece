"""What the engine itself costs: studies of trials that compute nothing.

    python tests/benchmarks/noop.py                      # all of it: some minutes on two cores
    python tests/benchmarks/noop.py --trials 12000 --million 0

Each number is measured in a process of its own. Prints, judges nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TASKS = 8
SEEDS = 5
CELL = TASKS * TASKS * SEEDS
DOMAINS = ["upright", "rotate90", "rotate180", "flip", "transpose", "invert", "noise", "shuffle"]

PLAN = """
import resource, sys, time
begun = time.perf_counter()
import harness
study = harness.load_study(sys.argv[1])
read = time.perf_counter()
plan = harness.plan(study, sys.argv[2])
done = time.perf_counter()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(f"{plan.trials:,} trials, {plan.stages_needed:,} stages needed: read {read - begun:.2f} s, "
      f"planned {done - read:.2f} s, peak memory {peak / 2**20:.2f} GiB")
"""

READ = """
import sys, time
import pandas, pyarrow, deltalake, analysis
begun = time.perf_counter()
frame = analysis.load_outcomes(sys.argv[1])
print(f"{len(frame):,} rows in a frame of {frame.shape[1]} columns: {time.perf_counter() - begun:.2f} s")
"""


def write_study(folder: Path, method: str, trials: int) -> Path:
    """Write a study of about ``trials`` trials: 8 sources x 8 targets x 5 seeds x as many indices as it takes."""
    tasks = ", ".join(f"digits_{domain}" for domain in DOMAINS)
    indices = ", ".join(map(str, range(max(1, round(trials / CELL)))))
    path = folder / f"{method}_{trials}.yaml"
    path.write_text(
        f"study: {path.stem}\nsources: [{tasks}]\ntargets: [{tasks}]\nbackbones: [mlp]\nmethods: [{method}]\n"
        f"seeds: {list(range(SEEDS))}\naxes:\n  index: [{indices}]\n",
        encoding="utf-8",
    )
    return path


def python(*arguments: str) -> str:
    """Run a Python process from the root of the repository and return what it printed."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{arguments[:6]} failed:\n{done.stdout}\n{done.stderr}")
    return done.stdout.strip()


def timed(*arguments: str) -> float:
    """Return the seconds that a Python process takes from start to end."""
    begun = time.perf_counter()
    python(*arguments)
    return time.perf_counter() - begun


def measure_help() -> None:
    """Print the time of `harness --help`."""
    seconds = min(timed("-m", "harness", "--help") for _ in range(5))
    print(f"harness --help: {seconds:.3f} s (best of 5)")


def measure_plans(folder: Path, trials: int, million: int) -> None:
    """Print what planning takes, for one stage a trial, for three, and for a million."""
    for method, count in (("noop", trials), ("noop_chain", trials), ("noop", million)):
        if count:
            study = write_study(folder, method, count)
            print(f"plan {method}: {python('-c', PLAN, str(study), str(folder / 'none'))}", flush=True)


def measure_run(folder: Path, method: str, trials: int, workers: int) -> None:
    """Print what running, running again and reading take, and how many files are left."""
    results = str(folder / f"results_{method}")
    one = ["--results", str(folder / f"one_{method}"), "--workers", str(workers)]
    start = timed("-m", "harness", "run", str(write_study(folder, method, 1)), *one)
    study = str(write_study(folder, method, trials))
    command = ["-m", "harness", "run", study, "--results", results, "--workers", str(workers)]
    seconds = timed(*command)
    print(
        f"run {method}: {seconds:.1f} s on {workers} workers, of which {start:.1f} s are the run of {CELL} trials; "
        f"{1000 * (seconds - start) / max(1, trials - CELL):.3f} ms a further trial"
    )
    print(f"run {method} again: {timed(*command):.2f} s")
    parts = python("-m", "harness", "store", "parts", "--results", results).splitlines()
    files = sum(1 for path in Path(results).rglob("*") if path.is_file())
    print(f"files: {len(parts)} Parquet parts, {files} files in all, {1000 * files / trials:.2f} per 1,000 trials")
    counts = json.loads(python("-m", "harness", "status", study, "--results", results, "--json"))
    print(f"status: {counts}")
    print(f"read: {python('-c', READ, results)}", flush=True)


def main() -> None:
    """Measure all of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=120_000)
    parser.add_argument("--million", type=int, default=1_000_000, help="trials of the large plan; 0 leaves it out")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--methods", nargs="+", default=["noop", "noop_chain"])
    arguments = parser.parse_args()
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}")
    with tempfile.TemporaryDirectory() as name:
        measure_help()
        measure_plans(Path(name), arguments.trials, arguments.million)
        for method in arguments.methods:
            measure_run(Path(name), method, arguments.trials, arguments.workers)


if __name__ == "__main__":
    main()
