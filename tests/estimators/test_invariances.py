"""What leaves each score as it is, by its formula: order, names of classes, rotation, shift, scale, linear maps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ortho_group

from harness.estimators import score
from tests.estimators.closed_form import Arrays, random_inputs

some = settings(max_examples=8, deadline=None)
SEEDS = st.integers(0, 10_000)

OF_FEATURES: dict[str, dict[str, Any]] = {
    "logme": {}, "h_score": {}, "h_score_regularised": {}, "transrate": {}, "gbc": {"dims": None},
    "parc": {"dims": None}, "sfda": {}, "etran_discriminant": {}, "ncti_feature_norm": {}, "ncti_posterior": {},
    "ncti_class_norm": {}, "tmi": {}, "lfc": {}, "knn": {"k": 3}, "pactran": {},
}  # fmt: skip

ROTATION = {
    "logme", "h_score", "h_score_regularised", "transrate", "gbc", "sfda", "etran_discriminant", "ncti_feature_norm",
    "ncti_posterior", "ncti_class_norm", "lfc", "knn", "pactran",
}  # fmt: skip
"""PARC compares examples feature by feature, TMI by the largest difference in any."""

SHIFT = set(OF_FEATURES) - {"logme", "lfc"}
"""LogME and LFC take features as they are, without an intercept."""

SCALE = {"h_score", "h_score_regularised", "lfc", "knn", "parc"}
LINEAR = {"h_score"}


def arrays_of(seed: int) -> Arrays:
    return random_inputs(seed, n=36, d=5, c=3, apart=1.5)


def of(name: str, features: np.ndarray, labels: np.ndarray, **more: Any) -> float:
    return score(name, features=features, labels=labels, **OF_FEATURES[name], **more)


@pytest.mark.parametrize("name", OF_FEATURES)
@some
@given(seed=SEEDS)
def test_neither_order_nor_names_of_classes_matter(name: str, seed: int) -> None:
    arrays = arrays_of(seed)
    order = np.random.default_rng(seed).permutation(36)
    renamed = np.array([5, -2, 9])[arrays.labels]
    expected = of(name, arrays.features, arrays.labels)
    assert of(name, arrays.features[order], renamed[order]) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", sorted(ROTATION))
@some
@given(seed=SEEDS)
def test_rotations_do_not_matter(name: str, seed: int) -> None:
    arrays = arrays_of(seed)
    turned = arrays.features @ ortho_group.rvs(5, random_state=seed)
    assert of(name, turned, arrays.labels) == pytest.approx(of(name, arrays.features, arrays.labels), rel=1e-6)


@pytest.mark.parametrize("name", sorted(SHIFT))
@some
@given(seed=SEEDS)
def test_shifts_do_not_matter(name: str, seed: int) -> None:
    arrays = arrays_of(seed)
    shifted = arrays.features + np.random.default_rng(seed).normal(size=5) * 10
    assert of(name, shifted, arrays.labels) == pytest.approx(of(name, arrays.features, arrays.labels), rel=1e-6)


@pytest.mark.parametrize("name", sorted(SCALE))
@some
@given(seed=SEEDS, factor=st.sampled_from([1e-3, 50.0]))
def test_scale_does_not_matter(name: str, seed: int, factor: float) -> None:
    arrays = arrays_of(seed)
    found = of(name, factor * arrays.features, arrays.labels)
    assert found == pytest.approx(of(name, arrays.features, arrays.labels), rel=1e-6)


@some
@given(seed=SEEDS)
def test_no_regular_linear_map_matters_to_the_h_score(seed: int) -> None:
    arrays = arrays_of(seed)
    map_ = np.random.default_rng(seed).normal(size=(5, 5)) + 3 * np.eye(5)
    expected = of("h_score", arrays.features, arrays.labels)
    assert of("h_score", arrays.features @ map_, arrays.labels) == pytest.approx(expected, rel=1e-6)
    assert 0 <= expected <= 2, "it is bounded by C - 1"


@some
@given(seed=SEEDS, sign=st.sampled_from(["released", "exact"]))
def test_the_released_h_score_knows_no_such_thing(seed: int, sign: str) -> None:
    """Multiplied element by element, it changes with a rotation; the exact one does not."""
    arrays = arrays_of(seed)
    turned = arrays.features @ ortho_group.rvs(5, random_state=seed)
    before, after = (of("h_score", features, arrays.labels, variant=sign) for features in (arrays.features, turned))
    assert (abs(before - after) < 1e-6 * abs(before)) is (sign == "exact")


@some
@given(seed=SEEDS)
def test_more_features_that_say_nothing_new_change_nothing(seed: int) -> None:
    """Columns of zeros; for scores of the features' span, copies too."""
    arrays = arrays_of(seed)
    wider = np.column_stack([arrays.features, np.zeros((36, 2))])
    for name in ("logme", "h_score", "transrate", "lfc", "knn", "ncti_posterior"):
        assert of(name, wider, arrays.labels) == pytest.approx(of(name, arrays.features, arrays.labels), rel=1e-6)
    double = np.column_stack([arrays.features, arrays.features])
    assert of("h_score", double, arrays.labels) == pytest.approx(of("h_score", arrays.features, arrays.labels))


@some
@given(seed=SEEDS)
def test_leep_and_nce_know_source_classes_only_apart(seed: int) -> None:
    arrays = arrays_of(seed)
    draw = np.random.default_rng(seed)
    order, classes = draw.permutation(36), draw.permutation(5)
    given_arrays = {"source_probabilities": arrays.probabilities, "labels": arrays.labels}
    mixed = {
        "source_probabilities": arrays.probabilities[order][:, classes],
        "labels": np.array([4, 0, 7])[arrays.labels][order],
    }
    for name in ("leep", "nce"):
        assert score(name, **mixed) == pytest.approx(score(name, **given_arrays))
    # A source class cut in two equal halves says the same.
    halves = np.repeat(arrays.probabilities / 2, 2, axis=1)
    assert score("leep", source_probabilities=halves, labels=arrays.labels) == pytest.approx(
        score("leep", **given_arrays)
    )


@some
@given(seed=SEEDS)
def test_leep_is_at_least_nce_plus_what_certainty_leaves(seed: int) -> None:
    """For a source that is certain the two are one: LEEP of one-hot predictions is NCE."""
    arrays = arrays_of(seed)
    certain = np.eye(5)[arrays.probabilities.argmax(axis=1)]
    found = [score(name, source_probabilities=certain, labels=arrays.labels) for name in ("leep", "nce")]
    assert found[0] == pytest.approx(found[1])


@pytest.mark.parametrize("name", ["h_score", "sfda", "etran_discriminant", "gbc", "lfc", "knn", "logme", "parc",
                                  "transrate", "ncti_posterior"])  # fmt: skip
def test_classes_further_apart_score_higher(name: str) -> None:
    draw = np.random.default_rng(0)
    labels = np.arange(90) % 3
    noise, means = draw.normal(size=(90, 5)), draw.normal(size=(3, 5))
    found = [of(name, noise + apart * means[labels], labels) for apart in (0.0, 1.0, 2.0)]
    assert found == sorted(found) and found[0] < found[2]


def test_more_spread_within_classes_scores_higher_by_tmi() -> None:
    draw = np.random.default_rng(0)
    labels, noise = np.arange(90) % 3, draw.normal(size=(90, 5))
    found = [of("tmi", spread * noise, labels, min_distance=1e-9) for spread in (0.5, 1.0, 2.0)]
    assert found[1] - found[0] == pytest.approx(5 * np.log(2)) == pytest.approx(found[2] - found[1])
