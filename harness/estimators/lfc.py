"""LFC, label-feature correlation (Deshpande et al. 2021, arXiv 2102.00084)."""

from __future__ import annotations

import math

from harness.errors import HarnessError
from harness.estimators.inputs import Inputs
from harness.estimators.scorers import scorer


@scorer(
    "lfc",
    needs=("features", "labels"),
    classes=2,
    cost="C D and D^2 in place of N^2 D",
    paper="Deshpande et al. 2021, arXiv 2102.00084",
)
def lfc(inputs: Inputs) -> float:
    """Correlation over all pairs of inner products of features with whether two labels agree (+1) or not (-1).

    The cosine between K = F F^T and Y [N, N], each less the mean of its entries: that of K is |mu|^2. With T the
    scatter about mu and d_c = mu_c - mu, the product is sum_c n_c^2 (4 d_c mu + 2 |d_c|^2), and K's squared length is
    2 N mu T mu + |T|^2. Between -1 and 1. Higher is better. Raises HarnessError for constant features.
    """
    import numpy as np

    statistics = inputs.statistics
    pairs = float(statistics.examples) ** 2
    weights = np.square(statistics.counts.astype(np.float64))
    label_sum = 2 * float(weights.sum()) - pairs
    mean, apart, total = statistics.mean, statistics.deviations, statistics.total
    product = float(weights @ (4 * apart @ mean + 2 * np.square(apart).sum(axis=1)))
    spread = 2 * statistics.examples * float(mean @ total @ mean) + float(np.square(total).sum())
    if spread <= 0:
        raise HarnessError("lfc: the features of all examples are the same")
    return product / math.sqrt(spread * (pairs - label_sum**2 / pairs))
