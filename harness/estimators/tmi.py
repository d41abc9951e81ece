"""TMI, transferability by intra-class feature variance (Xu and Kang 2023, arXiv 2308.05986)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from harness.errors import HarnessError
from harness.estimators.inputs import Inputs
from harness.estimators.scorers import Variant, scorer

if TYPE_CHECKING:
    from harness.estimators.arrays import Floats

PIECE: Final = 1024


@scorer(
    "tmi",
    needs=("features", "labels"),
    cost="sum n_c^2 D",
    paper="Xu and Kang 2023, arXiv 2308.05986",
)
def tmi(inputs: Inputs, *, k: int = 3, min_distance: float = 1.0, variant: Variant = "exact") -> float:
    """Conditional entropy H(F|y) in nats, by the estimator of Kozachenko and Leonenko in each class.

    h(F_c) = psi(n_c) - psi(k) + D / n_c sum_i ln(2 r_i), r_i the distance to the k-th nearest in the maximum norm, at
    least `min_distance`; the score is sum_c p_c h(F_c). The paper takes *more* spread within classes as better, so
    higher is better, contrary to what the discriminant scores reward. Classes of k examples or fewer have no such
    distance: they are left out and the others' shares p_c are taken anew. Raises HarnessError when none is left.

    released: divides by the number of classes as well; a class of one example counts as entropy 0 and one of up to k
    is dropped, each without the shares being taken anew.
    """
    import numpy as np

    statistics = inputs.statistics
    if k < 1 or min_distance <= 0:
        raise HarnessError(f"tmi: k and min_distance must be above 0, not {k} and {min_distance}")
    counts = statistics.counts
    fit = np.flatnonzero(counts > k)
    if not len(fit):
        raise HarnessError(f"tmi: no class has more than k = {k} examples")
    slices = statistics.slices()
    entropies = np.array([_entropy(statistics.residuals[slices[label]], k, min_distance) for label in fit])
    if variant == "released":
        return float((entropies * statistics.shares[fit]).sum() / (len(fit) + (counts == 1).sum()))
    return float((entropies * counts[fit]).sum() / counts[fit].sum())


def _entropy(rows: Floats, k: int, min_distance: float) -> float:
    """Entropy of rows [n, D], n above k. A k-d tree is of no use in hundreds of dimensions."""
    import numpy as np
    from scipy.spatial.distance import cdist, pdist, squareform
    from scipy.special import digamma

    examples, width = rows.shape
    if examples <= PIECE:
        pieces = [squareform(pdist(rows, "chebyshev"), checks=False)]
    else:
        pieces = [cdist(rows[start : start + PIECE], rows, "chebyshev") for start in range(0, examples, PIECE)]
    # The nearest of all is the example itself.
    nearest = np.concatenate([np.partition(piece, k, axis=1)[:, k] for piece in pieces])
    logs = np.log(2 * np.maximum(nearest, min_distance)).sum()
    return float(digamma(examples) - digamma(k) + width * logs / examples) if math.isfinite(logs) else math.nan
