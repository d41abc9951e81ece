"""What copying layers does: accuracy by number of copied layers, the drop and its two parts, the gain of fine-tuning.

base - BnB is what is lost because layers that had adapted to each other are separated, BnB - AnB what is lost because
the copied layers are specific to another task (Yosinski et al. 2014, section 3). Every number comes with an interval
over independent splits, pooled (means over all runs) or paired (every run against its own target's and seed's base).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from analysis.clustered import Estimate, Term, sum_of_means
from analysis.layer_runs import LayerRuns
from analysis.treatments import SELF, TRANSFER

PARTS = ("drop", "co-adaptation", "specificity")
TUNED_SELF, TUNED_TRANSFER = f"{SELF}+", f"{TRANSFER}+"


@dataclass(frozen=True)
class Point:
    """One treatment at one number of copied layers: its mean and its difference from the base."""

    layers: float
    value: Estimate
    pooled: Estimate
    paired: Estimate
    flagged: int

    def gain(self, paired: bool) -> Estimate:
        """The difference from the base, in one of the two readings."""
        return self.paired if paired else self.pooled


def curve(data: LayerRuns, treatment: str, level: str) -> list[Point]:
    """The points of one treatment on one level, by number of copied layers."""
    found = []
    for n in sorted(data.of(treatment, level)["layers"].unique()):
        rows = data.of(treatment, level, float(n))
        found.append(_point(float(n), rows, data.bases(level)))
    return found


def control(data: LayerRuns, name: str, level: str) -> Point | None:
    """A further baseline as one point without copied layers; None when the level lacks it."""
    rows = data.controls[name]
    rows = rows.loc[rows["level"] == level]
    return _point(0.0, rows, data.bases(level)) if len(rows) else None


def _point(n: float, rows: pd.DataFrame, base: pd.DataFrame) -> Point:
    return Point(n, sum_of_means([_values(rows)]), sum_of_means([_values(rows), _values(base, -1.0)]),
                 sum_of_means([_gains(rows)]), int((rows["flags"] != "").sum()))  # fmt: skip


def drop_parts(data: LayerRuns, level: str, n: float, paired: bool) -> dict[str, Estimate]:
    """The drop of the frozen transfer at ``n`` copied layers, and its two parts, positive where something is lost."""
    own, other = data.of(SELF, level, n), data.of(TRANSFER, level, n)
    if paired:
        return {
            "drop": sum_of_means([_gains(other, -1.0)]),
            "co-adaptation": sum_of_means([_gains(own, -1.0)]),
            "specificity": sum_of_means([_gains(own), _gains(other, -1.0)]),
        }
    base = data.bases(level)
    return {
        "drop": sum_of_means([_values(base), _values(other, -1.0)]),
        "co-adaptation": sum_of_means([_values(base), _values(own, -1.0)]),
        "specificity": sum_of_means([_values(own), _values(other, -1.0)]),
    }


@dataclass(frozen=True)
class Boost:
    """The gain of AnB+ over a range of copied layers, over the base and over BnB+, in one reading."""

    low: int
    high: int
    over_base: Estimate
    over_self: Estimate
    runs: int
    self_runs: int


def boost(data: LayerRuns, level: str, bounds: tuple[int, int], paired: bool) -> Boost:
    """The gain of AnB+ over all its runs in a range (unweighted over runs, as table 1 of the paper has it)."""
    low, high = bounds
    other = data.of(TUNED_TRANSFER, level, low, high)
    own = data.of(TUNED_SELF, level, low, high)
    if paired:
        over_base, over_self = sum_of_means([_gains(other)]), sum_of_means([_gains(other), _gains(own, -1.0)])
    else:
        base = data.bases(level)
        over_base = sum_of_means([_values(other), _values(base, -1.0)])
        over_self = sum_of_means([_values(other), _values(own, -1.0)])
    return Boost(low, high, over_base, over_self, len(other), len(own))


def standard_ranges(layers: Sequence[float]) -> list[tuple[int, int]]:
    """The ranges of the paper's table 1, from 1, 3 and 5 layers to all, as far as the study has them."""
    most = int(max(layers))
    return [(low, most) for low in (1, 3, 5) if low <= most]


def unbalanced(data: LayerRuns, level: str) -> list[str]:
    """Sentences on treatments that rest on different numbers of runs, or on different targets."""
    kinds = [t for t in data.treatments if len(data.of(t, level))]
    counts = {t: data.of(t, level).groupby("layers").size() for t in kinds}
    targets = {t: set(data.of(t, level)["target"]) for t in kinds}
    cells = {(t, n): frozenset(r["target"]) for t in kinds for n, r in data.of(t, level).groupby("layers")}
    found = []
    if len({int(n) for c in counts.values() for n in c}) > 1:
        parts = [f"{t} {_span(c)} ({len(targets[t])} targets)" for t, c in counts.items()]
        found.append(f"Unbalanced: runs behind one number of layers: {', '.join(parts)}.")
    if len(set(cells.values())) > 1:
        apart = [f"{a} and {b}" for k, a in enumerate(kinds) for b in kinds[k + 1 :] if not targets[a] & targets[b]]
        worst = f"; {', '.join(apart)} share none" if apart else ""
        found.append(
            f"Not all treatments have the same targets{worst}: pooled differences mix in how hard the targets are, "
            "paired ones do not."
        )
    return found


def _span(counts: pd.Series) -> str:
    low, high = int(counts.min()), int(counts.max())
    return str(low) if low == high else f"{low} to {high}"


def _values(rows: pd.DataFrame, factor: float = 1.0) -> Term:
    return Term(factor, rows["value"].to_numpy(dtype=float), rows["group"].to_numpy(dtype=object))


def _gains(rows: pd.DataFrame, factor: float = 1.0) -> Term:
    known = rows.loc[rows["gain"].notna()]
    return Term(factor, known["gain"].to_numpy(dtype=float), known["group"].to_numpy(dtype=object))
