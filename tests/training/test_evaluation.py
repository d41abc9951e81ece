"""Metrics against scikit-learn, brute force, closed forms and torch; one member never changes another's."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from torch import Tensor

from harness.errors import HarnessError
from harness.tasks.metrics import METRICS, metrics_of
from harness.training import evaluation
from harness.training.evaluation import (
    accuracy,
    auroc,
    cross_entropy,
    loss,
    map_11,
    mean_per_class,
    metric,
    relative_l2,
)


def drawn(seed: int, width: int, examples: int, classes: int, levels: int | None = None) -> Tensor:
    """Logits of which many are equal when there are few `levels`."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(width, examples, classes, generator=generator)
    return logits if levels is None else (logits * levels / 4).round()


def labels_of(seed: int, width: int, examples: int, classes: int) -> Tensor:
    return torch.randint(0, classes, (width, examples), generator=torch.Generator().manual_seed(seed + 1))


def memberships(seed: int, width: int, examples: int, classes: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed + 2)
    return (torch.rand(width, examples, classes, generator=generator) < 0.3).long()


def plain_ap(scores: np.ndarray, members: np.ndarray) -> float:
    """11-point AP by its definition: go through every threshold that a score sets, look up every recall level."""
    points = []
    for threshold in sorted(set(scores.tolist())):
        taken = scores >= threshold
        found = int(members[taken].sum())
        points.append((found, found / int(taken.sum())))
    total = int(members.sum())
    levels = [max((p for found, p in points if 10 * found >= level * total), default=0.0) for level in range(11)]
    return sum(levels) / 11


def test_accuracy_counts() -> None:
    logits = torch.tensor([[[2.0, 1.0], [0.0, 1.0], [3.0, 0.0]], [[0.0, 1.0], [0.0, 1.0], [0.0, 1.0]]])
    labels = torch.tensor([[0, 1, 1], [1, 1, 1]])
    assert accuracy(logits, labels).tolist() == pytest.approx([2 / 3, 1.0])


def test_loss_is_torchs_cross_entropy() -> None:
    logits, labels = torch.randn(3, 5, 4), torch.randint(0, 4, (3, 5))
    for member in range(3):
        expected = torch.nn.functional.cross_entropy(logits[member], labels[member])
        assert float(loss(logits, labels)[member]) == pytest.approx(float(expected), rel=1e-5)
    assert cross_entropy(logits.bfloat16(), labels).dtype == torch.float32


def test_the_loss_of_several_classes_is_binary_cross_entropy() -> None:
    logits, labels = drawn(0, 2, 6, 4), memberships(0, 2, 6, 4)
    for member in range(2):
        chances = torch.sigmoid(logits[member].double())
        by_hand = -(labels[member] * chances.log() + (1 - labels[member]) * (1 - chances).log())
        torch.testing.assert_close(cross_entropy(logits, labels)[member].double(), by_hand.mean(1), rtol=1e-5, atol=0)
    assert float(loss(torch.zeros(1, 3, 5), torch.ones(1, 3, 5).long())) == pytest.approx(math.log(2))


def test_the_loss_of_numbers_is_the_squared_error() -> None:
    outputs, targets = torch.tensor([[[1.0, 2.0], [0.0, 0.0]]]), torch.tensor([[[0.0, 4.0], [3.0, 0.0]]])
    assert cross_entropy(outputs, targets).tolist() == [[2.5, 4.5]]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), classes=st.integers(2, 6), examples=st.integers(1, 40))
def test_mean_per_class_is_scikit_learns_balanced_accuracy(seed: int, classes: int, examples: int) -> None:
    logits, labels = drawn(seed, 2, examples, classes), labels_of(seed, 2, examples, classes)
    for member, value in enumerate(mean_per_class(logits, labels).tolist()):
        guesses = logits[member].argmax(-1)
        # scikit-learn leaves out classes that do not occur, too, but warns of guesses among them.
        occurring = [np.mean((guesses == c)[labels[member] == c].numpy()) for c in labels[member].unique()]
        assert value == pytest.approx(float(np.mean(occurring)))
        if set(guesses.tolist()) <= set(labels[member].tolist()):
            assert value == pytest.approx(balanced_accuracy_score(labels[member], guesses))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), examples=st.integers(2, 60), levels=st.sampled_from([None, 4, 20]))
