"""Seconds of all scores of features on a GPU beside the processor, at the size of a large target.

    python tests/benchmarks/estimators_device.py [--examples 50000] [--width 2048] [--classes 100] [--device cuda]

For the processor and for the device: seconds of each score, called one after the other on one set of inputs, so that
the first that needs a sum pays for it; their total; and how far the values are apart. Without a GPU it says so and
measures the processor alone.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np  # the folder must be known before what follows

from harness.estimators import Inputs, score  # the folder must be known before

NAMES = ("logme", "h_score", "h_score_regularised", "transrate", "gbc", "sfda", "nce", "leep")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=50_000)
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--source-classes", type=int, default=1000)
    parser.add_argument("--device", default="cuda")
    given = parser.parse_args()
    arrays = make_arrays(given.examples, given.width, given.classes, given.source_classes)
    devices: list[str | None] = [None]
    if is_there(given.device):
        devices.append(given.device)
    else:
        print(f"there is no device {given.device}: the processor alone is measured")
    measured = {device: measure(arrays, device) for device in devices}
    for name in NAMES:
        print(line(name, [measured[device][name] for device in devices]))
    totals = [sum(seconds for seconds, _ in measured[device].values()) for device in devices]
    print("all: " + ", ".join(f"{seconds:.2f} s" for seconds in totals))


def is_there(device: str) -> bool:
    """Say whether torch can use a device; a first call there, which takes long, is made here."""
    import torch

    try:
        return bool(torch.linalg.eigh(torch.eye(4, dtype=torch.float64, device=device))[0].sum() == 4)
    except (RuntimeError, AssertionError):
        return False


def make_arrays(examples: int, width: int, classes: int, source_classes: int) -> dict[str, Any]:
    """Gaussian classes, and logits that lean on the class."""
    draw = np.random.default_rng(0)
    labels = draw.permutation(np.arange(examples) % classes)
    features = draw.normal(size=(examples, width)) + 0.1 * draw.normal(size=(classes, width))[labels]
    logits = draw.normal(size=(examples, source_classes)) + draw.normal(size=(classes, source_classes))[labels]
    return {"features": features, "labels": labels, "source_logits": logits}


def measure(arrays: dict[str, Any], device: str | None) -> dict[str, tuple[float, float]]:
    """Seconds and value of each score."""
    inputs = Inputs(**arrays, device=device)
    found = {}
    for name in NAMES:
        start = time.perf_counter()
        value = score(name, inputs)
        found[name] = time.perf_counter() - start, value
    return found


def line(name: str, both: list[tuple[float, float]]) -> str:
    """Seconds on the processor and on the device, and the relative difference of the values."""
    text = f"{name:22}" + "".join(f"{seconds:9.3f} s" for seconds, _ in both)
    if len(both) < 2:
        return text
    (_, here), (_, there) = both
    return f"{text}   apart {abs(here - there) / max(abs(here), 1e-300):.1e}"


if __name__ == "__main__":
    main()
