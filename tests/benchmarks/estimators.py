"""Seconds of each estimator beside a plain version of its published formula, and of many at once beside one by one.

    python tests/benchmarks/estimators.py [--examples 4000] [--width 1024] [--classes 100] [--source-classes 1000]

One thread. Each line: seconds of the plain version (tests/estimators/obvious.py), of the estimator called alone (with
the check of its inputs), their ratio, and how far the two values are apart. Then all of them on one set of inputs, from
sums that are worked out once, against the sum of the calls alone. `--repeat` takes the fastest of several runs.
N-LEEP, PACTran, the logistic probe, kNN and OTCE share no sums (their time is their own loop); `--iterative` adds them
at a size that ends, without a plain version. Everything runs in float64 on the processor; estimators_device.py
measures on a GPU.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np  # noqa: E402  # reads the number of threads when it is loaded

from harness.estimators import Inputs, estimators, score, scores  # noqa: E402  # numpy must not be loaded before, nor the folder be unknown
from harness.estimators.ped import class_radii, displacement, standardisation  # noqa: E402  # numpy must not be loaded before, nor the folder be unknown
from tests.estimators import obvious  # noqa: E402  # numpy must not be loaded before, nor the folder be unknown
from tests.estimators.closed_form import softmax  # noqa: E402  # numpy must not be loaded before, nor the folder be unknown

Arrays = Mapping[str, Any]

NAMES = (
    "nce", "leep", "logme", "h_score", "h_score_regularised", "transrate", "gbc", "parc", "sfda", "etran_discriminant",
    "etran_energy", "ncti_feature_norm", "ncti_posterior", "ncti_class_norm", "ped", "tmi", "lfc", "emms",
)  # fmt: skip

ITERATIVE: tuple[tuple[str, dict[str, Any]], ...] = (
    ("knn", {}),
    ("pactran", {}),
    ("logistic", {"folds": 2}),
    ("nleep", {"components": 20}),
)


def make_arrays(n: int, d: int, c: int, cs: int) -> Arrays:
    """Gaussian classes with a falling spectrum, and logits that lean on the class."""
    draw = np.random.default_rng(0)
    labels = np.concatenate([np.arange(c), draw.integers(0, c, n - c)])
    spread = draw.permutation(np.linspace(1.5, 0.2, d))
    features = np.maximum(draw.normal(size=(c, d))[labels] * 0.08 + draw.normal(size=(n, d)), -0.5) * spread
    logits = 2 * draw.normal(size=(n, cs)) + draw.normal(size=(c, cs))[labels]
    table = draw.normal(size=(c, 64, 3))
    return {
        "features": features,
        "labels": labels,
        "source_logits": logits,
        "source_probabilities": softmax(logits),
        "source_features": 1.25 * features[::2] + 0.1,
        "label_embeddings": table[labels],
    }


def ped_one_step(arrays: Arrays) -> float:
    """Sum of absolute moves of one step, from arrays."""
    inputs = Inputs(features=arrays["features"], labels=arrays["labels"])
    centre, spread = standardisation(arrays["source_features"])
    means = (inputs.statistics.means - centre) / spread
    return float(np.abs(displacement(means, class_radii(inputs.statistics, spread))).sum())


def pairs(arrays: Arrays) -> dict[str, tuple[Callable[[], float], Callable[[], float]]]:
    """Label -> the plain version and ours."""
    x, y = arrays["features"], arrays["labels"]
    p, logits, source = arrays["source_probabilities"], arrays["source_logits"], arrays["source_features"]

    def ours(name: str, *needs: str, **options: Any) -> Callable[[], float]:
        return lambda: score(name, **{need: arrays[need] for need in needs}, **options)

    of_features = ("features", "labels")
    return {
        "TransRate": (lambda: obvious.transrate(x, y), ours("transrate", *of_features)),
        "H-score, regularised": (
            lambda: obvious.h_score_regularised(x, y),
            ours("h_score_regularised", *of_features),
        ),
        "SFDA": (lambda: obvious.sfda(x, y), ours("sfda", *of_features)),
        "PED, one step": (
            lambda: float(np.abs(obvious.ped_step(x, y, source)[1]).sum()),
            lambda: ped_one_step(arrays),
        ),
        "TMI": (lambda: obvious.tmi(x, y), ours("tmi", *of_features)),
        "LogME (as released)": (
            lambda: obvious.logme_released(x, y),
            ours("logme", *of_features, variant="released"),
        ),
        "GBC": (lambda: obvious.gbc_spherical(x, y), ours("gbc", *of_features, dims=None)),
        "GBC, diagonal": (
            lambda: obvious.gbc_diagonal(x, y),
            ours("gbc", *of_features, dims=None, covariance="diagonal"),
        ),
        "H-score": (lambda: obvious.h_score(x, y), ours("h_score", *of_features)),
        "NCE": (lambda: obvious.nce(p, y), ours("nce", "source_probabilities", "labels")),
        "LEEP": (lambda: obvious.leep(p, y), ours("leep", "source_probabilities", "labels")),
        "PARC": (lambda: obvious.parc(x, y, 32), ours("parc", *of_features)),
        "LFC": (lambda: obvious.lfc(x, y), ours("lfc", *of_features)),
        "ETran, energy": (
            lambda: obvious.etran_energy(logits),
            ours("etran_energy", "source_logits"),
        ),
    }


def timed(function: Callable[[], Any], repeat: int) -> tuple[float, Any]:
    """Fewest seconds of processor time of some runs, and the last value."""
    best, value = float("inf"), None
    for _ in range(repeat):
        started = time.process_time()
        value = function()
        best = min(best, time.process_time() - started)
    return best, value


def needed(name: str, arrays: Arrays) -> dict[str, Any]:
    """The arrays that an estimator reads."""
    return {need: arrays[need] for need in estimators()[name].needs}


def beside_plain(arrays: Arrays, repeat: int, only: str) -> None:
    """Print each estimator beside the plain version of its formula."""
    print(f"{'':24}{'plain s':>10}{'ours s':>10}{'ratio':>8}{'apart':>11}")
    for label, (plain, ours) in pairs(arrays).items():
        if only.lower() in label.lower():
            fast, value = timed(ours, repeat + 2)
            slow, expected = timed(plain, repeat)
            print(f"{label:24}{slow:10.3f}{fast:10.3f}{slow / fast:8.1f}{abs(value - expected):11.1e}", flush=True)


def together_and_alone(arrays: Arrays, repeat: int) -> None:
    """Print the seconds of each estimator called alone, of their sum, and of all from shared sums."""
    print(f"\n{'alone':24}{'s':>10}")
    alone = 0.0
    for name in NAMES:
        seconds, _ = timed(lambda name=name: score(name, **needed(name, arrays)), repeat)
        alone += seconds
        print(f"{name:24}{seconds:10.3f}", flush=True)
    together, _ = timed(lambda: scores(NAMES, Inputs(**arrays)), repeat)
    print(f"{'all, one by one':24}{alone:10.3f}")
    print(f"{'all, from shared sums':24}{together:10.3f}{together / alone:8.2f} of it")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=4000)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--source-classes", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--only", default="", help="part of a label: only the estimators beside their plain versions")
    parser.add_argument("--iterative", action="store_true")
    given = parser.parse_args()
    arrays = make_arrays(given.examples, given.width, given.classes, given.source_classes)
    # What the first calls import is no part of any score.
    small = make_arrays(60, 8, 3, 5)
    for name, options in (*((name, {}) for name in NAMES), *ITERATIVE):
        score(name, **small, **options)
    print(f"N = {given.examples}, D = {given.width}, C = {given.classes}, Cs = {given.source_classes}")
    beside_plain(arrays, given.repeat, given.only)
    if not given.only:
        together_and_alone(arrays, given.repeat)
    for name, options in ITERATIVE if given.iterative else ():
        seconds, _ = timed(lambda name=name, options=options: score(name, **needed(name, arrays), **options), 1)
        print(f"{name + ' ' + str(options):40}{seconds:8.3f}", flush=True)


if __name__ == "__main__":
    main()
