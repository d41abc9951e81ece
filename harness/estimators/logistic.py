"""Accuracy of a logistic probe under cross-validation: the baseline that trains a little."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import HarnessError
from harness.estimators.inputs import Inputs
from harness.estimators.scorers import scorer

if TYPE_CHECKING:
    from harness.estimators.arrays import Integers


@scorer(
    "logistic",
    needs=("features", "labels"),
    cost="folds x steps x N D C",
    paper="a linear probe (Alain and Bengio 2016, arXiv 1610.01644), cross-validated",
)
def logistic(inputs: Inputs, *, folds: int = 5, l2: float = 0.01, seed: int = 0) -> float:
    """Share of examples that a logistic regression on the other folds classifies rightly; higher is better.

    l2: weight of half the squared weights beside the mean loss (scikit-learn's C = 1 / (n l2)), to the optimum. Folds
    are drawn by `seed` with every class spread over them evenly. One class gives 1.
    """
    import torch

    from harness.training.logistic import fit_logistic

    statistics = inputs.statistics
    if not 2 <= folds <= statistics.examples:
        raise HarnessError(f"logistic: folds must be from 2 to the {statistics.examples} examples, not {folds}")
    features = torch.from_numpy(statistics.all_centred())
    labels = torch.from_numpy(statistics.ordered_labels)
    fold = torch.from_numpy(assigned(statistics.counts, folds, seed))
    right = 0
    for held in range(folds):
        inside = fold != held
        fit = fit_logistic(
            features[inside][None],
            labels[inside][None],
            statistics.classes,
            torch.tensor([l2], dtype=torch.float64),
        )
        logits = features[~inside] @ fit.weight[0].T + fit.bias[0]
        right += int((logits.argmax(dim=1) == labels[~inside]).sum())
    return right / statistics.examples


def assigned(counts: Integers, folds: int, seed: int) -> Integers:
    """The fold of each example, classes one after the other: sizes differ by at most one, in each class too."""
    import numpy as np

    generator = np.random.default_rng(seed)
    places = np.arange(counts.sum()) % folds
    ends = np.cumsum(counts)
    for start, end in zip(ends - counts, ends, strict=True):
        places[start:end] = generator.permutation(places[start:end])
    return places
