"""Scores that compare the networks of a zoo."""

from __future__ import annotations

import numpy as np
import pytest

from harness.errors import HarnessError
from harness.estimators import Inputs, score, zoo_scores
from harness.estimators.ncti import NctiTerms, combine_ncti
from harness.estimators.ranges import spread_out
from tests.estimators.closed_form import random_inputs

ZOO = {f"net{seed}": random_inputs(seed, n=60, d=8, apart=0.5 + seed).inputs() for seed in range(4)}


NO_LOGITS = Inputs(features=ZOO["net0"].features, labels=ZOO["net0"].labels)


def unit(values: list[float]) -> np.ndarray:
    array = np.array(values)
    return (array - array.min()) / (array.max() - array.min())


def test_ncti_adds_its_terms_over_the_zoo() -> None:
    first, second, third = (
        unit([score(name, one) for one in ZOO.values()])
        for name in ("ncti_feature_norm", "ncti_posterior", "ncti_class_norm")
    )
    # The third is registered with its sign, so that its range is turned: 1 - (1 - x) - 1 = x - 1.
    expected = first + second + third - 1
    found = zoo_scores("ncti", ZOO)
    assert list(found) == list(ZOO) and list(found.values()) == pytest.approx(expected.tolist())


def test_etran_weighs_its_terms_over_the_zoo() -> None:
    first, energy = (
        unit([score(name, one) for one in ZOO.values()]) for name in ("etran_discriminant", "etran_energy")
    )
    assert list(zoo_scores("etran", ZOO).values()) == pytest.approx((0.85 * first + 0.15 * energy).tolist())
    assert list(zoo_scores("etran", ZOO, share=1).values()) == pytest.approx(first.tolist())
    released = unit([score("etran_discriminant", one, variant="released") for one in ZOO.values()])
    found = zoo_scores("etran", ZOO, variant="released", share=1.0)
    assert list(found.values()) == pytest.approx(released.tolist())


def test_any_other_score_is_its_own() -> None:
    assert zoo_scores("transrate", ZOO) == {name: score("transrate", one) for name, one in ZOO.items()}


def test_a_term_that_is_the_same_for_all_says_nothing() -> None:
    assert spread_out([2.0, 2.0]) == [0, 0]
    terms = [NctiTerms(1.0, 0.5, 3.0), NctiTerms(1.0, 0.7, 3.0)]
    assert combine_ncti(terms) == [0, 1]
    assert combine_ncti(terms[:1]) == [0]


@pytest.mark.parametrize(
    ("name", "zoo", "options", "told"),
    [
        ("ncti", {}, {}, "no network in the zoo"),
        ("nctii", ZOO, {}, r"did you mean 'ncti'\?"),
        ("ncti", ZOO, {"dim": 3}, r"ncti has no option 'dim' \(did you mean 'dims'\?\)"),
        ("ncti", {"a": Inputs(labels=[0, 1])}, {}, "needs features"),
        ("etran", {"a": NO_LOGITS}, {}, "needs source_logits"),
        ("ncti", {"a": Inputs(features=np.eye(4), labels=[0, 0, 0, 0])}, {}, "needs 2 of them, not 1"),
    ],
)
def test_what_does_not_fit_is_refused(name: str, zoo: dict, options: dict, told: str) -> None:
    with pytest.raises(HarnessError, match=told):
        zoo_scores(name, zoo, **options)
