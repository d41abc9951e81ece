"""SFDA, self-challenging Fisher discriminant analysis (Shao et al. 2022, arXiv 2207.03036)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import HarnessError
from harness.estimators.discriminant import adaptive_shrinkage, of_own_class, posterior
from harness.estimators.inputs import Inputs
from harness.estimators.scorers import Variant, scorer
from harness.estimators.statistics import Statistics

if TYPE_CHECKING:
    from harness.estimators.arrays import Floats


@scorer(
    "sfda",
    needs=("features", "labels"),
    classes=2,
    cost="N D^2 once more, D^3 / 3 and N D C twice",
    paper="Shao et al. 2022, arXiv 2207.03036",
)
def sfda(inputs: Inputs, *, shrinkage: float | None = None, variant: Variant = "exact") -> float:
    """Mean posterior of the true class after a second, harder discriminant analysis; between 0 and 1.

    A first regularised discriminant analysis gives each example a confidence c: the softmax of its posteriors, at the
    true class. Then x <- c x + (1 - c) (mean of the other classes' means), and the analysis is repeated with the same
    shrinkage: exp(-5 s), at least 1e-10, s the largest eigenvalue of the covariance within classes, unless given.
    Higher is better. It comes to 1 for every network when examples are few against features.

    released: s by three double power steps.
    """
    return sfda_of(inputs.statistics, shrinkage, variant)


def sfda_of(statistics: Statistics, shrinkage: float | None = None, variant: Variant = "exact") -> float:
    """SFDA of statistics."""
    if shrinkage is not None and not 0 < shrinkage <= 1:
        raise HarnessError(f"sfda: shrinkage must be above 0 and at most 1, not {shrinkage}")
    strength = adaptive_shrinkage(statistics, variant) if shrinkage is None else shrinkage
    mixed = Statistics.of(_mixed(statistics, posterior(statistics, strength, "sfda")), statistics.ordered_labels)
    return float(of_own_class(posterior(mixed, strength, "sfda"), mixed).mean())


def _mixed(statistics: Statistics, probabilities: Floats) -> Floats:
    """Features less the overall mean, each drawn towards the other classes as far as it was not recognised, [N, D]."""
    import numpy as np
    from scipy.special import softmax

    confidence = of_own_class(softmax(probabilities, axis=1), statistics)
    means = statistics.deviations
    others = (means.sum(axis=0) - means) / (statistics.classes - 1)
    result = statistics.residuals * confidence[:, None]
    for label, rows in enumerate(statistics.slices()):
        own = confidence[rows, None]
        result[rows] += own * means[label] + (1 - own) * others[label]
    return np.ascontiguousarray(result)
