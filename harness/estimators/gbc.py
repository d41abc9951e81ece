"""GBC, Gaussian Bhattacharyya coefficient (Pandy et al. 2022, arXiv 2111.12780)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from harness.errors import HarnessError
from harness.estimators.inputs import Inputs
from harness.estimators.scorers import Variant, scorer

if TYPE_CHECKING:
    from harness.estimators.arrays import Floats
    from harness.estimators.statistics import Statistics

Covariance = Literal["spherical", "diagonal", "full"]


@scorer(
    "gbc",
    needs=("features", "labels"),
    classes=2,
    cost="N D and C^2 d; full: C^2 d^3 / 6",
    paper="Pandy et al. 2022, arXiv 2111.12780",
)
def gbc(
    inputs: Inputs,
    *,
    covariance: Covariance = "spherical",
    dims: int | None = 64,
    floor: float = 1e-4,
    variant: Variant = "exact",
) -> float:
    """Minus the overlap of the classes' Gaussians: - sum over i != j of exp(-Bhattacharyya distance of i and j).

    Between -C (C - 1), all the same, and 0. Higher is better. Features are first projected on `dims` principal
    components (None: taken as they are); variances are let fall to `floor` at least (full: `floor` is added to each
    variance, so that classes with fewer examples than dimensions have a covariance too).

    released: google-research's stable_transfer does not multiply the spherical log-variance term by the dimensions.
    """
    return gbc_of(inputs.statistics, covariance, dims, floor, variant)


def gbc_of(
    statistics: Statistics,
    covariance: Covariance = "spherical",
    dims: int | None = 64,
    floor: float = 1e-4,
    variant: Variant = "exact",
) -> float:
    """GBC of statistics."""
    import numpy as np

    if floor <= 0 or (dims is not None and dims < 1):
        raise HarnessError(f"gbc: floor and dims must be above 0, not {floor} and {dims}")
    small = statistics if dims is None else statistics.projected(dims)
    if covariance == "full":
        distances = _full(small, floor)
    else:
        variances = np.maximum(small.squares / small.counts[:, None], floor)
        if covariance == "diagonal":
            distances = _diagonal(small.deviations, variances)
        else:
            level = variances.mean(axis=1) if small.width else np.full(small.classes, floor)
            distances = _spherical(small.deviations, level, 1 if variant == "released" else small.width)
    # Each unordered pair stands once.
    return 0.0 - 2 * float(np.exp(-distances).sum())


def _spherical(means: Floats, variances: Floats, width: int) -> Floats:
    import numpy as np

    first, second = np.triu_indices(len(means), 1)
    lengths = np.square(means).sum(axis=1)
    squared = (lengths[:, None] + lengths - 2 * (means @ means.T))[first, second]
    middle = (variances[first] + variances[second]) / 2
    logs = np.log(variances)
    spread = np.log(middle) - (logs[first] + logs[second]) / 2
    distances: Floats = np.maximum(squared, 0) / (8 * middle) + width / 2 * spread
    return distances


def _diagonal(means: Floats, variances: Floats) -> Floats:
    import numpy as np

    logs = np.log(variances).sum(axis=1)
    parts = []
    for one in range(len(means) - 1):
        middle = (variances[one] + variances[one + 1 :]) / 2
        apart = (np.square(means[one] - means[one + 1 :]) / middle).sum(axis=1)
        parts.append(apart / 8 + np.log(middle).sum(axis=1) / 2 - (logs[one] + logs[one + 1 :]) / 4)
    return np.concatenate(parts)


def _full(small: Statistics, floor: float) -> Floats:
    import numpy as np

    own = [small.residuals[rows] for rows in small.slices()]
    covariances = np.stack([rows.T @ rows / len(rows) for rows in own]) + floor * np.eye(small.width)
    logs = np.linalg.slogdet(covariances)[1]
    means, parts = small.deviations, []
    for one in range(small.classes - 1):
        middle = (covariances[one] + covariances[one + 1 :]) / 2
        factors = np.linalg.cholesky(middle)
        apart = np.linalg.solve(factors, (means[one] - means[one + 1 :])[:, :, None])[:, :, 0]
        spread = 2 * np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1)
        parts.append(np.square(apart).sum(axis=1) / 8 + spread / 2 - (logs[one] + logs[one + 1 :]) / 4)
    return np.concatenate(parts)
