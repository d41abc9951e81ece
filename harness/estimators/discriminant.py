"""Linear discriminant analysis with a shrunk covariance: the part that SFDA and ETran share."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from harness.errors import HarnessError
from harness.estimators.positive import solved

if TYPE_CHECKING:
    from harness.estimators.arrays import Floats
    from harness.estimators.scorers import Variant
    from harness.estimators.statistics import Statistics

STRENGTH: Final = 5.0
LEAST: Final = 1e-10


def adaptive_shrinkage(statistics: Statistics, variant: Variant = "exact") -> float:
    """exp(-5 s), at least 1e-10, s the largest eigenvalue of the covariance within classes.

    released: s by three double power steps from the row sums, which may still be short of it.
    """

    def make() -> float:
        covariance = statistics.within / statistics.examples
        largest = _power_steps(covariance) if variant == "released" else _largest(covariance)
        return max(math.exp(-STRENGTH * largest), LEAST)

    return statistics.once(("shrinkage", variant), make, within=True)


def _power_steps(matrix: Floats) -> float:
    import numpy as np

    x = matrix.sum(axis=1)
    y = x
    for _ in range(3):
        y = matrix @ x
        y = y / (np.linalg.norm(y) or 1.0)
        x = matrix @ y
        x = x / (np.linalg.norm(x) or 1.0)
    return float(x @ matrix @ y)


def _largest(matrix: Floats) -> float:
    import numpy as np
    from scipy.linalg import eigvalsh
    from scipy.sparse.linalg import eigsh

    if len(matrix) <= 64:
        return float(eigvalsh(matrix, check_finite=False)[-1])
    start = np.random.default_rng(0).normal(size=len(matrix))
    return float(eigsh(matrix, k=1, v0=start, return_eigenvectors=False)[0]) if matrix.any() else 0.0


def posterior(statistics: Statistics, shrinkage: float, name: str) -> Floats:
    """p(class | x) [N, C] of Gaussians with one covariance, in the order of the statistics.

    The covariance is (1 - shrinkage) W + shrinkage tr(W) / D, W that within classes with divisor N; priors are the
    shares of the classes. C solves with Cholesky's factors take the place of the generalised eigenproblem, since its
    V V^T is the inverse. Raises HarnessError when examples are at their class's mean throughout.
    """
    if not statistics.residuals.any():
        raise HarnessError(f"{name}: the features do not vary within any class, so that they have no covariance")
    return statistics.once(("posterior", shrinkage), lambda: _posterior(statistics, shrinkage))


def _posterior(statistics: Statistics, shrinkage: float) -> Floats:
    import numpy as np

    covariance = statistics.within / statistics.examples
    level = float(np.trace(covariance)) / statistics.width
    shrunk = (1 - shrinkage) * covariance
    shrunk[np.diag_indices(statistics.width)] += shrinkage * level
    means = statistics.deviations
    weights = solved(shrunk, means.T, floor=shrinkage * level)
    return class_posterior(statistics, weights)


def class_posterior(statistics: Statistics, weights: Floats) -> Floats:
    """Posterior [N, C] from weights [D, C] = covariance^-1 (mu_c - mu): a shift by mu changes nothing."""
    import numpy as np
    from scipy.special import softmax

    own = statistics.deviations @ weights
    biases = np.log(statistics.shares) - np.diag(own) / 2
    scores = statistics.residuals @ weights
    for label, rows in enumerate(statistics.slices()):
        scores[rows] += own[label] + biases
    result: Floats = softmax(scores, axis=1)
    return result


def of_own_class(values: Floats, statistics: Statistics) -> Floats:
    """The entry of each example's own class, [N], of values [N, C] in the order of the statistics."""
    import numpy as np

    own: Floats = values[np.arange(statistics.examples), statistics.ordered_labels]
    return own
