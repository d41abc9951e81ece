"""Synthetic outcome frames with the columns that the store gives, and planned trials to go with them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

COLUMNS = {
    "study": "demo",
    "role": "outcome",
    "baseline": None,
    "parent": None,
    "source": None,
    "target": "a",
    "backbone": "mlp",
    "method": "probe",
    "seed": 0,
    "source_seed": None,
    "split": "test",
    "metric": "accuracy",
    "value": None,
    "n_eval": 100,
    "step": None,
    "status": "ok",
    "flags": "",
    "reason": None,
    "device": "cpu",
    "threads": 1,
    "width": 8,
    "precision": "float32",
    "seconds": 0.1,
    "memory_bytes": 1,
}


def _frame(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """A frame of outcome rows; what a row does not say has a usual value."""
    full = []
    for number, row in enumerate(rows):
        entry = {"trial_id": f"t{number}", **COLUMNS, **row}
        entry.setdefault("task", entry["target"])
        entry.setdefault("key", f"k{entry['trial_id']}")
        if entry["value"] is None:
            entry |= {"task": None, "split": None, "metric": None}
        full.append(entry)
    return pd.DataFrame(full)


@pytest.fixture
def frame() -> Callable[[Sequence[Mapping[str, Any]]], pd.DataFrame]:
    return _frame


@pytest.fixture
def grid_frame() -> Callable[..., pd.DataFrame]:
    """A full grid: every source on every target for every method and seed, and a baseline for every target."""

    def make(
        tasks: Sequence[str] = ("a", "b", "c", "d", "e"),
        methods: Sequence[str] = ("probe", "tune"),
        seeds: Sequence[int] = (0, 1, 2),
        draw: int = 0,
        **more: Any,
    ) -> pd.DataFrame:
        rng = np.random.default_rng(draw)
        affinity = rng.normal(0.0, 0.08, (len(tasks), len(tasks)))
        difficulty = rng.uniform(0.4, 0.7, len(tasks))
        rows: list[dict[str, Any]] = []
        for m, method in enumerate(methods):
            for (j, target), seed in itertools.product(enumerate(tasks), seeds):
                own = difficulty[j] + rng.normal(0, 0.01)
                shared = {"target": target, "method": method, "seed": seed, **more}
                rows.append({**shared, "role": "baseline", "baseline": "own", "value": own})
                for i, source in enumerate(tasks):
                    value = own + affinity[i, j] + 0.02 * m + rng.normal(0, 0.005)
                    rows.append({**shared, "source": source, "source_seed": seed, "value": value})
        return _frame(rows)

    return make


@pytest.fixture
def trials_of() -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Planned trials of the rows of a frame: done where there is a value, else with the row's status as state."""

    def make(frame: pd.DataFrame) -> pd.DataFrame:
        rows = frame.drop_duplicates("trial_id")
        states = np.where(rows["value"].notna(), "done", rows["status"].astype(str))
        return rows.drop(columns=["task", "split", "metric", "value", "n_eval", "step"]).assign(state=states)

    return make
