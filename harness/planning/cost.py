"""What a plan will cost, learned from this store's own past runs of the same stage kinds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class PastRuns:
    """Past runs of one stage kind: their number, the mean and the sample variance of their seconds, and the bytes of
    artifacts that a run keeps on average (None when none kept any)."""

    n: int
    mean_seconds: float
    variance: float
    mean_bytes: float | None = None


@dataclass(frozen=True)
class Estimate:
    """Seconds of work with a 95 % prediction interval. ``unknown`` names the stage kinds without past runs."""

    seconds: float | None
    low: float | None
    high: float | None
    unknown: tuple[str, ...]


# Two-sided 95 % quantiles of Student's t for 1, 2, ... degrees of freedom; beyond the table the next lower entry is
# used, which errs towards wider intervals.
_T95 = {
    1: 12.706,
    2: 4.303,
    3: 3.182,
    4: 2.776,
    5: 2.571,
    7: 2.365,
    10: 2.228,
    15: 2.131,
    20: 2.086,
    30: 2.042,
    60: 2.0,
}


def estimate_seconds(needed: Mapping[str, int], past: Mapping[str, PastRuns]) -> Estimate:
    """Predict the total seconds of ``needed`` stage calls by kind.

    A sum of m new calls of a kind with n past runs of mean x and variance s2 is predicted as m x, with variance
    s2 (m + m^2 / n): that of the new calls and that of the mean itself. Kinds are taken as independent.
    """
    unknown = tuple(sorted(kind for kind, count in needed.items() if count and kind not in past))
    known = {kind: count for kind, count in needed.items() if count and kind in past}
    if unknown:
        return Estimate(None, None, None, unknown)
    total = sum(count * past[kind].mean_seconds for kind, count in known.items())
    variance = sum(past[kind].variance * (count + count**2 / past[kind].n) for kind, count in known.items())
    if any(past[kind].n < 2 for kind in known):
        return Estimate(total, None, None, ())
    freedom = min((past[kind].n - 1 for kind in known), default=1)
    half = _t95(freedom) * math.sqrt(variance)
    return Estimate(total, max(0.0, total - half), total + half, ())


def estimate_bytes(needed: Mapping[str, int], past: Mapping[str, PastRuns]) -> int | None:
    """Predict the bytes of artifacts that the ``needed`` calls will keep; None when a kind has no past runs."""
    if any(count and kind not in past for kind, count in needed.items()):
        return None
    return round(sum(count * (past[kind].mean_bytes or 0.0) for kind, count in needed.items() if count))


def _t95(freedom: int) -> float:
    return _T95[max(limit for limit in _T95 if limit <= max(1, freedom))]
