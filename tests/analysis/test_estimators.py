"""Estimators against baselines: paired resamples, published baseline numbers, and the table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from analysis import transfer_matrix
from analysis.baseline_scores import ELSEWHERE, IMAGENET, SAME_FAMILY, STATIC_SIZE, estimator_baselines
from analysis.coefficients import kernel
from analysis.correlation import cluster_codes
from analysis.estimator_scores import compare_estimators
from analysis.estimator_tables import estimator_study, estimator_table
from analysis.import_files import read_import
from analysis.known_models import canonical, known_models
from analysis.resampling import multiplicities
from harness.errors import HarnessError

IMPORTS = Path(__file__).parents[2] / "studies" / "published"


def outcome_of(name):
    return transfer_matrix(read_import(IMPORTS / f"{name}.yaml").frame)


@pytest.fixture
def made():
    """An outcome over 12 sources and 8 targets, one good and one useless estimator."""
    rng = np.random.default_rng(0)
    from analysis import import_outcomes

    names = [f"s{i}" for i in range(12)]
    quality, difficulty = rng.normal(size=12), rng.normal(size=8)
    truth = quality[:, None] + difficulty + rng.normal(size=(12, 8))
    import pandas as pd

    wide = pd.DataFrame(truth, columns=[f"t{j}" for j in range(8)])
    wide.insert(0, "source", names)
    outcome = transfer_matrix(import_outcomes(wide, rows="source", fixed={"metric": "gain"}), value="gain")
    good = replace(outcome, values=outcome.values + 0.5 * rng.normal(size=outcome.shape))
    useless = replace(outcome, values=rng.normal(size=outcome.shape))
    return outcome, {"good": good, "useless": useless, "copy": good}


@pytest.mark.parametrize(("name", "baseline", "published"), [
    ("sfda_supervised", STATIC_SIZE, 0.837), ("sfda_supervised", ELSEWHERE, 0.826), ("sfda_ssl", ELSEWHERE, 0.692),
])  # fmt: skip
def test_baselines_reach_the_numbers_that_the_field_is_measured_by(name, baseline, published):
    outcome = outcome_of(name)
    study = estimator_study({}, outcome, n_resamples=0)
    assert study.found[baseline].mean.estimate == pytest.approx(published, abs=5e-4)
    scores = estimator_baselines(outcome)[0][baseline]
    taus = [stats.weightedtau(scores.values[:, j], outcome.values[:, j]).statistic for j in range(outcome.shape[1])]
    assert study.found[baseline].mean.estimate == pytest.approx(np.mean(taus))


def test_the_static_order_on_the_six_published_targets():
    outcome = outcome_of("sfda_supervised")
    found = estimator_study({}, outcome, n_resamples=0).found[STATIC_SIZE].per_target
    printed = {"aircraft": 0.847, "cifar10": 0.903, "cifar100": 0.986, "dtd": 0.993, "food": 0.824, "pets": 0.950}
    assert {t: round(found[t].estimate, 3) for t in printed} == printed
    assert {t: round(found[t].estimate, 2) for t in ("flowers", "caltech101", "voc2007")} == {
        "flowers": 0.48, "caltech101": 0.71, "voc2007": 0.73,
    }  # fmt: skip


def test_leave_one_out_does_not_see_the_target(made):
    outcome, _ = made
    scores = estimator_baselines(outcome)[0][ELSEWHERE].values
    changed = outcome.values.copy()
    changed[:, 3] = np.random.default_rng(9).normal(size=12)
    again = estimator_baselines(replace(outcome, values=changed))[0][ELSEWHERE].values
    assert np.allclose(scores[:, 3], again[:, 3]) and not np.allclose(scores[:, 0], again[:, 0])
    z = (outcome.values - outcome.values.mean(axis=0)) / outcome.values.std(axis=0)
    assert np.allclose(scores[:, 3], np.delete(z, 3, axis=1).mean(axis=1))


def test_families_and_what_is_not_known(made):
    outcome, _ = made
    families = {"s0": "x", "s1": "y"} | {f"t{j}": "x" for j in range(8)}
    found, notes = estimator_baselines(outcome, families=families, sizes=dict.fromkeys(outcome.row_labels, 1.0))
    assert found[SAME_FAMILY].values[0, 0] == 1 and found[SAME_FAMILY].values[1, 0] == 0
    assert np.isnan(found[SAME_FAMILY].values[2, 0])
    assert STATIC_SIZE in found and IMAGENET not in found
    assert any("ImageNet accuracy" in n and "and 8 more" in n for n in notes)


def test_known_models_are_found_by_any_spelling():
    assert canonical("ResNet-50") == canonical("resnet_50") == "resnet50" and canonical("mine") == "mine"
    assert known_models()["resnet152"]["imagenet_top1"] == pytest.approx(0.7831)
    ranks = [facts["size_rank"] for facts in known_models().values()]
    assert sorted(ranks) == list(range(1, len(ranks) + 1))


def test_two_estimators_are_compared_on_the_same_resamples(made):
    outcome, scores = made
    found = compare_estimators(scores, outcome, "good", "useless", "kendall", n_resamples=500, seed=4)
    for j, target in enumerate(outcome.col_labels):
        difference = found.per_target[target]
        a, b = (kernel(scores[n].values[:, j], outcome.values[:, j], "kendall", "tau-b") for n in ("good", "useless"))
        code = cluster_codes(outcome.row_labels, None)
        draws = np.concatenate([a(c[:, code]) - b(c[:, code]) for (c,) in multiplicities([12], 500, 4, 12)])
        assert difference.estimate == pytest.approx((a(np.ones((1, 12))) - b(np.ones((1, 12))))[0])
        assert (difference.low, difference.high) == pytest.approx(tuple(np.nanquantile(draws, [0.025, 0.975])))
        assert difference.adjusted >= difference.p_value
    assert found.mean.low > 0 and found.mean.p_value < 0.05 and found.mean.n == 8


def test_an_estimator_does_not_differ_from_itself(made):
    outcome, scores = made
    found = compare_estimators(scores, outcome, "good", "copy", n_resamples=200)
    assert found.mean.estimate == 0 and found.mean.p_value == 1.0


@pytest.mark.slow
def test_the_test_of_equal_estimators_keeps_its_level():
    """Two estimators of equal quality: p <= 0.05 about one time in twenty."""
    rng = np.random.default_rng(5)
    rejected, reps = 0, 150
    import pandas as pd

    from analysis import import_outcomes

    wide = pd.DataFrame(np.zeros((10, 8)), columns=[f"t{j}" for j in range(8)])
    wide.insert(0, "source", [f"s{i}" for i in range(10)])
    template = transfer_matrix(import_outcomes(wide, rows="source", fixed={"metric": "gain"}), value="gain")
    for k in range(reps):
        truth = rng.normal(size=(10, 8))
        scores = {n: replace(template, values=truth + 0.8 * rng.normal(size=truth.shape)) for n in ("a", "b")}
        outcome = replace(template, values=truth)
        found = compare_estimators(scores, outcome, "a", "b", "kendall", n_resamples=300, seed=k)
        rejected += found.mean.p_value <= 0.05
    assert rejected / reps <= 0.09


def test_what_cannot_be_compared(made):
    outcome, scores = made
    with pytest.raises(HarnessError, match=r"'god'.*'good'"):
        compare_estimators(scores, outcome, "god", "useless")
    constant = replace(outcome, values=np.ones(outcome.shape))
    found = compare_estimators({**scores, "constant": constant}, outcome, "good", "constant", n_resamples=50)
    assert found.mean.reason == "no target has both coefficients" and np.isnan(found.mean.p_value)
    other = replace(outcome, cols="backbone")
    with pytest.raises(HarnessError, match="source x backbone"):
        compare_estimators({"a": other, "b": other}, outcome, "a", "b")


def test_the_table_has_estimators_baselines_ceiling_and_the_test(made):
    outcome, scores = made
    study = estimator_study(scores, outcome, "kendall", n_resamples=300)
    assert study.strongest == ELSEWHERE and study.p_values["good"][1] >= study.p_values["good"][0]
    table = estimator_table(study)
    names = [row[0].text for row in table.rows]
    assert names == ["good", "useless", "copy", f"{ELSEWHERE} (baseline)"]
    assert table.header[-2:] == (f"p against {ELSEWHERE}", "cells") and len(table.header) == 8 + 5
    assert [row[-1].text for row in table.rows] == [str(study.found[name].pooled.n) for name in study.every]
    assert any("no repeated seeds" in n for n in table.notes)
    assert table.records[0]["mean"] == study.found["good"].mean.estimate
    assert "not known for s0" in " ".join(table.notes) and table.to_latex().count(r"\\") == 5


def test_scores_that_know_nothing_of_the_target_are_baselines_and_one_known_for_few_is_tested_against_nothing(made):
    outcome, scores = made
    few = np.full_like(outcome.values, np.nan)
    few[:2] = outcome.values[:2]
    known = {**scores, "imagenet_accuracy": replace(scores["copy"], values=few), "source_accuracy": scores["copy"]}
    study = estimator_study(known, outcome, "kendall", n_resamples=50)
    assert set(study.baselines) == {"imagenet_accuracy", "source_accuracy", ELSEWHERE}
    assert set(study.p_values) == set(scores)
    assert study.found["imagenet_accuracy"].mean.estimate == pytest.approx(1), "the best, where it is known"
    assert study.strongest != "imagenet_accuracy"


def test_of_one_target_the_test_is_within_it(made):
    outcome, scores = made
    first = np.arange(len(outcome.row_labels)), np.array([0])
    one = outcome.reordered(*first)
    single = {name: x.reordered(*first) for name, x in scores.items()} | {"source_accuracy": scores["useless"]}
    study = estimator_study(single, one, "kendall", n_resamples=200)
    within = compare_estimators(study.every, one, "good", study.strongest, "kendall", n_resamples=200)
    assert study.p_values["good"][0] == next(iter(within.per_target.values())).p_value
    assert np.isfinite(study.p_values["good"][0])
