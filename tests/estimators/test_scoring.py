"""The one call and the batch: names, options, inputs, and what is said when they do not fit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from harness.errors import HarnessError
from harness.estimators import Inputs, Scorer, estimators, score, scorer, scores
from harness.estimators.scorers import SCORERS
from harness.registry import ESTIMATORS
from tests.estimators.closed_form import random_inputs

ARRAYS = random_inputs(8, n=50, d=6)
OF_FEATURES = {"features": ARRAYS.features, "labels": ARRAYS.labels}

BUILT_IN = {
    "emms", "etran_discriminant", "etran_energy", "gbc", "h_score", "h_score_regularised", "imagenet_accuracy", "knn",
    "leep", "lfc", "logistic", "logme", "nce", "ncti_class_norm", "ncti_feature_norm", "ncti_posterior", "nleep",
    "otce", "pactran", "parameter_count", "parc", "ped", "sfda", "tmi", "transrate",
}  # fmt: skip


def test_every_estimator_is_there_and_says_what_it_is() -> None:
    found = estimators()
    assert set(found) >= BUILT_IN
    for name in BUILT_IN:
        one = found[name]
        assert one.name == name and one.needs and one.cost and one.paper and one.higher_is_better
        assert one.summary.endswith(".") or one.summary.endswith(":")
        text = one.function.__doc__ or ""
        assert "igher is better" in text or "more is better" in text or "larger one counts as better" in text, name
        if "variant" in one.options:
            assert "released" in text, f"{name} does not say what the release does otherwise"


def test_every_estimator_of_arrays_is_one_of_studies() -> None:
    assert set(ESTIMATORS.names()) >= BUILT_IN


def test_arrays_lists_and_tensors_of_any_type_give_the_same() -> None:
    features = ARRAYS.features.astype(np.float32)
    expected = score("logme", features=features, labels=ARRAYS.labels)
    assert score("logme", features=torch.from_numpy(features), labels=torch.from_numpy(ARRAYS.labels)) == expected
    assert score("logme", features=features.tolist(), labels=ARRAYS.labels.tolist()) == expected
    leaf = torch.from_numpy(features).requires_grad_()
    assert score("logme", features=leaf, labels=ARRAYS.labels.astype(np.int32)) == expected
    half = torch.from_numpy(features).bfloat16()
    assert score("logme", features=half, labels=ARRAYS.labels) == score(
        "logme", features=half.float(), labels=ARRAYS.labels
    )


def test_inputs_are_left_as_they_were() -> None:
    """The released SFDA changes its features in place."""
    features, probabilities = ARRAYS.features.copy(), ARRAYS.probabilities.copy()
    inputs = Inputs(features=features, labels=ARRAYS.labels, source_probabilities=probabilities,
                    source_features=features, source_logits=ARRAYS.logits)  # fmt: skip
    names = [name for name in BUILT_IN if set(estimators()[name].needs) <= {"features", "labels", "source_logits",
             "source_probabilities", "source_features"} and name != "nleep"]  # fmt: skip
    scores(names, inputs)
    assert (features == ARRAYS.features).all() and (probabilities == ARRAYS.probabilities).all()


def test_many_at_once_are_each_alone() -> None:
    wanted = [
        "leep",
        "logme",
        "sfda",
        ("gbc", {"covariance": "diagonal"}),
        ("gbc", {"dims": 2}),
        "parc",
        "ncti_posterior",
    ]
    given = {**OF_FEATURES, "source_probabilities": ARRAYS.probabilities}
    found = scores(wanted, **given)
    assert list(found) == ["leep", "logme", "sfda", "gbc(covariance=diagonal)", "gbc(dims=2)", "parc", "ncti_posterior"]
    for item, value in zip(wanted, found.values(), strict=True):
        name, options = (item, {}) if isinstance(item, str) else item
        assert value == pytest.approx(score(name, **given, **options), rel=1e-10)


def test_the_order_of_many_does_not_matter() -> None:
    wanted = ["h_score", "sfda", "etran_discriminant", "logme", "transrate", "lfc", "gbc", "ncti_class_norm", "parc"]
    forward, backward = scores(wanted, **OF_FEATURES), scores(wanted[::-1], **OF_FEATURES)
    assert forward == {name: backward[name] for name in forward}


def test_sums_are_worked_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.estimators import statistics

    calls = []
    whole = statistics._spectrum
    monkeypatch.setattr(statistics, "_spectrum", lambda *given: calls.append(given) or whole(*given))
    made = statistics.Statistics.of
    monkeypatch.setattr(statistics.Statistics, "of", lambda *given: calls.append("of") or made(*given))
    scores(["logme", ("logme", {"variant": "icml"}), "gbc", "parc", "ncti_posterior", "lfc", "tmi", "transrate"],
           **OF_FEATURES)  # fmt: skip
    assert calls.count("of") == 1 and len(calls) == 3, "of F^T F, of the scatter about the mean, and nothing again"


@pytest.mark.parametrize(
    ("name", "given", "told"),
    [
        ("logmee", OF_FEATURES, r"unknown estimator 'logmee' \(did you mean 'logme'\?\)"),
        ("leep", OF_FEATURES, "leep needs source_probabilities, which is not among the inputs"),
        ("etran_energy", {"source_probabilities": ARRAYS.probabilities}, "needs source_logits"),
        ("logme", {"features": ARRAYS.features}, "logme needs labels, which is not among the inputs"),
        ("logme", {**OF_FEATURES, "varient": "icml"}, r"logme has no option 'varient' \(did you mean 'variant'\?\)"),
        ("logme", {**OF_FEATURES, "variant": "jmlr"}, "logme: variant must be .*'icml'.*, not 'jmlr'"),
        ("gbc", {**OF_FEATURES, "dims": 2.5}, "gbc: dims must be int"),
        ("gbc", {**OF_FEATURES, "dims": 0}, "must be above 0"),
        ("gbc", {**OF_FEATURES, "floor": 0}, "must be above 0"),
        ("transrate", {**OF_FEATURES, "distortion": 0}, "distortion must be above 0"),
        ("sfda", {**OF_FEATURES, "shrinkage": 2}, "shrinkage must be above 0 and at most 1"),
        ("tmi", {**OF_FEATURES, "k": 0}, "k and min_distance must be above 0"),
        ("nleep", OF_FEATURES | {"components": 51}, "51 components cannot be fitted to 50 examples"),
        ("nleep", OF_FEATURES | {"components": 2, "explained": 0}, "explained must be above 0"),
        ("ncti_posterior", {**OF_FEATURES, "dims": 0}, "dims must be above 0"),
        ("etran_energy", {"source_logits": ARRAYS.logits, "fraction": 0}, "fraction must be above 0"),
        ("logistic", {**OF_FEATURES, "folds": 1}, "folds must be from 2"),
        ("pactran", {**OF_FEATURES, "prior": 0}, "must be above 0"),
        ("ped", {**OF_FEATURES, "source_features": np.zeros((3, 2))}, "source_features have width 2, features 6"),
        ("ped", {**OF_FEATURES, "source_features": ARRAYS.features, "reach": 0}, "must be above 0"),
        ("emms", {**OF_FEATURES, "label_embeddings": np.zeros(50)}, r"must be \[examples, width, embeddings\]"),
        ("emms", {**OF_FEATURES, "label_embeddings": np.zeros((50, 2)), "alternations": 0}, "at least 1"),
        ("imagenet_accuracy", {"model": "resnet5"}, r"no figure is known for 'resnet5' \(did you mean"),
        ("parameter_count", {"model": "resnet50"}, "needs a torch module"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_one_sentence(name: str, given: dict, told: str) -> None:
    with pytest.raises(HarnessError, match=told) as caught:
        score(name, **given)
    assert "\n" not in str(caught.value)


def test_an_input_beside_the_object_is_not_overlooked() -> None:
    with pytest.raises(HarnessError, match="has no option 'labels'"):
        score("h_score", Inputs(features=ARRAYS.features), labels=ARRAYS.labels)


# --- scores of one's own ----------------------------------------------------------------------------------------------


@pytest.fixture
def spread() -> Scorer:
    @scorer("spread_here", needs=("features", "labels"), higher_is_better=False, in_studies=False)
    def score(inputs: Inputs, *, power: float = 2.0) -> float:
        """Mean size of residuals."""
        return float((np.abs(inputs.statistics.residuals) ** power).mean())

    yield score
    SCORERS._entries.pop("spread_here")


def test_a_score_of_ones_own_is_called_like_any_other(spread: Scorer) -> None:
    means = np.stack([ARRAYS.features[ARRAYS.labels == label].mean(axis=0) for label in range(3)])
    expected = np.abs(ARRAYS.features - means[ARRAYS.labels]).mean()
    assert score("spread_here", **OF_FEATURES, power=1) == pytest.approx(expected)
    assert spread(Inputs(**OF_FEATURES), power=1.0) == pytest.approx(expected)
    assert spread.summary == "Mean size of residuals." and not spread.higher_is_better


def test_a_need_that_no_inputs_have_is_refused() -> None:
    with pytest.raises(HarnessError, match=r"needs 'feature', which no inputs have \(did you mean 'features'\?\)"):
        scorer("wrong", needs=("feature",))  # type: ignore[arg-type]  # refused is the point


def test_a_value_that_is_no_number_is_refused() -> None:
    @scorer("hollow", needs=("labels",), in_studies=False)
    def hollow(inputs: Inputs) -> float:
        """Nothing."""
        return float("nan")

    try:
        with pytest.raises(HarnessError, match=r"hollow has no finite value on these inputs \(nan\)"):
            score("hollow", labels=[0, 1])
    finally:
        SCORERS._entries.pop("hollow")


def test_the_package_offers_its_names_lazily() -> None:
    code = (
        "import sys, harness.estimators as e\n"
        "assert 'numpy' not in sys.modules and 'harness.estimators.scorers' not in sys.modules\n"
        "assert all(getattr(e, name) is not None for name in e.__all__)\n"
        "assert callable(e.scorer) and callable(e.score) and 'numpy' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    import harness.estimators

    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        harness.estimators.nothing  # noqa: B018  # asking is the point
