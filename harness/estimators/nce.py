"""NCE, negative conditional entropy (Tran, Nguyen and Hassner 2019, arXiv 1908.08142)."""

from __future__ import annotations

from harness.estimators.inputs import Inputs
from harness.estimators.scorers import scorer


@scorer(
    "nce",
    needs=("source_probabilities", "labels"),
    cost="N Cs for the largest of each row, then N + C Cs",
    paper="Tran et al. 2019, arXiv 1908.08142",
)
def nce(inputs: Inputs) -> float:
    """Negative conditional entropy of the target's labels given the source's predicted class; at most 0, in nats.

    With J [C, Cs] the joint frequency of labels and most probable source classes: sum J ln(J / p(z)). Empty cells add
    nothing. Higher is better. One class gives 0. Some releases add 1e-5 or 1e-20 to J or p; this does not.
    """
    import numpy as np

    predicted = inputs.source_probabilities.argmax(axis=1)
    width = inputs.source_probabilities.shape[1]
    size = (int(inputs.labels.max()) + 1) * width
    joint = np.bincount(inputs.labels * width + predicted, minlength=size).reshape(-1, width)
    label, source = joint.nonzero()
    counts = joint[label, source]
    return float((counts * np.log(counts / joint.sum(axis=0)[source])).sum() / len(predicted))
