"""Metrics against counting by hand and against torch."""

from __future__ import annotations

import pytest
import torch

from harness.errors import HarnessError
from harness.training import evaluation
from harness.training.evaluation import accuracy, cross_entropy, loss, metric


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


def test_metrics_say_which_way_is_better() -> None:
    assert metric("accuracy") == (accuracy, True)
    assert metric("loss") == (loss, False)
    with pytest.raises(HarnessError, match=r"unknown metric 'acuracy' \(did you mean 'accuracy'\?\)"):
        metric("acuracy")


class OnDisk:
    """Inputs that are read a slice at a time."""

    def __init__(self, inputs: torch.Tensor) -> None:
        self.inputs, self.shape, self.read = inputs, inputs.shape, 0

    def __getitem__(self, chosen: slice) -> torch.Tensor:
        self.read = max(self.read, len(self.inputs[chosen]))
        return self.inputs[chosen]


def test_a_split_is_read_in_pieces(monkeypatch) -> None:
    monkeypatch.setattr(evaluation, "MOST_NUMBERS", 4 * 3)
    inputs = OnDisk(torch.randn(10, 3))
    weight = {"weight": torch.randn(1, 3, 2).double()}
    found = evaluation.predict_split(lambda given, seen: seen @ given["weight"], weight, inputs, "cpu", torch.float64)
    assert inputs.read == 4 and found.dtype == torch.float64
    torch.testing.assert_close(found[0], inputs.inputs.double() @ weight["weight"][0])
