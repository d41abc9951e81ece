"""Layer transfers for tests: the published runs, and made-up ones whose effects are known."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.import_files import read_import
from analysis.layer_runs import LayerRuns, layer_runs

PUBLISHED = Path(__file__).parents[2] / "studies" / "published" / "yosinski2014.yaml"
RANDOM = "random halves"


@functools.cache
def published_frame() -> pd.DataFrame:
    """The 148 published runs as outcomes."""
    return read_import(PUBLISHED).frame


@functools.cache
def published() -> LayerRuns:
    """The published runs of layer transfer."""
    return layer_runs(
        published_frame(),
        relative_to="base",
        similar_by="group",
        filter={"method": "layer_transfer"},
        title="published",
    )


EFFECTS = {"BnB": -0.01, "AnB": -0.03, "BnB+": 0.01, "AnB+": 0.02, "random": -0.2}


def half(split: object, side: str) -> str:
    """The name of one half."""
    return f"half({split}, {side})"


def attributes(splits: Sequence[object] = (0, 1, 2)) -> dict[str, dict[str, Any]]:
    """What halves say about themselves."""
    return {
        half(s, side): {"of": "whole", "split": s, "side": side, "parting": "named" if isinstance(s, str) else "random"}
        for s in splits
        for side in "ab"
    }


def outcomes(
    splits: Sequence[object] = (0, 1, 2), seeds: Sequence[int] = (0, 1), layers: Sequence[int] = (1, 2, 3),
    noise: float = 0.01, effects: Mapping[str, float] | None = None, draw: int = 0, crossed: bool = True,
) -> pd.DataFrame:  # fmt: skip
    """A balanced layer transfer between halves, as the store gives it.

    The effect of a treatment grows with the layers: ``effects[treatment] * layers``. With ``crossed`` the base has a
    row for each number of layers and for frozen or not, all of one value.
    """
    rng = np.random.default_rng(draw)
    effects = EFFECTS if effects is None else effects
    rows: list[dict[str, Any]] = []
    for s, side, seed in itertools.product(splits, "ab", seeds):
        target, other = half(s, side), half(s, "b" if side == "a" else "a")
        base = 0.8 + 0.02 * rng.normal() + noise * rng.normal()
        shared = {"target": target, "seed": seed, "method": "layer_transfer"}
        copies = list(itertools.product(layers, (True, False))) if crossed else [(None, None)]
        for n, frozen in copies:
            rows.append({**shared, "role": "baseline", "baseline": "base", "source": None, "source_seed": None,
                         "layers": n, "frozen": frozen, "value": base, "key": f"base{target}{seed}"})  # fmt: skip
        for treatment, n in itertools.product(effects, layers):
            source = {"B": target, "A": other, "r": "untrained"}[treatment[0]]
            value = base + effects[treatment] * n + noise * rng.normal()
            rows.append({**shared, "source": source, "source_seed": seed, "layers": n, "value": value,
                         "frozen": not treatment.endswith("+")})  # fmt: skip
    return completed(rows)


def completed(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Outcome rows with all columns of the store."""
    usual = {"study": "demo", "role": "outcome", "baseline": None, "backbone": "cnn", "split": "test", "status": "ok",
             "metric": "accuracy", "n_eval": 100, "flags": "", "reason": None, "device": "cpu"}  # fmt: skip
    full = []
    for number, row in enumerate(rows):
        entry = {"trial_id": f"t{number}", **usual, **row}
        full.append({"key": f"k{number}", "task": entry["target"], **entry})
    return pd.DataFrame(full)
