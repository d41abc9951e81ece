"""Scores of an ensemble of source networks by their predictions on the target (Agostinelli et al. 2022).

Transferability metrics for selecting source model ensembles, arXiv 2111.13011. Members may differ in their classes.
An empirical predictor turns a member's probabilities P [N, Cs] into q(y|x) = sum_z p(y|z) P_xz over the target's
classes, as LEEP does; examples may be pixels. Every score is better when higher.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from harness.errors import HarnessError, suggest
from harness.estimators.inputs import Inputs
from harness.estimators.leep import conditional, empirical_prediction

if TYPE_CHECKING:
    from harness.estimators.arrays import Floats, Integers

Members = Sequence["Floats"]


def ensemble_score(name: str, source_probabilities: Sequence[Any], labels: Any) -> float:
    """Return the score of an ensemble: `ms_leep`, `e_leep`, `iou_eep` or `soft_iou_eep`.

    source_probabilities: one [N, Cs] a member, rows sum to 1.  labels: [N] integers.
    Raises HarnessError for an unknown score, no member, and arrays that do not fit.
    """
    if name not in ENSEMBLE_SCORES:
        raise HarnessError(f"unknown ensemble score {name!r}{suggest(name, ENSEMBLE_SCORES)}")
    if not source_probabilities:
        raise HarnessError("an ensemble needs at least one member")
    inputs = [Inputs(source_probabilities=one, labels=labels) for one in source_probabilities]
    return ENSEMBLE_SCORES[name]([one.source_probabilities for one in inputs], inputs[0].labels)


def ms_leep(members: Members, labels: Integers) -> float:
    """Mean of the members' LEEP scores, at most 0."""
    import numpy as np

    return float(np.mean([np.log(empirical_prediction(one, labels)).mean() for one in members]))


def e_leep(members: Members, labels: Integers) -> float:
    """Mean log of the members' mean empirical prediction of the true class, at most 0, at least MS-LEEP."""
    import numpy as np

    predicted = np.mean([empirical_prediction(one, labels) for one in members], axis=0)
    return float(np.log(predicted).mean())


def iou_eep(members: Members, labels: Integers) -> float:
    """Mean over classes of intersection over union of where the mean empirical predictor says it is and where it is."""
    import numpy as np

    predictor = mean_predictor(members, labels)
    chosen = predictor.argmax(axis=1)
    classes = predictor.shape[1]
    both = np.bincount(labels[chosen == labels], minlength=classes)
    either = np.bincount(chosen, minlength=classes) + np.bincount(labels, minlength=classes) - both
    return float((both / either).mean())


def soft_iou_eep(members: Members, labels: Integers) -> float:
    """As `iou_eep`, with the mean empirical predictor's probabilities in place of its choices."""
    import numpy as np

    predictor = mean_predictor(members, labels)
    counts = np.bincount(labels)
    both = np.bincount(labels, weights=predictor[np.arange(len(labels)), labels])
    return float((both / (predictor.sum(axis=0) + counts - both)).mean())


def mean_predictor(members: Members, labels: Integers) -> Floats:
    """The members' mean empirical predictor q [N, C] over the target's classes; rows sum to 1."""
    import numpy as np

    mean: Floats = np.mean([one @ conditional(one, labels).T for one in members], axis=0)
    return mean


ENSEMBLE_SCORES: Final[dict[str, Callable[[Members, Any], float]]] = {
    "e_leep": e_leep,
    "iou_eep": iou_eep,
    "ms_leep": ms_leep,
    "soft_iou_eep": soft_iou_eep,
}
