"""NCTI, neural collapse informed transferability (Wang et al. 2023, ICCV)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import NamedTuple

from harness.errors import HarnessError
from harness.estimators.inputs import Inputs
from harness.estimators.ranges import spread_out
from harness.estimators.scorers import scorer
from harness.estimators.statistics import Statistics


class NctiTerms(NamedTuple):
    """The three terms of one network; NCTI compares them over a zoo.

    feature_norm: nuclear norm of the centred discriminant features.  posterior: mean posterior of the true class.
    class_norm: ln of the sum over classes of the nuclear norms of the posteriors.
    """

    feature_norm: float
    posterior: float
    class_norm: float


def ncti_terms(inputs: Inputs, dims: int = 64) -> NctiTerms:
    """Work out the three terms on the first `dims` principal components.

    Discriminant analysis is scikit-learn's, shrunk by t = max(exp(-sum of the first 32 explained variances), 1e-10);
    at t = 1e-10 by singular values without shrinkage. Raises HarnessError when it cannot be fitted.
    """
    statistics = inputs.statistics
    return statistics.once(("ncti", dims), lambda: _terms(statistics, dims))


def _terms(statistics: Statistics, dims: int) -> NctiTerms:
    import numpy as np
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    small = _reduced(statistics, dims)
    low, labels = small.all_centred(), small.ordered_labels
    variances = statistics.principal.values / (small.examples - 1)
    strength = max(float(np.exp(-variances[: min(32, dims)].sum())), 1e-10)
    how = {"solver": "svd"} if strength == 1e-10 else {"solver": "eigen", "shrinkage": strength}
    analysis = LinearDiscriminantAnalysis(**how)
    try:
        with warnings.catch_warnings():
            # A class of one example has covariance 0, as it should.
            warnings.filterwarnings("ignore", "Only one sample available", UserWarning)
            features = analysis.fit_transform(low, labels)
    except np.linalg.LinAlgError as error:
        raise HarnessError(f"ncti: no discriminant analysis of these features is possible: {error}") from error
    posteriors = analysis.predict_proba(low)
    norms = [np.linalg.norm(posteriors[rows], ord="nuc") for rows in small.slices()]
    return NctiTerms(
        float(np.linalg.norm(features - features.mean(axis=0), ord="nuc")),
        float(posteriors[np.arange(len(labels)), labels].mean()),
        float(np.log(np.sum(norms))),
    )


def _reduced(statistics: Statistics, dims: int) -> Statistics:
    if dims < 1:
        raise HarnessError(f"ncti: dims must be above 0, not {dims}")
    if len(statistics.principal.values) == 0:
        raise HarnessError("ncti: the features are constant")
    if not statistics.residuals.any():
        raise HarnessError("ncti: the features do not vary within any class, so that they have no covariance")
    return statistics.projected(dims)


def combine_ncti(terms: Sequence[NctiTerms]) -> list[float]:
    """NCTI of each network of a zoo: each term from 0 to 1 over the zoo; + norm + posterior - class norm."""
    norms, posteriors, class_norms = (spread_out(values) for values in zip(*terms, strict=True))
    return [a + b - c for a, b, c in zip(norms, posteriors, class_norms, strict=True)]


def ncti_of_zoo(zoo: Sequence[Inputs], *, dims: int = 64) -> list[float]:
    """NCTI of each network of a zoo, from its inputs."""
    for inputs in zoo:
        ncti_posterior.require(inputs)
    return combine_ncti([ncti_terms(inputs, dims) for inputs in zoo])


@scorer(
    "ncti_feature_norm",
    needs=("features", "labels"),
    classes=2,
    cost="an eigendecomposition, then small",
    paper="Wang et al. 2023, ICCV",
)
def ncti_feature_norm(inputs: Inputs, *, dims: int = 64) -> float:
    """First term of NCTI: the nuclear norm of the centred discriminant features. Higher is better."""
    return ncti_terms(inputs, dims).feature_norm


@scorer(
    "ncti_posterior",
    needs=("features", "labels"),
    classes=2,
    cost="an eigendecomposition, then small",
    paper="Wang et al. 2023, ICCV",
)
def ncti_posterior(inputs: Inputs, *, dims: int = 64) -> float:
    """Second term of NCTI: the mean posterior of the true class. Higher is better."""
    return ncti_terms(inputs, dims).posterior


@scorer(
    "ncti_class_norm",
    needs=("features", "labels"),
    classes=2,
    cost="an eigendecomposition, then small",
    paper="Wang et al. 2023, ICCV",
)
def ncti_class_norm(inputs: Inputs, *, dims: int = 64) -> float:
    """Third term of NCTI with its sign: minus ln of the classes' summed nuclear norms, so that higher is better."""
    return -ncti_terms(inputs, dims).class_norm
