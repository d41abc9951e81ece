"""Sums and differences of means whose values come in groups: runs of one group are not independent of each other.

The variance is that of Liang and Zeger (1986): residuals are summed within a group before they are squared, times
G / (G - 1) for few groups. For one mean over groups of equal size it is the variance of the group means over G, so the
interval is Student's t over groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_RESOLVED = 1e-12  # a smaller error says that the groups show none, not that there is none


@dataclass(frozen=True, eq=False)
class Term:
    """One mean with its sign (or any factor): ``values`` float [n] and the ``groups`` [n] they belong to."""

    factor: float
    values: np.ndarray
    groups: np.ndarray


@dataclass(frozen=True)
class Estimate:
    """A sum of means: ``low`` and ``high`` are NaN, with a ``reason``, where the interval is not estimable.

    ``groups``: the fewest groups behind one of the means; ``runs``: values behind the first mean.
    """

    value: float
    low: float
    high: float
    groups: int
    runs: int
    reason: str = ""

    @property
    def half(self) -> float:
        """Half the width of the interval."""
        return (self.high - self.low) / 2


MISSING = Estimate(float("nan"), float("nan"), float("nan"), 0, 0, "no value")


def sum_of_means(terms: Sequence[Term], level: float = 0.95) -> Estimate:
    """Add up means, each times its factor, with an interval over groups.

    Degrees of freedom are those of the mean with the fewest groups, which is cautious where the others have more.
    """
    if not terms or any(not len(term.values) for term in terms):
        return MISSING
    from scipy import stats

    value = float(sum(term.factor * term.values.mean() for term in terms))
    fewest = min(len(np.unique(term.groups)) for term in terms)
    runs = len(terms[0].values)
    if fewest < 2:
        return Estimate(value, float("nan"), float("nan"), fewest, runs, "one group")
    names, codes = np.unique(np.concatenate([term.groups for term in terms]), return_inverse=True)
    influence = np.zeros(len(names))
    start = 0
    for term in terms:
        own = codes[start : start + len(term.values)]
        start += len(term.values)
        residuals = term.factor * (term.values - term.values.mean()) / len(term.values)
        influence += np.bincount(own, weights=residuals, minlength=len(names))
    error = float(np.sqrt((influence**2).sum() * fewest / (fewest - 1)))
    if error < _RESOLVED:
        return Estimate(value, float("nan"), float("nan"), fewest, runs, "groups do not vary")
    half = float(stats.t.ppf((1 + level) / 2, fewest - 1)) * error
    return Estimate(value, value - half, value + half, fewest, runs)
