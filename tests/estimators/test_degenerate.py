"""Every score on inputs at the edge: a value that is known, or an error that says why; never a number by chance."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from harness.errors import HarnessError
from harness.estimators import Inputs, estimators, score
from tests.estimators.closed_form import random_inputs

N, C = 40, 3
Given = dict[str, Any]


def plain() -> Given:
    """Everything that a score may read, of 40 examples in 3 classes with 6 features."""
    arrays = random_inputs(1, n=N, d=6, c=C, cs=5)
    return {
        "features": arrays.features,
        "labels": arrays.labels,
        "source_logits": arrays.logits,
        "source_probabilities": arrays.probabilities,
        "source_features": arrays.source,
        "source_labels": arrays.labels[::2],
        "label_embeddings": np.eye(C)[arrays.labels] + 0.01 * arrays.features[:, :3],
        "model": "resnet50",
    }


def one_class(given: Given) -> None:
    given["labels"] = np.zeros(N, dtype=int)


def constant(given: Given) -> None:
    """A value that the mean of forty does not give back exactly."""
    given["features"] = np.full((N, 6), 0.1)


def zero(given: Given) -> None:
    given["features"] = np.zeros((N, 6))


def constant_within_classes(given: Given) -> None:
    given["features"] = (1e3 + np.random.default_rng(0).normal(size=(C, 6)))[given["labels"]]


def one_constant_feature(given: Given) -> None:
    given["features"] = np.column_stack([given["features"][:, :5], np.full(N, 0.3)])


def fewer_examples_than_features(given: Given) -> None:
    draw = np.random.default_rng(0)
    given["features"], given["source_features"] = draw.normal(size=(N, 200)), draw.normal(size=(N // 2, 200))


def class_of_one_example(given: Given) -> None:
    given["labels"] = np.where(np.arange(N) == 5, 9, given["labels"])


def all_classes_of_one(given: Given) -> None:
    given["labels"] = np.arange(N)


def labels_with_gaps(given: Given) -> None:
    given["labels"] = 7 * given["labels"] - 3


def unused_source_class(given: Given) -> None:
    """The sixth source class gets no probability at all."""
    given["source_probabilities"] = np.column_stack([given["source_probabilities"], np.zeros(N)])


def each_example_twice(given: Given) -> None:
    for name in ("features", "labels", "source_logits", "source_probabilities", "label_embeddings"):
        given[name] = np.repeat(given[name][: N // 2], 2, axis=0)


def one_feature(given: Given) -> None:
    given["features"], given["source_features"] = given["features"][:, :1], given["source_features"][:, :1]


def far_from_zero(given: Given) -> None:
    given["features"], given["source_features"] = given["features"] + 1e6, given["source_features"] + 1e6


def two_examples(given: Given) -> None:
    for name in ("features", "source_logits", "source_probabilities", "label_embeddings"):
        given[name] = given[name][:2]
    given["labels"] = np.array([0, 1])


CASES: Mapping[str, Callable[[Given], None]] = {
    case.__name__: case
    for case in (
        one_class, constant, zero, constant_within_classes, one_constant_feature, fewer_examples_than_features,
        class_of_one_example, all_classes_of_one, labels_with_gaps, unused_source_class, each_example_twice,
        one_feature, far_from_zero, two_examples,
    )
}  # fmt: skip

NO_SPREAD = "do not vary within any class"
CONSTANT = "features are constant"
NCTI = ("ncti_feature_norm", "ncti_posterior", "ncti_class_norm")
COMPARING = ("etran_discriminant", "gbc", "lfc", "pactran", "parc", "ped", "sfda", *NCTI)

ERRORS: Mapping[str, Mapping[str, str]] = {
    "one_class": dict.fromkeys(COMPARING, "needs 2 of them, not 1"),
    "constant": {
        "emms": CONSTANT, "nleep": CONSTANT, "knn": "same features", "lfc": "are the same", "parc": "fewer than two",
        **dict.fromkeys(NCTI, CONSTANT), **dict.fromkeys(("sfda", "ped", "etran_discriminant"), NO_SPREAD),
    },
    "zero": {
        "emms": CONSTANT, "nleep": CONSTANT, "knn": "same features", "lfc": "are the same", "parc": "fewer than two",
        **dict.fromkeys(NCTI, CONSTANT), **dict.fromkeys(("sfda", "ped", "etran_discriminant"), NO_SPREAD),
        "logme released": "0 everywhere", "logme icml": "0 everywhere",
    },
    "constant_within_classes": {
        **dict.fromkeys((*NCTI, "sfda", "ped", "etran_discriminant"), NO_SPREAD), "logme": "without any noise",
    },
    "all_classes_of_one": {
        **dict.fromkeys((*NCTI, "sfda", "ped", "etran_discriminant"), NO_SPREAD), "parc": "one distance of labels",
        "tmi": "no class has more than k = 3",
    },
    "one_feature": {"parc": "fewer than two directions"},
    "two_examples": {
        **dict.fromkeys((*NCTI, "sfda", "ped", "etran_discriminant"), NO_SPREAD), "parc": "one distance of labels",
        "tmi": "no class has more", "knn": "below the number of examples, 2", "logistic": "from 2 to the 2 examples",
    },
}  # fmt: skip
"""By case and score (or score and variant) what the error says; a score named here has no other variant without it."""

WITHOUT = {
    "constant_within_classes": ("logme released", "logme icml", "etran_discriminant released"),
    "constant": ("etran_discriminant released",),
    "zero": ("etran_discriminant released",),
    "all_classes_of_one": ("etran_discriminant released",),
    "two_examples": ("etran_discriminant released",),
}
"""Variants that have a value where the exact score has none."""

VALUES: Mapping[str, Mapping[str, float]] = {
    "one_class": {"nce": 0, "leep": 0, "leep released": 1, "h_score": 0, "transrate": 0, "knn": 1, "logistic": 1},
    "constant": {"h_score": 0, "h_score_regularised": 0, "transrate": 0, "gbc": -C * (C - 1)},
    "zero": {
        "h_score": 0, "h_score_regularised": 0, "transrate": 0, "gbc": -C * (C - 1),
        # y ~ N(0, 1 / beta) with 1 / beta the share of the class: its likelihood, mean over classes.
        "logme": float(np.mean([-np.log(2 * np.pi * share) / 2 - 0.5 for share in np.bincount(plain()["labels"]) / N])),
    },
    "constant_within_classes": {"h_score": C - 1, "knn": 1, "logistic": 1},
    "fewer_examples_than_features": {"h_score": C - 1, "emms": 0},
    "all_classes_of_one": {"knn": 0, "logistic": 0},
    "two_examples": {"h_score": 1, "nce": -np.log(2), "emms": 0},
}  # fmt: skip

SAME_AS_PLAIN = {"labels_with_gaps": set(estimators()), "unused_source_class": {"leep", "nce"}}
"""Scores that a case does not change."""

SHIFTED = {"far_from_zero": {"h_score", "h_score_regularised", "transrate", "gbc", "sfda", "tmi", "knn", "emms", "ped"}}

MISSING = {"parameter_count"} | (set() if find_spec("ot") else {"otce"})
"""What needs a network, and what needs the optional package POT where it is not installed."""

NAMES = [name for name in estimators() if name not in MISSING]


def variants(name: str) -> list[str]:
    options = estimators()[name].options
    return list(options["variant"].annotation.__args__) if "variant" in options else ["exact"]


def value_of(name: str, variant: str, given: Given) -> float:
    options: dict[str, Any] = {} if variant == "exact" else {"variant": variant}
    options |= {"nleep": {"components": 2}, "logistic": {"folds": 3}}.get(name, {})
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        return score(name, **given, **options)


def expected_error(case: str, name: str, variant: str) -> str | None:
    known = ERRORS.get(case, {})
    if f"{name} {variant}" in WITHOUT.get(case, ()):
        return None
    return known.get(f"{name} {variant}") or known.get(name)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", NAMES)
def test_an_edge_gives_a_known_value_or_says_why_not(name: str, case: str) -> None:
    given = plain()
    CASES[case](given)
    for variant in variants(name):
        error = expected_error(case, name, variant)
        if error is not None:
            with pytest.raises(HarnessError, match=error):
                value_of(name, variant, given)
            continue
        value = value_of(name, variant, given)
        assert np.isfinite(value)
        known = VALUES.get(case, {}).get(name if variant == "exact" else f"{name} {variant}")
        if known is not None:
            assert value == pytest.approx(known, abs=1e-9), variant
        if name in SAME_AS_PLAIN.get(case, ()):
            assert value == value_of(name, variant, plain())
        if name in SHIFTED.get(case, ()) and variant == "exact":
            assert value == pytest.approx(value_of(name, variant, plain()), rel=1e-6)


BY_CHANCE = {"nleep", "pactran", "logistic", "otce", "parc", "knn"}
"""Scores that draw, that number ties by the order of examples, or that stop at a tolerance."""


@pytest.mark.parametrize("name", [name for name in NAMES if name not in BY_CHANCE])
@pytest.mark.parametrize("case", [case for case in CASES if case != "two_examples"])
def test_no_value_comes_from_rounding(name: str, case: str) -> None:
    """Rounding differs with the order of examples; a value made of it would too."""
    given = plain()
    CASES[case](given)
    if expected_error(case, name, "exact"):
        return
    order = np.random.default_rng(3).permutation(N)
    mixed = dict(given)
    for key in ("features", "labels", "source_logits", "source_probabilities", "label_embeddings"):
        mixed[key] = given[key][order]
    assert value_of(name, "exact", mixed) == pytest.approx(value_of(name, "exact", given), rel=1e-6, abs=1e-9)


# --- inputs that no score takes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["features", "source_logits", "source_probabilities", "source_features"])
def test_what_is_not_finite_is_refused(name: str, bad: float) -> None:
    given = plain()
    given[name] = given[name].copy()
    given[name][3, 1] = bad
    with pytest.raises(HarnessError, match=f"{name} is not finite in 1 of"):
        Inputs(**given)


def test_probabilities_must_sum_to_one() -> None:
    probabilities = plain()["source_probabilities"]
    with pytest.raises(HarnessError, match=r"sums to 2 in row \d+: give logits as source_logits"):
        score("leep", source_probabilities=2 * probabilities, labels=plain()["labels"])
    shifted = probabilities.copy()
    shifted[0, :2] += [-1, 1]
    with pytest.raises(HarnessError, match="negative somewhere"):
        score("leep", source_probabilities=shifted, labels=plain()["labels"])


def test_probabilities_in_half_precision_are_put_right() -> None:
    """They sum to 1 but for rounding, which is taken out."""
    given = plain()
    rounded = given["source_probabilities"].astype(np.float16)
    sums = rounded.astype(float).sum(axis=1)
    assert np.abs(sums - 1).max() > 1e-4
    exact = score("leep", source_probabilities=rounded.astype(float) / sums[:, None], labels=given["labels"])
    assert score("leep", source_probabilities=rounded, labels=given["labels"]) == pytest.approx(exact, rel=1e-12)


def test_logits_stand_for_probabilities_and_never_overflow() -> None:
    given = plain()
    logits = 500 * given["source_logits"]
    value = score("leep", source_logits=logits, labels=given["labels"])
    assert np.isfinite(value) and value <= 0


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"labels": [0.5] * N}, "needs labels that are classes"),
        ({"labels": np.zeros((N, 2))}, "needs labels that are classes"),
        ({"labels": np.arange(N - 1)}, "different lengths: features 40, labels 39"),
        ({"labels": ["a"] * N}, "labels must be numbers"),
        ({"labels": np.zeros((N, 2, 2))}, r"labels must be \[examples\]"),
        ({"features": np.zeros(N)}, r"features must be \[examples, width\], not of shape \(40,\)"),
        ({"features": np.zeros((0, 3)), "labels": []}, "is empty"),
        ({"features": [[1, 2], [3]]}, "features is not one array"),
    ],
)
def test_inputs_of_another_shape_are_refused_in_one_sentence(change: Given, told: str) -> None:
    given = {name: value for name, value in plain().items() if name in ("features", "labels")} | change
    with pytest.raises(HarnessError, match=told) as caught:
        score("h_score", **given)
    assert len(re.findall(r"\n", str(caught.value))) == 0


def test_least_noise_gives_logme_a_value_where_the_evidence_has_no_maximum() -> None:
    draw = np.random.default_rng(3)
    half, labels = draw.normal(size=(6, 20)), np.arange(6) % 2
    twice, both = np.concatenate([half, half]), np.concatenate([labels, labels])
    with pytest.raises(HarnessError, match="without any noise"):
        score("logme", features=twice, labels=both)
    found = [score("logme", features=twice, labels=both, least_noise=share) for share in (1e-2, 1e-4, 1e-6)]
    assert np.isfinite(found).all() and sorted(found) == found, "the less noise, the more evidence"
    plain = score("logme", features=draw.normal(size=(60, 5)), labels=np.arange(60) % 3)
    draw = np.random.default_rng(3)
    draw.normal(size=(6, 20))
    assert score("logme", features=draw.normal(size=(60, 5)), labels=np.arange(60) % 3, least_noise=1e-6) == plain
    for wrong in ({"least_noise": -1.0}, {"least_noise": 0.1, "variant": "released"}):
        with pytest.raises(HarnessError, match="least_noise"):
            score("logme", features=twice, labels=both, **wrong)
