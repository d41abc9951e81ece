"""PED, potential energy decline (Li et al. 2023, arXiv 2308.15074): class means are pushed apart before scoring."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from harness.errors import HarnessError
from harness.estimators.gbc import gbc_of
from harness.estimators.inputs import Inputs
from harness.estimators.logme import logme_of
from harness.estimators.nleep import nleep_of
from harness.estimators.scorers import Variant, scorer
from harness.estimators.sfda import sfda_of

if TYPE_CHECKING:
    from harness.estimators.arrays import Floats
    from harness.estimators.statistics import Statistics

Base = Literal["sfda", "logme", "nleep", "gbc"]

LEAST_SPREAD: Final = 1e-3


@scorer(
    "ped",
    needs=("features", "labels", "source_features"),
    classes=2,
    cost="C^2 D a step, then the base score",
    paper="Li et al. 2023, arXiv 2308.15074",
)
def ped(
    inputs: Inputs,
    *,
    base: Base = "sfda",
    time_step: float = 0.1,
    reach: float = 0.6,
    stiffness: float = 1.0,
    exit_ratio: float = 0.5,
    most_steps: int = 6,
    variant: Variant = "exact",
) -> float:
    """The score `base` after classes that overlap have pushed each other apart, as fine-tuning would.

    Features are standardised by the mean and deviation of `source_features`, those of the source's own examples (the
    paper: ImageNet's validation set). Class c is a ball at mu_c of radius `reach` times the root of its summed
    variances; balls that overlap by F move apart by min(time_step^2 stiffness F / 2, F), each with all its examples.
    Steps end before one that moves no more than `exit_ratio` of the first's sum of absolute moves. Higher is better.

    Variances within classes do not change, so each step moves C means and nothing else. released: the released base.
    """
    statistics = inputs.statistics
    if min(time_step, reach, stiffness) <= 0 or most_steps < 1:
        raise HarnessError("ped: time_step, reach, stiffness and most_steps must be above 0")
    centre, spread = standardisation(inputs.source_features)
    if len(centre) != statistics.width:
        raise HarnessError(f"ped: source_features have width {len(centre)}, features {statistics.width}")
    start = (statistics.means - centre) / spread
    radii = class_radii(statistics, spread)
    means, first = start, 0.0
    for step in range(most_steps):
        shift = displacement(means, radii, time_step, reach, stiffness)
        moved = float(abs(shift).sum())
        first = moved if step == 0 else first
        if first == 0 or not moved / first > exit_ratio:
            break
        means = means + shift
    return _base_score(statistics.moved(statistics.means + (means - start) * spread), base, variant)


def standardisation(features: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation (at least 1e-3) of the source's features, [D] each."""
    import numpy as np

    return features.mean(axis=0), np.maximum(features.std(axis=0), LEAST_SPREAD)


def class_radii(statistics: Statistics, spread: Floats) -> Floats:
    """Root of the summed variances of each class in standardised features, [C]."""
    import numpy as np

    radii: Floats = np.sqrt((statistics.squares / np.square(spread)).sum(axis=1) / statistics.counts)
    return radii


def displacement(
    means: Floats, radii: Floats, time_step: float = 0.1, reach: float = 0.6, stiffness: float = 1.0
) -> Floats:
    """How far each class mean [C, D] is pushed in one step: sum_j W_ij (mu_i - mu_j), without C x C x D tensors.

    Classes of one and the same mean have no direction to part in, and do not push each other.
    """
    import numpy as np

    lengths = np.square(means).sum(axis=1)
    apart = np.sqrt(np.maximum(lengths[:, None] + lengths - 2 * (means @ means.T), 0))
    overlap = np.maximum(reach * (radii[:, None] + radii) - apart, 0)
    push = np.minimum(0.5 * time_step**2 * stiffness * overlap, overlap)
    rates = np.divide(push, apart, out=np.zeros_like(push), where=apart > 1e-9 * np.sqrt(lengths.max() or 1.0))
    np.fill_diagonal(rates, 0)
    moved: Floats = rates.sum(axis=1)[:, None] * means - rates @ means
    return moved


def _base_score(statistics: Statistics, base: Base, variant: Variant) -> float:
    if base == "sfda":
        return sfda_of(statistics, variant=variant)
    if base == "logme":
        return logme_of(statistics, variant)
    if base == "nleep":
        return nleep_of(statistics, variant=variant)
    return gbc_of(statistics, variant=variant)
