"""Scores that compare the networks of a zoo with each other: NCTI and ETran."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from harness.errors import HarnessError, suggest
from harness.estimators.etran import etran_of_zoo
from harness.estimators.inputs import Inputs
from harness.estimators.ncti import ncti_of_zoo
from harness.estimators.scorers import SCORERS, coerced
from harness.signatures import parameters_of

COMPARING: Final[Mapping[str, Callable[..., list[float]]]] = {"etran": etran_of_zoo, "ncti": ncti_of_zoo}


def zoo_scores(name: str, zoo: Mapping[str, Inputs], /, **options: Any) -> dict[str, float]:
    """Return the score of each network of a zoo on one target, by the network's name.

    name: `ncti` or `etran`, whose terms are first brought to 0..1 over the zoo, or any estimator.  zoo: the inputs of
    each network.  Raises HarnessError for an empty zoo, and as :func:`harness.estimators.score` does.
    """
    if not zoo:
        raise HarnessError("there is no network in the zoo")
    if name in COMPARING:
        function = COMPARING[name]
        given = coerced(name, parameters_of(function, keyword_only=True), options)
        return dict(zip(zoo, function(list(zoo.values()), **given), strict=True))
    if name not in SCORERS:
        raise HarnessError(f"unknown estimator {name!r}{suggest(name, [*COMPARING, *SCORERS.names()])}")
    return {model: SCORERS.get(name)(inputs, **options) for model, inputs in zoo.items()}