def test_binary_auroc_is_scikit_learns(seed: int, examples: int, levels: int | None) -> None:
    logits, labels = drawn(seed, 3, examples, 2, levels), labels_of(seed, 3, examples, 2)
    for member, value in enumerate(auroc(logits, labels).tolist()):
        if len(labels[member].unique()) < 2:
            assert math.isnan(value), "without both classes it is not defined"
        else:
            score = (logits[member, :, 1] - logits[member, :, 0]).numpy()
            assert value == pytest.approx(roc_auc_score(labels[member], score), abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), classes=st.integers(3, 6))
def test_auroc_of_one_class_among_many_is_scikit_learns_macro_one_against_the_rest(seed: int, classes: int) -> None:
    logits, labels = drawn(seed, 2, 80, classes), labels_of(seed, 2, 80, classes)
    for member, value in enumerate(auroc(logits, labels).tolist()):
        chances = logits[member].double().softmax(-1).numpy()
        expected = roc_auc_score(labels[member], chances, multi_class="ovr", average="macro")
        assert value == pytest.approx(expected, abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), levels=st.sampled_from([None, 6]))
def test_auroc_of_several_classes_is_scikit_learns_macro(seed: int, levels: int | None) -> None:
    logits, labels = drawn(seed, 2, 50, 4, levels), memberships(seed, 2, 50, 4)
    for member, value in enumerate(auroc(logits, labels).tolist()):
        expected = roc_auc_score(labels[member].numpy(), logits[member].numpy(), average="macro")
        assert value == pytest.approx(expected, abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    examples=st.integers(1, 50),
    classes=st.integers(1, 5),
    levels=st.sampled_from([None, 3, 12]),
)
def test_map_is_the_definition_at_every_threshold(seed: int, examples: int, classes: int, levels: int | None) -> None:
    logits, labels = drawn(seed, 2, examples, classes, levels), memberships(seed, 2, examples, classes)
    for member, value in enumerate(map_11(logits, labels).tolist()):
        counted = [c for c in range(classes) if labels[member, :, c].any()]
        each = [plain_ap(logits[member, :, c].numpy(), labels[member, :, c].numpy()) for c in counted]
        assert value == pytest.approx(np.mean(each), abs=1e-12) if each else math.isnan(value)


def test_map_by_hand() -> None:
    """Five examples, two of the class, at places 1 and 4: precision 1 up to recall .5, then 2/4."""
    scores = torch.tensor([5.0, 4.0, 3.0, 2.0, 1.0]).view(1, 5, 1)
    members = torch.tensor([1, 0, 0, 1, 0]).view(1, 5, 1)
    assert float(map_11(scores, members)) == pytest.approx((6 * 1.0 + 5 * 0.5) / 11)
    worst = torch.tensor([0, 0, 0, 0, 1]).view(1, 5, 1)
    assert float(map_11(scores, worst)) == pytest.approx(1 / 5), "VOC's own, without a precision of 1 at recall 0"


def test_a_class_that_does_not_occur_is_left_out() -> None:
    logits = drawn(5, 1, 12, 4)
    labels = torch.tensor([[0, 1, 3] * 4])
    there = [0, 1, 3]
    chances = logits[0].double().softmax(-1).numpy()
    members = torch.nn.functional.one_hot(labels[0], 4).numpy()
    aurocs = [roc_auc_score(members[:, c], chances[:, c]) for c in there]
    assert float(auroc(logits, labels)) == pytest.approx(np.mean(aurocs))
    assert float(map_11(logits, labels)) == pytest.approx(
        np.mean([plain_ap(chances[:, c], members[:, c]) for c in there])
    )
    everywhere = torch.ones(1, 12, 1).long()
    assert math.isnan(float(auroc(logits[..., :1], everywhere))), "no example without the class"


def test_scores_that_run_into_one_are_still_told_apart() -> None:
    logits = torch.tensor([[[0.0, 200.0, 0.0], [0.0, 300.0, 0.0], [0.0, 30.0, 0.0], [9.0, 0.0, 0.0]]])
    labels = torch.tensor([[0, 1, 1, 2]])
    chances = logits[0].double().softmax(-1)
    assert chances[0, 1] == chances[1, 1] == 1.0 > chances[2, 1], "a tie in double precision"
    # Of class 1 two members, (tie, below) against (tie, below): 1/2 + 1 + 0 + 1 of 4. Of class 0 scores are e^-200,
    # e^-300, e^-30 and nearly 1; of class 2 they are e^-200, e^-300, e^-30 and, its only member, e^-9.
    assert float(auroc(logits, labels)) == pytest.approx(np.mean([1 / 3, 2.5 / 4, 1.0]))
    two = torch.tensor([[[0.0, 200.0], [0.0, 300.0]]])
    assert float(auroc(two, torch.tensor([[0, 1]]))) == 1.0, "of two classes nothing is lost"


