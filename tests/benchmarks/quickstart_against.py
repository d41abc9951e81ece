"""Quickstart's wall time beside the same trials run without sharing, by Ray Tune, and by Hydra's joblib launcher.

    python tests/benchmarks/quickstart_against.py                                  # everything: an hour on two cores
    python tests/benchmarks/quickstart_against.py --only source=digits_upright     # part of the grid, all four ways

All four compute the same trials with the same stage functions on the same number of processes, one torch thread each;
the other three call them one trial at a time. Batches change the order of floating-point sums, so that values may
differ: the largest and the mean difference are printed beside the tolerance, which is the spread that another seed
would give.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path[:0] = [str(HERE), str(ROOT)]

from alone import planned_trials, value_of  # noqa: E402  # found by the path set above

Values = dict[str, float]
TOLERANCE = 0.02
"""Largest mean absolute difference of accuracy over all trials that counts as the same outcome."""


def by_harness(study: str, only: list[str], workers: int) -> Values:
    """Run `harness run`, from nothing, as a user would; reading the values back is not timed."""
    results = Path(tempfile.mkdtemp(prefix="bench-"))
    options = [word for part in only for word in ("--only", part)]
    command = [sys.executable, "-m", "harness", "run", study, "--results", str(results), "--workers", str(workers)]
    begun = time.perf_counter()
    subprocess.run([*command, *options], check=True, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    SPENT["harness"] = time.perf_counter() - begun
    import analysis

    frame = analysis.load_outcomes(results)
    frame = frame[frame["status"] == "ok"]
    return dict(zip(frame["trial_id"], frame["value"], strict=True))


def by_itself(study: str, only: list[str], workers: int) -> Values:
    """Run a plain pool of processes over the trials, one trial at a time, sharing nothing."""
    count = len(planned_trials(study, tuple(only)))
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        return dict(pool.map(value_of, [study] * count, [tuple(only)] * count, range(count)))


def by_tune(study: str, only: list[str], workers: int) -> Values:
    """Run Ray Tune over the trials, with as many at once as there are workers."""
    import ray
    from ray import tune

    count = len(planned_trials(study, tuple(only)))

    def trainable(config: dict[str, int]) -> None:
        sys.path[:0] = [str(HERE), str(ROOT)]
        from alone import value_of

        trial, value = value_of(study, only, config["trial"])
        tune.report({"trial": trial, "value": value})

    ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False, logging_level="error")
    try:
        with tempfile.TemporaryDirectory() as folder:
            tuner = tune.Tuner(
                tune.with_resources(trainable, {"cpu": 1}),
                param_space={"trial": tune.grid_search(list(range(count)))},
                run_config=tune.RunConfig(storage_path=folder, verbose=0),
            )
            return {result.metrics["trial"]: result.metrics["value"] for result in tuner.fit()}
    finally:
        ray.shutdown()


def by_hydra(study: str, only: list[str], workers: int) -> Values:
    """Run Hydra's joblib launcher over the trials, with as many jobs as there are workers."""
    count = len(planned_trials(study, tuple(only)))
    with tempfile.TemporaryDirectory() as folder:
        parts = ",".join(json.dumps(part) for part in only)
        command = [
            sys.executable, str(HERE / "hydra_app.py"), "--multirun", "hydra/launcher=joblib",
            f"hydra.launcher.n_jobs={workers}", f"hydra.sweep.dir={folder}/sweep", f"+trial=range(0,{count})",
            f"+study={study}", f"+only=[{parts}]", f"+into={folder}",
        ]  # fmt: skip
        path = os.pathsep.join([str(HERE), str(ROOT)])
        environment = {**os.environ, "PYTHONPATH": path}
        subprocess.run(command, check=True, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
        return dict(json.loads(file.read_text(encoding="utf-8")) for file in Path(folder).glob("*.json"))


WAYS: dict[str, Callable[[str, list[str], int], Values]] = {
    "harness": by_harness,
    "on its own": by_itself,
    "Ray Tune": by_tune,
    "Hydra joblib": by_hydra,
}
SPENT: dict[str, float] = {}


def compare(reference: Values, values: Values) -> str:
    """Say how far the values of the same trials lie apart."""
    if reference.keys() != values.keys():
        return f"other trials: {len(values)} of {len(reference)}"
    apart = [abs(reference[trial] - values[trial]) for trial in reference]
    mean = statistics.fmean(apart)
    verdict = "same outcomes" if mean <= TOLERANCE else "OTHER OUTCOMES"
    return f"{verdict}: mean |difference| {mean:.4f} (tolerance {TOLERANCE}), largest {max(apart):.4f}"


def main() -> None:
    """Run every way once and print the times side by side."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", default=str(ROOT / "studies" / "quickstart.yaml"))
    parser.add_argument("--only", action="append", default=[], help="part of the grid, as for `harness run`")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    arguments = parser.parse_args()
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = "1"
    os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE), str(ROOT)])
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"  # Ray Tune prints a table of its own otherwise
    count = len(planned_trials(arguments.study, tuple(arguments.only)))
    print(f"{count} trials, {arguments.workers} processes")
    reference: Values = {}
    for way in arguments.ways:
        begun = time.perf_counter()
        values = WAYS[way](arguments.study, arguments.only, arguments.workers)
        seconds = SPENT.setdefault(way, time.perf_counter() - begun)
        reference = reference or values
        ratio = seconds / next(iter(SPENT.values()))
        print(f"{way:14}{seconds:9.1f} s {ratio:7.1f} x   {compare(reference, values)}", flush=True)


if __name__ == "__main__":
    main()
