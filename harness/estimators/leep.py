"""LEEP, log expected empirical prediction (Nguyen et al. 2020, arXiv 2002.12462)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.estimators.inputs import Inputs
from harness.estimators.scorers import Variant, scorer

if TYPE_CHECKING:
    from harness.estimators.arrays import Floats, Integers


@scorer(
    "leep",
    needs=("source_probabilities", "labels"),
    cost="N Cs",
    paper="Nguyen et al. 2020, arXiv 2002.12462",
)
def leep(inputs: Inputs, *, variant: Variant = "exact") -> float:
    """Mean log of the empirical prediction of the true class; at most 0, in nats.

    With P [N, Cs] the source's probabilities and p(y|z) their joint frequency with the labels over its column sums:
    mean_i ln sum_z p(y_i|z) P_iz. Higher is better. One class gives 0.

    released: the code of the SFDA, PED, NCTI and ETran papers leaves the logarithm out and averages the prediction
    itself, between 0 and 1. It ranks differently and is on another scale than LEEP elsewhere.
    """
    import numpy as np

    predicted = empirical_prediction(inputs.source_probabilities, inputs.labels)
    return float(predicted.mean() if variant == "released" else np.log(predicted).mean())


def conditional(probabilities: Floats, labels: Integers) -> Floats:
    """p(y|z) [C, Cs]: shares of the labels 0..C-1 in each source class; 0 in source classes that never get any."""
    import numpy as np
    from scipy.sparse import csr_array

    counts = np.bincount(labels)
    ends = np.concatenate([[0], np.cumsum(counts)])
    members = csr_array((np.ones(len(labels)), np.argsort(labels, kind="stable"), ends), (len(counts), len(labels)))
    joint: Floats = members @ probabilities
    marginal = joint.sum(axis=0)
    return joint / np.where(marginal > 0, marginal, 1)


def empirical_prediction(probabilities: Floats, labels: Integers) -> Floats:
    """The prediction of each example's own class, [N]: sum_z p(y_i|z) P_iz."""
    import numpy as np

    given = conditional(probabilities, labels)
    found: Floats = np.einsum("nz,nz->n", probabilities, given[labels])
    return found
