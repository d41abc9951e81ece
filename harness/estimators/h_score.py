"""H-score (Bao et al. 2019) and its shrunk form (Ibrahim, Ponomareva and Mazumder 2021, arXiv 2110.06893)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.estimators.inputs import Inputs
from harness.estimators.positive import solved, solved_if_regular
from harness.estimators.scorers import Variant, scorer

if TYPE_CHECKING:
    from harness.estimators.statistics import Statistics


@scorer(
    "h_score",
    needs=("features", "labels"),
    cost="D^3 / 3, or an eigendecomposition where the covariance is singular",
    paper="Bao et al. 2019, ICIP",
)
def h_score(inputs: Inputs, *, variant: Variant = "exact") -> float:
    """tr(pinv(cov F) cov(E[F|y])): how much of the features' variance lies between classes, each direction alike.

    Between 0 and min(D, C - 1). Higher is better. Constant features and one class give 0.

    released: google-research's stable_transfer multiplies the two matrices element by element before it takes the
    trace (with eigenvalues below 1e-5 of the largest left out), which may exceed the bound by far.
    """
    import numpy as np

    statistics = inputs.statistics
    if variant == "released":
        return _element_by_element(statistics)
    between = statistics.between_root
    if statistics.examples > statistics.width:
        inner = solved_if_regular(statistics.total, between.T)
        if inner is not None:
            return float((between.T * inner).sum())
    values, axes = statistics.principal
    return float((np.square(between @ axes) / values).sum())


def _element_by_element(statistics: Statistics) -> float:
    import numpy as np

    values, axes = statistics.principal
    kept = values > 1e-5 * values[0] if len(values) else np.zeros(0, dtype=bool)
    inverse = np.square(axes[:, kept]) @ (1 / values[kept])
    return float((inverse * np.square(statistics.between_root).sum(axis=0)).sum())


@scorer(
    "h_score_regularised",
    needs=("features", "labels"),
    cost="N D, D^3 / 3 and C D^2",
    paper="Ibrahim et al. 2021, arXiv 2110.06893",
)
def h_score_regularised(inputs: Inputs) -> float:
    """(1 - a) tr(cov_a^-1 cov(E[F|y])), cov_a = (1 - a) cov F + a tr(cov F) / D, shrunk as Ledoit and Wolf (2004) do.

    cov F has divisor N, cov(E[F|y]) divisor N - 1, as in the paper's code. Higher is better. Constant features give 0.
    """
    import numpy as np

    statistics = inputs.statistics
    examples, width = statistics.examples, statistics.width
    covariance = statistics.total / examples
    level = float(np.trace(covariance)) / width
    if level == 0 or examples < 2:
        return 0.0
    shrinkage = ledoit_wolf(statistics)
    shrunk = (1 - shrinkage) * covariance
    shrunk[np.diag_indices(width)] += shrinkage * level
    between = statistics.between_root
    inner = solved(shrunk, between.T, floor=shrinkage * level)
    return float((1 - shrinkage) * (between.T * inner).sum() / (examples - 1))


def ledoit_wolf(statistics: Statistics) -> float:
    """The shrinkage of Ledoit and Wolf (2004), between 0 and 1, from sum |x|^4 rather than D x D products."""
    import numpy as np

    examples, width = statistics.examples, statistics.width
    squared = float(np.square(statistics.total).sum()) / examples**2
    level = float(np.trace(statistics.total)) / (examples * width)
    noise = (statistics.fourth / examples - squared) / (width * examples)
    spread = squared / width - level**2
    # A covariance that is a multiple of one, as that of a single feature, is not changed by shrinking.
    if noise <= 0 or spread <= 1e-14 * level**2:
        return 0.0
    return float(min(noise / spread, 1.0))