@pytest.mark.parametrize("name", ["accuracy", "mean_per_class", "map_11", "auroc", "loss"])
def test_no_member_changes_another(name: str) -> None:
    measure, _ = metric(name)
    logits, labels = drawn(3, 4, 30, 5), labels_of(3, 4, 30, 5)
    whole = measure(logits, labels)
    assert whole.shape == (4,) and whole.dtype == torch.float64
    for member in range(4):
        alone = measure(logits[member : member + 1], labels[member : member + 1])
        assert torch.equal(alone, whole[member : member + 1])
    broken = logits.clone()
    broken[2] = torch.nan
    others = [0, 1, 3]
    assert torch.equal(measure(broken, labels)[others], whole[others])


def test_many_classes_are_measured_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    logits, labels = drawn(1, 2, 20, 7), memberships(1, 2, 20, 7)
    whole = auroc(logits, labels), map_11(logits, labels)
    monkeypatch.setattr(evaluation, "MOST_NUMBERS", 2 * 20 * 3)
    assert torch.equal(auroc(logits, labels), whole[0]) and torch.equal(map_11(logits, labels), whole[1])


def test_relative_l2_in_closed_form() -> None:
    targets = torch.tensor([[[3.0, 4.0], [0.0, 2.0]]])
    assert float(relative_l2(targets, targets)) == 0.0
    assert float(relative_l2(torch.zeros(1, 2, 2), targets)) == 1.0
    assert float(relative_l2(1.25 * targets, targets)) == pytest.approx(0.25)
    aside = targets + torch.tensor([[[0.0, 5.0], [0.0, 0.0]]])
    assert float(relative_l2(aside, targets)) == pytest.approx((5 / 5 + 0) / 2)
    nothing = torch.zeros(1, 1, 2)
    assert float(relative_l2(nothing, nothing)) == 0.0
    assert float(relative_l2(nothing + 1, nothing)) == math.inf


def test_metrics_say_which_way_is_better() -> None:
    assert metric("accuracy") == (accuracy, True)
    assert metric("loss") == (loss, False)
    assert metric("relative_l2") == (relative_l2, False)
    with pytest.raises(HarnessError, match=r"unknown metric 'acuracy' \(did you mean 'accuracy'\?\)"):
        metric("acuracy")
    assert set(METRICS) == set(evaluation._METRICS), "what is known of a metric is known of all"


@pytest.mark.parametrize("name", METRICS)
def test_values_keep_to_the_range_that_is_stated(name: str) -> None:
    measure, _ = metric(name)
    facts = METRICS[name]
    made = {
        "class": labels_of(8, 3, 25, 4),
        "classes": memberships(8, 3, 25, 4),
        "numbers": torch.randn(3, 25, 4),
    }
    for targets in made:
        if targets in facts.targets:
            values = measure(10 * drawn(8, 3, 25, 4), made[targets])
            assert bool(((values >= facts.least) & (values <= facts.largest)).all())
            assert name in metrics_of(targets)
        elif name != "loss":
            with pytest.raises(HarnessError, match=f"{name} does not measure examples of"):
                measure(drawn(8, 3, 25, 4), made[targets])


class OnDisk:
    """Inputs that are read a slice at a time."""

    def __init__(self, inputs: torch.Tensor) -> None:
        self.inputs, self.shape, self.read = inputs, inputs.shape, 0

    def __getitem__(self, chosen: slice) -> torch.Tensor:
        self.read = max(self.read, len(self.inputs[chosen]))
        return self.inputs[chosen]


def test_a_split_is_read_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "MOST_NUMBERS", 4 * 3)
    inputs = OnDisk(torch.randn(10, 3))
    weight = {"weight": torch.randn(1, 3, 2).double()}
    found = evaluation.predict_split(lambda given, seen: seen @ given["weight"], weight, inputs, "cpu", torch.float64)
    assert inputs.read == 4 and found.dtype == torch.float64
    torch.testing.assert_close(found[0], inputs.inputs.double() @ weight["weight"][0])
