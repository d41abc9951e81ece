"""ETran, energy-based transferability estimation (Gholami et al. 2023, arXiv 2308.02027)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from harness.errors import HarnessError
from harness.estimators.discriminant import adaptive_shrinkage, class_posterior, of_own_class, posterior
from harness.estimators.inputs import Inputs
from harness.estimators.ranges import spread_out
from harness.estimators.scorers import Variant, scorer

if TYPE_CHECKING:
    from harness.estimators.arrays import Floats

DISCRIMINANT_SHARE: Final = 0.85


class EtranTerms(NamedTuple):
    """The two terms of one network; ETran compares them over a zoo."""

    discriminant: float
    energy: float


def combine_etran(terms: Sequence[EtranTerms], share: float = DISCRIMINANT_SHARE) -> list[float]:
    """ETran of each network of a zoo: .85 of the first term and .15 of the energy, each from 0 to 1 over the zoo."""
    first, energies = (spread_out(values) for values in zip(*terms, strict=True))
    return [share * a + (1 - share) * b for a, b in zip(first, energies, strict=True)]


def etran_of_zoo(
    zoo: Sequence[Inputs],
    *,
    share: float = DISCRIMINANT_SHARE,
    fraction: float = 0.005,
    variant: Variant = "exact",
) -> list[float]:
    """ETran of each network of a zoo, from its inputs. share: of the first term; fraction, variant: see the terms."""
    terms = [
        EtranTerms(etran_discriminant(inputs, variant=variant), etran_energy(inputs, fraction=fraction))
        for inputs in zoo
    ]
    return combine_etran(terms, share)


@scorer(
    "etran_discriminant",
    needs=("features", "labels"),
    classes=2,
    cost="D^3 / 3 and N D C; released: N D C",
    paper="Gholami et al. 2023, arXiv 2308.02027",
)
def etran_discriminant(inputs: Inputs, *, variant: Variant = "exact") -> float:
    """First term of ETran: mean posterior of the true class by regularised discriminant analysis, between 0 and 1.

    The analysis is SFDA's first. Higher is better.

    released: the code gives a matrix that is not symmetric to a solver for symmetric ones, whose axes then cancel:
    what it computes is the posterior under a covariance of one, softmax_c(x mu_c - |mu_c|^2 / 2 + ln p_c).
    """
    statistics = inputs.statistics
    if variant == "released":
        posteriors: Floats = class_posterior(statistics, statistics.deviations.T)
    else:
        posteriors = posterior(statistics, adaptive_shrinkage(statistics), "etran_discriminant")
    return float(of_own_class(posteriors, statistics).mean())


@scorer(
    "etran_energy",
    needs=("source_logits",),
    real_targets=True,
    cost="N Cs",
    paper="Gholami et al. 2023, arXiv 2308.02027",
)
def etran_energy(inputs: Inputs, *, fraction: float = 0.005) -> float:
    """Second term of ETran: mean of the lowest `fraction` of ln sum_z exp(logit_z) over the examples.

    At least one example is taken (the release takes none of fewer than 200, and has no value). Higher is better.
    """
    import numpy as np

    if not 0 < fraction <= 1:
        raise HarnessError(f"etran_energy: fraction must be above 0 and at most 1, not {fraction}")
    logits = inputs.source_logits
    largest = logits.max(axis=1)
    powers = logits - largest[:, None]
    np.exp(powers, out=powers)
    energies = np.sort(largest + np.log(powers.sum(axis=1)))
    # Rounded up a little first, since .005 x 200 may come out just below 1.
    return float(energies[: max(1, int(fraction * len(energies) + 1e-9))].mean())
