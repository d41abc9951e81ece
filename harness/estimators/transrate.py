"""TransRate (Huang et al. 2022, arXiv 2106.09362)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import HarnessError
from harness.estimators.inputs import Inputs
from harness.estimators.positive import log_determinant
from harness.estimators.scorers import scorer

if TYPE_CHECKING:
    from harness.estimators.arrays import Floats


@scorer(
    "transrate",
    needs=("features", "labels"),
    cost="D^3 / 3, and n_c^2 D for each class smaller than D",
    paper="Huang et al. 2022, arXiv 2106.09362",
)
def transrate(inputs: Inputs, *, distortion: float = 1e-4) -> float:
    """Coding rate of the features less the mean coding rate of the classes, in nats.

    R(Z) - 1 / C sum_c R(Z_c) with R(Z) = 1 / 2 ln det(I + Z^T Z / (n distortion)), Z less the overall mean and n its
    rows; classes count alike, as in the release. Higher is better. Constant features and one class give 0.
    """
    import numpy as np

    if distortion <= 0:
        raise HarnessError(f"transrate: distortion must be above 0, not {distortion}")
    statistics = inputs.statistics
    if statistics.examples <= statistics.width:
        centred = statistics.all_centred()
        whole = _rate(centred @ centred.T, statistics.examples, distortion)
    else:
        whole = _rate(statistics.total, statistics.examples, distortion)
    parts = [_class_rate(statistics.centred(label), distortion) for label in range(statistics.classes)]
    return whole - float(np.mean(parts))


def _class_rate(rows: Floats, distortion: float) -> float:
    """The rate of rows [n, D]: by Sylvester's identity from the smaller of the two Gram matrices."""
    examples, width = rows.shape
    gram = rows @ rows.T if examples < width else rows.T @ rows
    return _rate(gram, examples, distortion)


def _rate(gram: Floats, examples: int, distortion: float) -> float:
    import numpy as np

    inner = gram / (examples * distortion)
    inner[np.diag_indices(len(inner))] += 1
    return log_determinant(inner) / 2
