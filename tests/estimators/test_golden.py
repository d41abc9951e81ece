"""Every score on inputs given by closed formulas, against what published implementations returned on them."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.estimators import Inputs, score
from harness.estimators.discriminant import adaptive_shrinkage
from harness.estimators.ncti import ncti_terms
from harness.estimators.ped import class_radii, displacement, standardisation
from tests.estimators.closed_form import closed_form

ARRAYS = closed_form()
GOLDEN = Path(__file__).parent / "golden_metric_values.csv"


def golden() -> Mapping[str, float]:
    """Value by the name of the metric."""
    with GOLDEN.open(encoding="utf-8") as file:
        return {row["metric"]: float(row["value"]) for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def inputs() -> Inputs:
    return ARRAYS.inputs()


SCORES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "LogME fixed point (as released)": ("logme", {"variant": "released"}),
    "LogME ICML (full Gram)": ("logme", {"variant": "icml"}),
    "LEEP": ("leep", {}),
    "NCE (argmax of P)": ("nce", {}),
    "H-score": ("h_score", {}),
    "H-score Ledoit-Wolf": ("h_score_regularised", {}),
    "TransRate eps=1e-4": ("transrate", {}),
    "SFDA": ("sfda", {"variant": "released"}),
    "PARC n_dims=32, as coded": ("parc", {"variant": "released"}),
    "PARC n_dims=32, exact label ties": ("parc", {"projection": "randomised"}),
    "GBC spherical, as released (log term not multiplied by D)": ("gbc", {"dims": None, "variant": "released"}),
    "GBC spherical, textbook": ("gbc", {"dims": None}),
    "GBC diagonal": ("gbc", {"dims": None, "covariance": "diagonal"}),
    "TMI k=3 max-norm min_dist=1": ("tmi", {"variant": "released"}),
    "ETran LDA part": ("etran_discriminant", {"variant": "released"}),
    "ETran energy part on L (mean of the lowest 1 of 300)": ("etran_energy", {}),
    "PED SFDA score (er .5, dt .1, nsigma .6, at most 6 steps)": ("ped", {"variant": "released"}),
    "PED LOGME score (er .5, dt .1, nsigma .6, at most 6 steps)": ("ped", {"base": "logme", "variant": "released"}),
    "NCTI nuclear norm of LDA features": ("ncti_feature_norm", {}),
    "NCTI mean true-class LDA posterior": ("ncti_posterior", {}),
}


def ped_step(inputs: Inputs) -> float:
    centre, spread = standardisation(inputs.source_features)
    means = (inputs.statistics.means - centre) / spread
    return float(np.abs(displacement(means, class_radii(inputs.statistics, spread))).sum())


PARTS: Mapping[str, Callable[[Inputs], float]] = {
    "SFDA first-pass shrinkage": lambda inputs: adaptive_shrinkage(inputs.statistics, "released"),
    "PED one step, sum |displacement| (general_X = 1.25*X[::2]+0.1, dt .1, nsigma .6)": ped_step,
    "NCTI log sum of class posterior nuclear norms": lambda inputs: ncti_terms(inputs).class_norm,
}

CHECKSUMS: Mapping[str, float] = {
    "checksum sum(X)": float(ARRAYS.features.sum()),
    "checksum sum(P*P)": float(np.square(ARRAYS.probabilities).sum()),
    "checksum class counts as base-1000 digits": float(
        sum(int(count) * 1000**place for place, count in enumerate(np.bincount(ARRAYS.labels)))
    ),
}


def test_every_golden_value_is_looked_at() -> None:
    assert set(golden()) == {*SCORES, *PARTS, *CHECKSUMS}


@pytest.mark.parametrize("metric", CHECKSUMS)
def test_the_inputs_are_those_meant(metric: str) -> None:
    assert CHECKSUMS[metric] == pytest.approx(golden()[metric], rel=1e-12)


@pytest.mark.parametrize("metric", SCORES)
def test_a_score_is_the_published_codes(metric: str, inputs: Inputs) -> None:
    name, options = SCORES[metric]
    assert score(name, inputs, **options) == pytest.approx(golden()[metric], rel=0, abs=1e-8)


@pytest.mark.parametrize("metric", PARTS)
def test_a_part_of_a_score_is_the_published_codes(metric: str, inputs: Inputs) -> None:
    assert PARTS[metric](inputs) == pytest.approx(golden()[metric], rel=0, abs=1e-8)
