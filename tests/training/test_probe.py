"""The stages of a linear probe: features by hand, the fit against scikit-learn, and what is flagged."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from harness.backbones.small import Mlp
from harness.errors import HarnessError
from harness.graph import Features
from harness.tasks.sampling import few_shot
from harness.training.data import sample
from harness.training.features import extract_features
from harness.training.probe import evaluate_probe, fit_probe
from harness.training.settings import Budget
from harness.training.stages import train
from tests.training.places import Place, run_batch, run_stages, same_bits
from tests.training.toys import cloud, poison

NET = Mlp(hidden=6)
SHORT = Budget(steps=10)


def test_features_are_what_the_head_sees() -> None:
    net = train(task=cloud("source"), backbone=NET, budget=SHORT, ctx=Place())
    got = extract_features(task=cloud(), split="val", weights=net, backbone=NET, ctx=Place())
    network = NET.build(3, (5,), torch.Generator())
    network.load_state_dict(dict(net.tensors))
    val = cloud().split("val")
    torch.testing.assert_close(got.tensors["features"], network[:-1](val.inputs).detach())
    assert torch.equal(got.tensors["labels"], val.labels)
    assert got.header == {"task": "cloud", "split": "val", "flags": []}


def test_without_a_network_the_features_are_the_inputs() -> None:
    got = extract_features(task=cloud(), split="test", ctx=Place())
    assert torch.equal(got.tensors["features"], cloud().split("test").inputs)


def test_extraction_needs_no_head_that_fits() -> None:
    net = train(task=cloud("source", classes=4), backbone=NET, budget=SHORT, ctx=Place())
    got = extract_features(task=cloud(classes=3), split="val", weights=net, backbone=NET, ctx=Place())
    assert got.tensors["features"].shape == (12, 6)


@pytest.mark.parametrize("shots", [4, "all"])
def test_a_probe_is_scikit_learns_on_the_same_examples(shots) -> None:
    source = train.bind(task=cloud("source"), backbone=NET, budget=SHORT)
    seen = {
        split: extract_features.bind(task=cloud(), split=split, weights=source, backbone=NET)
        for split in ("train", "test")
    }
    fitted = fit_probe.bind(task=cloud(), features=(seen["train"],), shots=shots, l2=0.05, seed=3)
    measured = evaluate_probe.bind(task=cloud(), probe=fitted, features=(seen["test"],))
    results = run_stages([measured])
    train_set, test_set = (results[seen[split].key].tensors for split in ("train", "test"))
    chosen = few_shot(train_set["labels"], shots, Place().generator("few_shot", 3, "cloud", "train"))
    other = LogisticRegression(C=1 / (len(chosen) * 0.05), tol=1e-10, max_iter=10_000, solver="newton-cg")
    other.fit(train_set["features"][chosen].double().numpy(), train_set["labels"][chosen].numpy())
    np.testing.assert_allclose(results[fitted.key].tensors["head.weight"].numpy(), other.coef_, atol=1e-4)
    (row,) = results[measured.key].rows
    features, labels = test_set["features"].double().numpy(), test_set["labels"].numpy()
    assert row.value == pytest.approx(other.score(features, labels))
    assert (row.metric, row.split, row.task, row.n_eval) == ("accuracy", "test", "cloud", 24)


def test_a_probe_sees_the_examples_that_a_training_sees() -> None:
    seen = extract_features(task=cloud(), split="train", ctx=Place())
    chosen = few_shot(seen.tensors["labels"], 3, Place().generator("few_shot", 5, "cloud", "train"))
    assert torch.equal(seen.tensors["features"][chosen], sample(cloud(), ("train",), 3, 5, Place()).inputs)


def test_a_probe_may_learn_from_two_splits() -> None:
    seen = tuple(extract_features(task=cloud(), split=split, ctx=Place()) for split in ("train", "val"))
    both = fit_probe(task=cloud(), features=seen, ctx=Place())
    other = LogisticRegression(C=1 / (36 * 0.01), tol=1e-10, max_iter=10_000, solver="newton-cg")
    stacked = torch.cat([one.tensors["features"] for one in seen]).double().numpy()
    other.fit(stacked, torch.cat([one.tensors["labels"] for one in seen]).numpy())
    np.testing.assert_allclose(both.tensors["head.weight"].numpy(), other.coef_, atol=1e-4)


def test_probes_in_a_batch_are_probes_alone() -> None:
    tasks = [cloud("one"), cloud("two"), poison(), cloud("three")]
    seen = [extract_features.bind(task=task, split="train") for task in tasks]
    results = run_stages(seen)
    stages = [
        fit_probe.bind(task=task, features=(one,), shots=5, l2=l2, seed=seed)
        for seed, (task, one, l2) in enumerate(zip(tasks, seen, (0.1, 0.001, 0.1, 1.0), strict=True))
    ]
    assert len({stage.group() for stage in stages}) == 1
    together = run_batch(stages, results)
    assert isinstance(together[2], HarnessError) and "a feature of poison is not finite" in str(together[2])
    for place in (0, 1, 3):
        (alone,) = run_batch([stages[place]], results)
        assert same_bits(alone.tensors, together[place].tensors)
    measured = [
        evaluate_probe.bind(task=task, probe=stage, features=(one,))
        for task, stage, one in zip(tasks, stages, seen, strict=True)
    ]
    results |= {stage.key: fitted for stage, fitted in zip(stages, together, strict=True) if place != 2}
    good = [measured[0], measured[3]]
    assert [len(each.rows) for each in run_batch(good, results)] == [1, 1]


def test_what_shapes_the_program_keeps_probes_apart() -> None:
    seen = extract_features.bind(task=cloud(), split="train")
    plain = {"task": cloud(), "features": (seen,), "shots": 3}
    same = fit_probe.bind(**{**plain, "l2": 0.5, "seed": 4})
    assert fit_probe.bind(**plain).group() == same.group()
    for change in ({"shots": 4}, {"task": cloud(classes=2)}, {"features": (seen, seen)}):
        assert fit_probe.bind(**plain).group() != fit_probe.bind(**{**plain, **change}).group()


def test_a_fit_that_does_not_arrive_is_flagged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.training.logistic.MOST_STEPS", 2)
    place = Place()
    seen = extract_features(task=cloud(), split="train", ctx=Place())
    probe = fit_probe(task=cloud(), features=(seen,), ctx=place)
    assert place.flags == ["not_converged"]
    (row,) = evaluate_probe(task=cloud(), probe=probe, features=(seen,), ctx=Place()).rows
    assert row.flags == ("not_converged",)


def test_flags_of_the_source_reach_the_row() -> None:
    seen = extract_features(task=cloud(), split="train", ctx=Place())
    flagged = Features(seen.tensors, {**seen.header, "flags": ["not_trained"]})
    probe = fit_probe(task=cloud(), features=(flagged,), ctx=Place())
    (row,) = evaluate_probe(task=cloud(), probe=probe, features=(seen,), ctx=Place()).rows
    assert row.flags == ("not_trained",)
