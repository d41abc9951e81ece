"""Metrics against counting by hand and against torch."""

from __future__ import annotations

import pytest
import torch

from harness.errors import HarnessError
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
