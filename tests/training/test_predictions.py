"""Predictions that are kept: they measure exactly what the network itself measures, and average to ensembles."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import expit, logit, softmax

from harness.backbones.small import Mlp
from harness.errors import HarnessError
from harness.graph import Predictions
from harness.methods.base import Trial
from harness.methods.ensemble import ensemble
from harness.methods.fine_tune import fine_tune
from harness.tasks.base import Task, TaskSet
from harness.training.predictions import averaged, measure, measure_ensemble, predict, predicted, predicted_splits
from harness.training.settings import Budget
from harness.training.stages import evaluate, train
from tests.training.places import Place, run_batch, run_stages
from tests.training.toys import cloud

NET = Mlp(hidden=6)


def trial(**more: object) -> Trial:
    given = {"source": cloud("a"), "target": cloud("x"), "backbone": NET, "seed": 5, "source_seed": 8, **more}
    return Trial(**given)  # type: ignore[arg-type]  # keywords of one test


def two_classes(logits: list[list[float]], labels: list[int]) -> Predictions:
    return Predictions(
        {"test/logits": torch.tensor(logits), "test/labels": torch.tensor(labels, dtype=torch.int32)},
        {"task": "x", "flags": []},
    )


def test_predictions_measure_what_the_network_measures() -> None:
    task = cloud("x")
    weights = train(task=task, backbone=NET, budget=Budget(7), ctx=Place())
    made = predict(task=task, weights=weights, backbone=NET, ctx=Place())
    assert set(made.tensors) == {f"{split}/{what}" for split in ("val", "test") for what in ("logits", "labels")}
    assert made.tensors["test/logits"].dtype == torch.float32 and made.tensors["test/labels"].dtype == torch.int32
    direct = evaluate(task=task, weights=weights, backbone=NET, splits=("val", "test"), ctx=Place())
    assert measure(task=task, predictions=made, splits=("val", "test")) == direct


def test_labels_are_kept_small_and_come_back_as_they_were() -> None:
    task = cloud("x")
    weights = train(task=task, backbone=NET, budget=Budget(1), ctx=Place())
    made = predict(task=task, weights=weights, backbone=NET, splits=("test",), ctx=Place())
    logits, labels = predicted(made, "test")
    assert torch.equal(labels, task.split("test").labels) and labels.dtype == torch.int64
    assert logits.shape == (len(labels), task.n_classes)
    with pytest.raises(HarnessError, match=r"no predictions of 'tset'.*did you mean 'test'"):
        predicted(made, "tset")


def test_further_metrics_need_no_network() -> None:
    made = two_classes([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0]], [0, 1, 1])
    rows = measure(task=cloud("x", classes=2), predictions=made, metrics=("loss", "accuracy")).rows
    assert [row.metric for row in rows] == ["accuracy", "loss"], "each once, the task's own first"
    wanted = -np.log([softmax([2, 0])[0], softmax([0, 1])[1], softmax([3, 0])[1]]).mean()
    assert rows[0].value == pytest.approx(2 / 3) and rows[1].value == pytest.approx(wanted, rel=1e-6)
    assert {row.n_eval for row in rows} == {3}


def test_an_ensemble_is_the_mean_of_probabilities_or_of_logits() -> None:
    draw = np.random.default_rng(0)
    logits = draw.normal(size=(3, 20, 4), scale=4)
    task = cloud("x", classes=4)
    tensors = [torch.tensor(one) for one in logits]
    found = averaged(tensors, task, "probabilities").numpy()
    np.testing.assert_allclose(np.exp(found), softmax(logits, axis=2).mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(averaged(tensors, task, "logits").numpy(), logits.mean(axis=0), rtol=1e-12)


def test_of_several_classes_each_probability_is_averaged_by_itself() -> None:
    logits = np.random.default_rng(1).normal(size=(3, 9, 4))
    task = Task("m", 4, tuple("abcd"), (2,), {"test": 9}, {}, load=lambda _: None, metric="map_11", multi_label=True)  # type: ignore[arg-type, return-value]  # never loaded
    found = averaged([torch.tensor(one) for one in logits], task, "probabilities").numpy()
    np.testing.assert_allclose(found, logit(expit(logits).mean(axis=0)), rtol=1e-10)


def test_averaging_probabilities_and_logits_may_choose_differently() -> None:
    sure, unsure = two_classes([[0.0, 9.0]], [0]), two_classes([[4.0, 0.0]], [0])
    rows = {
        average: measure_ensemble(task=cloud("x", classes=2), members=(sure, unsure, unsure), average=average).rows[0]
        for average in ("probabilities", "logits")
    }
    assert (rows["probabilities"].value, rows["logits"].value) == (1.0, 0.0)


def test_members_of_an_ensemble_must_have_predicted_the_same_examples() -> None:
    with pytest.raises(HarnessError, match="same examples of test"):
        measure_ensemble(
            task=cloud("x", classes=2), members=(two_classes([[0.0, 1.0]], [0]), two_classes([[0.0, 1.0]], [1]))
        )


def test_candidates_and_outcome_share_one_artifact() -> None:
    task = cloud("x")
    assert predicted_splits(task, ("train",), ("val",)) == predicted_splits(task, ("train",), ("test",))
    assert predicted_splits(task, ("train", "val"), ("test",)) == ("test",)
    assert predicted_splits(task, ("train",), ("train",)) == ("val", "test", "train")
    candidate = fine_tune(trial(eval_splits=("val",)), keep_predictions=True)
    outcome = fine_tune(trial(), keep_predictions=True)
    assert candidate.key != outcome.key
    assert candidate.arguments["predictions"].key == outcome.arguments["predictions"].key
    assert outcome.arguments["predictions"].kind.keep == "durable"


def test_keeping_predictions_changes_no_value_and_no_other_key() -> None:
    plain, keeping = fine_tune(trial(), steps=5), fine_tune(trial(), steps=5, keep_predictions=True)
    (net,) = (one for one in plain.inputs if one.kind.name == "adapt")
    assert keeping.arguments["predictions"].arguments["weights"].key == net.key
    results = run_stages([plain, keeping])
    assert results[plain.key] == results[keeping.key]
    with pytest.raises(HarnessError, match="keep_predictions"):
        fine_tune(trial(), metrics=("loss",))


def test_an_ensemble_reads_the_predictions_of_its_fine_tuned_members() -> None:
    tasks = TaskSet((cloud("a"), cloud("b")))
    whole = ensemble(trial(source=tasks), steps=5, lr=0.05)
    alone = [fine_tune(trial(source=task), steps=5, lr=0.05, keep_predictions=True) for task in tasks.tasks]
    assert [one.key for one in whole.arguments["members"]] == [one.arguments["predictions"].key for one in alone]
    results = run_stages([whole])
    members = [results[one.key] for one in whole.arguments["members"]]
    mean = np.mean([softmax(one.tensors["test/logits"].numpy(), axis=1) for one in members], axis=0)
    share = (mean.argmax(axis=1) == members[0].tensors["test/labels"].numpy()).mean()
    assert results[whole.key].rows[0].value == pytest.approx(share)
    with pytest.raises(HarnessError, match="set of tasks"):
        ensemble(trial(source=None))


def test_batches_measure_what_single_calls_do_and_one_that_fails_fails_alone() -> None:
    good = fine_tune(trial(), steps=3, keep_predictions=True)
    results = run_stages([good])
    made = run_batch([good, good], results)
    assert made == [results[good.key]] * 2
    bad = measure.bind(task=cloud("x"), predictions=good.arguments["predictions"], splits=("train",))
    first, second = run_batch([good, bad], results)
    assert first == results[good.key] and isinstance(second, HarnessError)
    predictions = good.arguments["predictions"]
    (again,) = run_batch([predictions], results)
    assert torch.equal(again.tensors["test/logits"], results[predictions.key].tensors["test/logits"])
