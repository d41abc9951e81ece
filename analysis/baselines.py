"""Values relative to a declared baseline: which baseline rows belong to which outcome, and the three readings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from analysis.columns import NONE_LABEL, SEEDS, axes_of, group_codes, varying
from analysis.units import is_fraction
from harness.errors import HarnessError, suggest

How = Literal["difference", "relative_gain", "relative_error_reduction"]
Pairing = bool | Literal["target"]

# Axes that a baseline usually fixes to a value of its own (another method, no source at all).
_REPLACEABLE = ("source", "source_seed", "method")
PAIRING_TEXT = {
    True: "paired: same target, seed and other axes",
    "target": "each target's own baseline, mean over its seeds",
    False: "pooled: one baseline mean over targets and seeds",
}


@dataclass(frozen=True)
class Relative:
    """``rows``: the measured rows with ``value`` made relative and ``baseline_ids`` (tuples of trial ids) added;
    ``lacking``: the rows left out, whose ``state`` is "no baseline" or "undefined"; ``axes``: those paired on."""

    rows: pd.DataFrame
    lacking: pd.DataFrame
    axes: tuple[str, ...]


def baseline_rows(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """Rows of the declared baseline ``name``, failed ones included. Raises HarnessError when there are none."""
    known = declared_baselines(frame)
    if name in known:
        return frame.loc[(frame["role"] == "baseline") & (frame["baseline"] == name)]
    raise HarnessError(f"No outcome belongs to a baseline named {name!r}{suggest(name, known)}.")


def declared_baselines(frame: pd.DataFrame) -> list[str]:
    """Names of the baselines that have rows in ``frame``, sorted."""
    if "role" not in frame.columns or "baseline" not in frame.columns:
        return []
    return sorted(str(b) for b in frame.loc[frame["role"] == "baseline", "baseline"].dropna().unique())


def replaced_axes(outcomes: pd.DataFrame, baseline: pd.DataFrame, declared: Sequence[str] | None) -> set[str]:
    """Axes on which an outcome and its baseline need not agree.

    Those that no baseline row has, and those ``declared`` to be fixed by the baseline. When nothing is declared, a
    source or method is taken to be fixed if all baseline rows share one that no outcome has; anything less clear
    counts as an axis to pair on, so that a baseline that has not run yet is missed, not replaced by another.

    Args:
        outcomes, baseline: all textual rows of either role, before any filter.
    """
    replaced = set(declared or ())
    for axis in axes_of(baseline):
        theirs = set(baseline[axis])
        foreign = len(theirs) == 1 and not theirs & set(outcomes[axis])
        if theirs == {NONE_LABEL} or (declared is None and axis in _REPLACEABLE and foreign):
            replaced.add(axis)
    return replaced


def relative_to(
    measured: pd.DataFrame, baseline: pd.DataFrame, replaced: set[str], how: How, paired: Pairing, metric: str
) -> Relative:
    """Set every measured row against its baseline.

    Args:
        measured: textual outcome rows of one metric and split, with values.
        baseline: the baseline's rows of that metric and split, with values.
        replaced: axes on which the two need not agree (``replaced_axes``).
        how: ``difference`` v - b; ``relative_gain`` (v - b) / b; ``relative_error_reduction`` (v - b) / (1 - b).
        paired: True pairs on seed, target and all other shared axes; "target" averages the baseline over seeds;
            False pools it over seeds and targets.

    Raises:
        HarnessError: when more than one baseline value fits an outcome, or the reading makes no sense for the metric.
    """
    _check_reading(measured, baseline, how, metric)
    pooled: tuple[str, ...] = () if paired is True else SEEDS if paired == "target" else (*SEEDS, "target", "task")
    keys = [a for a in axes_of(baseline) if a in measured.columns and a not in replaced and a not in pooled]
    for axis, found in varying(baseline, keys, [a for a in axes_of(baseline) if a not in pooled]).items():
        raise HarnessError(
            f"The baseline has several values for one outcome because {axis!r} varies in it ({', '.join(found)})."
        )
    both = pd.concat([measured.reindex(columns=keys), baseline.reindex(columns=keys)])
    codes = group_codes(both, keys)
    means, ids = _by_code(baseline, codes[len(measured) :], int(codes.max(initial=-1)) + 1)
    own = codes[: len(measured)]
    values = reading(measured["value"].to_numpy(dtype=float), means[own], how)
    absent = np.isnan(means[own])
    state = np.where(absent, "no baseline", np.where(np.isfinite(values), "", "undefined"))
    rows = measured.assign(value=values, baseline_ids=ids[own], state=state)
    return Relative(rows.loc[state == ""], rows.loc[state != ""], tuple(keys))


def reading(value: np.ndarray, baseline: np.ndarray, how: How) -> np.ndarray:
    """The relative value, elementwise; NaN or infinite where it is undefined (a baseline of 0, or without error)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        if how == "difference":
            return np.asarray(value - baseline)
        if how == "relative_gain":
            return np.asarray((value - baseline) / baseline)
        return np.asarray((value - baseline) / (1.0 - baseline))


def _check_reading(measured: pd.DataFrame, baseline: pd.DataFrame, how: str, metric: str) -> None:
    if how not in ("difference", "relative_gain", "relative_error_reduction"):
        known = ("difference", "relative_gain", "relative_error_reduction")
        raise HarnessError(f"A matrix cannot be read as {how!r}{suggest(str(how), known)}.")
    values = np.concatenate([measured["value"].to_numpy(dtype=float), baseline["value"].to_numpy(dtype=float)])
    if how == "relative_error_reduction" and not is_fraction(metric, values):
        raise HarnessError(
            f"relative_error_reduction needs a metric bounded by 1, which {metric!r} is not known to be."
        )


def _by_code(baseline: pd.DataFrame, codes: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean value (NaN where none) and tuple of trial ids of the baseline rows of each of ``n`` codes."""
    values = baseline["value"].to_numpy(dtype=float)
    counts = np.bincount(codes, minlength=n)
    with np.errstate(invalid="ignore"):
        means = np.bincount(codes, weights=values, minlength=n) / np.where(counts == 0, np.nan, counts)
    ids = np.empty(n, dtype=object)
    collected: list[list[str]] = [[] for _ in range(n)]
    for code, trial in zip(codes, baseline["trial_id"], strict=True):
        collected[code].append(str(trial))
    for code, several in enumerate(collected):
        ids[code] = tuple(several)
    return np.asarray(means), ids
