"""Measures the analysis: the bootstrap of weighted tau against a scipy loop, and tables and heatmaps of 120,000 rows.

    python tests/benchmarks/analysis_speed.py [--resamples 10000] [--rows 120000]

Prints seconds of this process (CPU, one thread). Both bootstraps run on the same resamples, side by side, and must
agree to 1e-9.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from scipy import stats

from analysis import correlate, heatmap, import_outcomes, lines, matrix_table, transfer_matrix
from analysis.coefficients import kernel
from analysis.permutation import matrix_test


def clocked(call: Callable[[], Any]) -> tuple[Any, float, float]:
    """The result of a call, its wall and its CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    value = call()
    return value, time.perf_counter() - wall, time.process_time() - cpu


def bootstrap(n: int, resamples: int, variant: str) -> None:
    """Weighted tau of ``resamples`` bootstrap resamples of n items: ours and a loop over scipy."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=n)
    y = x + rng.normal(size=n)
    draws = rng.integers(0, n, (resamples, n))
    rank: Any = True if variant == "scipy" else None

    def ours() -> np.ndarray:
        counts = np.apply_along_axis(np.bincount, 1, draws, minlength=n).astype(float)
        return kernel(x, y, "weighted_kendall", variant)(counts)

    def loop() -> np.ndarray:
        return np.array([stats.weightedtau(x[d], y[d], rank=rank).statistic for d in draws])

    fast, fast_wall, fast_cpu = clocked(ours)
    slow, slow_wall, slow_cpu = clocked(loop)
    worst = float(np.nanmax(np.abs(fast - slow)))
    print(
        f"weighted tau ({variant}), n = {n}, {resamples} resamples: ours {fast_cpu:.3f} s CPU ({fast_wall:.3f} wall), "
        f"scipy loop {slow_cpu:.2f} s CPU ({slow_wall:.2f} wall): {slow_cpu / fast_cpu:.0f} x; largest difference "
        f"{worst:.1e}"
    )
    assert worst < 1e-9


def outcomes(rows: int) -> pd.DataFrame:
    """About ``rows`` outcomes: 20 sources x 20 targets x 3 backbones x 10 methods x 10 seeds."""
    per = [20, 20, 3, 10, max(1, rows // 12_000)]
    index = pd.MultiIndex.from_product(
        [[f"{name}{k}" for k in range(n)] for name, n in zip("stbm", per, strict=False)] + [range(per[4])],
        names=["source", "target", "backbone", "method", "seed"],
    )
    frame = index.to_frame(index=False)
    frame["value"] = np.random.default_rng(0).uniform(0.3, 0.9, len(frame))
    return frame


def grids(rows: int) -> None:
    """Tables, heatmaps, lines and correlations of a large frame, after it was imported."""
    raw = outcomes(rows)
    frame, wall, cpu = clocked(lambda: import_outcomes(raw, "large"))
    print(f"import of {len(frame):,} rows: {cpu:.2f} s CPU ({wall:.2f} wall)")
    one = {"backbone": "b0", "method": "m0"}
    made = {
        "matrix, one method": lambda: transfer_matrix(frame, filter=one),
        "matrix, all rows (over backbone, method)": lambda: transfer_matrix(frame, over=["backbone", "method"]),
        "matrix relative to the best": lambda: transfer_matrix(
            frame, relative_to="target_best", over=["backbone", "method"]
        ),
        "table of methods x targets": lambda: matrix_table(
            transfer_matrix(frame, "method", "target", over=["source", "backbone"])
        ).to_markdown(),
        "lines": lambda: lines(frame, "seed", by="method", over=["source", "target", "backbone"]),
        "heatmap to PNG": lambda: heatmap(
            transfer_matrix(frame, over=["backbone", "method"]), Path(tempfile.mkdtemp()) / "large.png"
        ),
        "correlation, 2,000 resamples": lambda: correlate(
            transfer_matrix(frame, filter=one), transfer_matrix(frame, filter={**one, "method": "m1"})
        ),
        "Mantel test, 2,000 permutations": lambda: matrix_test(
            transfer_matrix(frame, filter=one), transfer_matrix(frame, filter={**one, "method": "m1"})
        ),
    }
    for name, call in made.items():
        _, wall, cpu = clocked(call)
        print(f"{name}: {cpu:.2f} s CPU ({wall:.2f} wall)")


def main() -> None:
    """Run all measurements."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resamples", type=int, default=10_000)
    parser.add_argument("--rows", type=int, default=120_000)
    arguments = parser.parse_args()
    for variant in ("scipy", "x"):
        bootstrap(20, arguments.resamples, variant)
    grids(arguments.rows)


if __name__ == "__main__":
    main()
