"""N-LEEP: LEEP on the components of a Gaussian mixture (Li et al. 2021, arXiv 2011.11200)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import HarnessError
from harness.estimators.inputs import Inputs
from harness.estimators.leep import empirical_prediction
from harness.estimators.scorers import Variant, scorer

if TYPE_CHECKING:
    from harness.estimators.arrays import Floats
    from harness.estimators.statistics import Statistics


@scorer(
    "nleep",
    needs=("features", "labels"),
    cost="EM steps x N x K x d^2 for K components in d dimensions: by far the slowest",
    paper="Li et al. 2021, arXiv 2011.11200",
)
def nleep(
    inputs: Inputs,
    *,
    components_per_class: float = 5.0,
    components: int | None = None,
    explained: float = 0.8,
    seed: int = 0,
    variant: Variant = "exact",
) -> float:
    """LEEP with the responsibilities of a Gaussian mixture in place of a source network's probabilities.

    Features are projected on the principal components that hold a share `explained` of the variance; the mixture has
    full covariances and `components` components, by default `components_per_class` times the classes (rounded). Its
    start is drawn from `seed` (the releases use none, so that no run of theirs can be repeated). Higher is better.

    released: the mean prediction without its logarithm, as the SFDA family has it.
    """
    return nleep_of(inputs.statistics, components_per_class, components, explained, seed, variant)


def nleep_of(
    statistics: Statistics,
    components_per_class: float = 5.0,
    components: int | None = None,
    explained: float = 0.8,
    seed: int = 0,
    variant: Variant = "exact",
) -> float:
    """N-LEEP of statistics. Raises HarnessError for constant features, and for more components than examples."""
    import numpy as np
    from sklearn.mixture import GaussianMixture

    count = max(1, round(components_per_class * statistics.classes)) if components is None else components
    if not 1 <= count <= statistics.examples:
        raise HarnessError(
            f"nleep: {count} components cannot be fitted to {statistics.examples} examples: give components"
        )
    low = low_dimensional(statistics, explained)
    mixture = GaussianMixture(n_components=count, random_state=seed).fit(low)
    labels = np.empty(statistics.examples, dtype=np.int64)
    labels[statistics.order] = statistics.ordered_labels
    predicted = empirical_prediction(mixture.predict_proba(low), labels)
    return float(predicted.mean() if variant == "released" else np.log(predicted).mean())


def low_dimensional(statistics: Statistics, explained: float) -> Floats:
    """The fewest principal components [N, d] that hold more than a share of the variance, in the examples' order."""
    import numpy as np

    values = statistics.principal.values
    if len(values) == 0:
        raise HarnessError("nleep: the features are constant")
    if not 0 < explained <= 1:
        raise HarnessError(f"nleep: explained must be above 0 and at most 1, not {explained}")
    dims = int(np.searchsorted(np.cumsum(values) / values.sum(), explained, side="right")) + 1
    small = statistics.projected(dims)
    low: Floats = np.empty_like(small.residuals)
    low[small.order] = small.all_centred()
    return low
