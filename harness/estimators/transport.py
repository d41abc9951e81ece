"""Optimal transport between the features of two sets of examples, and what it says about their labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from harness.errors import HarnessError

if TYPE_CHECKING:
    from harness.estimators.arrays import Floats, Integers

MOST_ITERATIONS: Final = 10_000_000


def transport_plan(source: Floats, target: Floats) -> tuple[Floats, float]:
    """Return the exact plan [M, N] between examples that weigh alike, and its cost, by squared Euclidean distance.

    Raises HarnessError when the optional package POT is missing, when widths differ, or without an optimum.
    """
    import numpy as np

    try:
        import ot
    except ImportError:
        raise HarnessError(
            "optimal transport needs the package POT: pip install transfer-harness[estimators]"
        ) from None
    if source.shape[1] != target.shape[1]:
        raise HarnessError(f"source features have width {source.shape[1]}, target features {target.shape[1]}")
    # Distances do not change with the origin; near it they keep more digits.
    centre = target.mean(axis=0)
    cost = ot.dist(source - centre, target - centre, metric="sqeuclidean")
    weights = (np.full(len(cost), 1 / len(cost)), np.full(cost.shape[1], 1 / cost.shape[1]))
    plan, log = ot.emd(*weights, cost, numItermax=MOST_ITERATIONS, log=True)
    if log["warning"] is not None:
        raise HarnessError(f"optimal transport did not arrive at its optimum: {log['warning']}")
    return plan, float((plan * cost).sum())


def joint_labels(plan: Floats, source: Integers, target: Integers) -> Floats:
    """The mass that the plan moves between each source class and each target class, [Cs, Ct]."""
    import numpy as np

    by_source = np.zeros((int(source.max()) + 1, plan.shape[1]))
    np.add.at(by_source, source, plan)
    joint = np.zeros((int(target.max()) + 1, len(by_source)))
    np.add.at(joint, target, by_source.T)
    return joint.T


def conditional_entropy(joint: Floats) -> float:
    """H(column | row) of a table of masses, in nats."""
    import numpy as np
    from scipy.special import xlogy

    rows = joint.sum(axis=1)
    return float((xlogy(rows, rows).sum() - xlogy(joint, joint).sum()) / np.sum(joint))


def sampled(labels: Integers, most: int, seed: int) -> Integers:
    """Positions of at most `most` examples, every class in its share as nearly as can be, drawn by `seed`, in order."""
    import numpy as np

    if len(labels) <= most:
        return np.arange(len(labels))
    drawn = np.random.default_rng(seed).permutation(len(labels))
    counts = np.bincount(labels)
    ordered = drawn[np.argsort(labels[drawn], kind="stable")]
    within = np.concatenate([np.arange(count) for count in counts])
    # The k-th example of a class stands at share (k + 1/2) / n_c: the first shares are drawn.
    place = (within + 0.5) / np.repeat(counts, counts)
    return np.sort(ordered[np.argsort(place, kind="stable")[:most]])
