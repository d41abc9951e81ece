"""Outcomes and planned trials of a results folder as data frames."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def load_outcomes(results: str | Path, study: str | None = None) -> pd.DataFrame:
    """Every outcome of ``study`` (of all studies when None) as one long frame.

    One row per trial x evaluation task x split x metric. A trial that failed, diverged or was skipped has one row
    whose value is null, with its status and reason; a planned trial without any record has none.

    Raises:
        HarnessError: when ``results`` holds no store, or no study of that name.
    """
    from harness.store import outcomes

    frame: pd.DataFrame = outcomes(Path(results), study).to_pandas()
    return frame


def load_trials(results: str | Path, study: str | None = None) -> pd.DataFrame:
    """One row per planned trial, with ``state`` (done, failed, skipped, diverged, pending, excluded) and ``reason``.

    Raises:
        HarnessError: when ``results`` holds no store, or no study of that name.
    """
    from harness.store import trial_states

    frame: pd.DataFrame = trial_states(Path(results), study).to_pandas()
    return frame
