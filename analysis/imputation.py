"""What a failed, diverged or (on request) flagged trial counts as: left out, the worst measured value, or chance.

Leaving failures out flatters whatever fails; counting them as worst or as chance is the other reading. Reports show
both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from harness.errors import HarnessError, suggest

if TYPE_CHECKING:
    from analysis.build import Request

FailedReading = Literal["drop", "worst", "chance"]
READINGS: tuple[FailedReading, ...] = ("drop", "worst", "chance")
COUNTED = ("failed", "diverged")


def impute(
    measured: pd.DataFrame, rest: pd.DataFrame, flagged: pd.DataFrame, request: Request
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Move failed and diverged trials, and flagged ones that were dropped, to the measured rows with a stand-in value.

    They carry the flag ``failed_as_worst`` or ``failed_as_chance``. A column without any measured value has no worst
    one; its trials stay missing.

    Raises:
        HarnessError: for an unknown reading, or when the chance level of a target is not given.
    """
    if request.failed not in READINGS:
        raise HarnessError(
            f"Failed trials cannot be read as {request.failed!r}{suggest(str(request.failed), READINGS)}."
        )
    if request.failed == "drop":
        return measured, rest, flagged
    candidates = pd.concat([p for p in (rest.loc[rest["state"].isin(COUNTED)], flagged) if len(p)] or [rest.iloc[:0]])
    values = _worst(measured, candidates, request) if request.failed == "worst" else _chance(candidates, request)
    usable = candidates.loc[np.isfinite(values)]
    if usable.empty:
        return measured, rest, flagged
    stand_in = usable.assign(
        value=values[np.isfinite(values)],
        metric=request.metric,
        split=request.split,
        flags=f"failed_as_{request.failed}",
    )
    if "task" in stand_in.columns and "target" in stand_in.columns:
        stand_in["task"] = stand_in["target"]
    taken = set(stand_in["trial_id"])
    return (
        pd.concat([measured, stand_in.reindex(columns=measured.columns)], ignore_index=True),
        rest.loc[~rest["trial_id"].isin(taken)],
        flagged.loc[~flagged["trial_id"].isin(taken)],
    )


def _worst(measured: pd.DataFrame, candidates: pd.DataFrame, request: Request) -> np.ndarray:
    from analysis.build import better

    by_column = measured.groupby(request.cols)["value"]
    worst = by_column.min() if better(request.metric, request.higher_is_better) else by_column.max()
    return candidates[request.cols].map(worst).to_numpy(dtype=float)


def _chance(candidates: pd.DataFrame, request: Request) -> np.ndarray:
    if request.chance is None:
        raise HarnessError("failed='chance' needs the chance level: one number, or one for each target.")
    if not isinstance(request.chance, Mapping):
        return np.full(len(candidates), float(request.chance))
    targets = [str(t) for t in candidates["target"]]
    for target in targets:
        if target not in request.chance:
            raise HarnessError(f"No chance level is given for the target {target!r}{suggest(target, request.chance)}.")
    return np.array([float(request.chance[t]) for t in targets], dtype=float)
