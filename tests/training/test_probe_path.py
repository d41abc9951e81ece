"""The probe whose regularisation is chosen on validation: what is chosen, from what, and what it never sees."""

from __future__ import annotations

import pytest
import torch

from harness.errors import HarnessError
from harness.graph import Features, Weights
from harness.tasks.sampling import few_shot
from harness.training.features import extract_features
from harness.training.logistic_path import fit_path
from harness.training.probe import evaluate_probe
from harness.training.probe_path import STRENGTHS, fit_probe_path
from tests.training.places import Place, run_batch, run_stages
from tests.training.toys import cloud, poison

GRID = (1e-4, 1e-2, 1.0)


def seen(split: str, name: str = "cloud") -> Features:
    return extract_features(task=cloud(name), split=split, ctx=Place())


def test_the_best_of_validation_is_kept_and_the_path_told() -> None:
    place = Place()
    got = fit_probe_path(
        task=cloud(), features=(seen("train"),), validation=seen("val"), shots=3, strengths=GRID, seed=4, ctx=place
    )
    train, val = cloud().split("train"), cloud().split("val")
    chosen = few_shot(train.labels, 3, Place().generator("few_shot", 4, "cloud", "train"))
    path = fit_path(train.inputs[chosen][None], train.labels[chosen][None], 3, torch.tensor(GRID).double())
    logits = torch.einsum("nd,kcd->knc", val.inputs.double(), path.weight[0]) + path.bias[0, :, None]
    values = (logits.argmax(-1) == val.labels).double().mean(1)
    assert [value for _, _, value in got.header["path"]] == pytest.approx(values.tolist())
    best = max(range(3), key=lambda place: (float(values[place]), GRID[place]))
    assert got.header["strength"] == GRID[best]
    torch.testing.assert_close(got.tensors["head.weight"], path.weight[0, best])
    assert place.curves["val/accuracy"] == list(enumerate(values.tolist()))


def test_among_equals_the_strongest_wins() -> None:
    easy = Features({"features": torch.eye(3).repeat(4, 1), "labels": torch.arange(12) % 3}, {"split": "train"})
    val = Features(easy.tensors, {"split": "val"})
    got = fit_probe_path(task=cloud(), features=(easy,), validation=val, strengths=(1e-3, 1e-2, 1e-4), ctx=Place())
    assert [value for _, _, value in got.header["path"]] == [1.0, 1.0, 1.0]
    assert got.header["strength"] == 1e-2


def test_selection_has_no_way_to_see_the_test_split() -> None:
    task = cloud()
    bound = {split: extract_features.bind(task=task, split=split) for split in ("train", "val", "test")}
    probe = fit_probe_path.bind(task=task, features=(bound["train"],), validation=bound["val"])
    assert bound["test"].key not in {needed.key for needed in probe.inputs}
    measured = evaluate_probe.bind(task=task, probe=probe, features=(bound["test"],))
    rows = run_stages([measured])[measured.key].rows
    assert [(row.split, row.metric, row.n_eval) for row in rows] == [("test", "accuracy", 24)]


def test_what_is_learned_from_cannot_choose() -> None:
    with pytest.raises(HarnessError, match="cannot be chosen on 'val'"):
        fit_probe_path(task=cloud(), features=(seen("train"), seen("val")), validation=seen("val"), ctx=Place())


def test_members_of_a_batch_do_not_see_each_other() -> None:
    tasks = [cloud("one"), cloud("two"), cloud("three")]
    bound = [
        fit_probe_path.bind(
            task=task,
            features=(extract_features.bind(task=task, split="train"),),
            validation=extract_features.bind(task=task, split="val"),
            shots=4,
        )
        for task in tasks
    ]
    assert len({stage.group() for stage in bound}) == 1
    results = run_stages([needed for stage in bound for needed in stage.inputs])
    together = run_batch(bound, results)
    backwards = run_batch(bound[::-1], results)[::-1]
    for one, other, stage in zip(together, backwards, bound, strict=True):
        (alone,) = run_batch([stage], results)
        assert torch.equal(one.tensors["head.weight"], other.tensors["head.weight"])
        assert torch.equal(one.tensors["head.weight"], alone.tensors["head.weight"])
        assert one.header == alone.header


def test_bad_features_fail_alone() -> None:
    stages = []
    for task in (cloud(), poison()):
        bound = {split: extract_features.bind(task=task, split=split) for split in ("train", "val")}
        stages.append(fit_probe_path.bind(task=task, features=(bound["train"],), validation=bound["val"]))
    results = run_stages([needed for stage in stages for needed in stage.inputs])
    good, bad = run_batch(stages, results)
    assert isinstance(good, Weights) and isinstance(bad, HarnessError)
    only_bad = run_batch(stages[1:], results)
    assert isinstance(only_bad[0], HarnessError)


def test_flags_of_the_features_are_passed_on() -> None:
    flagged = Features(seen("train").tensors, {"split": "train", "flags": ["off_size"]})
    got = fit_probe_path(task=cloud(), features=(flagged,), validation=seen("val"), ctx=Place())
    assert got.header["flags"] == ["off_size"]
    assert len(got.header["path"]) == len(STRENGTHS)
