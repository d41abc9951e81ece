"""Budgets, schedules and rules: closed forms and refusals."""

from __future__ import annotations

import math

import pytest
import torch

from harness.errors import HarnessError
from harness.training.rules import CheckpointRule
from harness.training.schedule import factor
from harness.training.settings import Budget, Optimiser


def test_steps_count_unless_passes_are_given() -> None:
    assert Budget(steps=70, batch_size=16).steps_for(100) == 70
    assert Budget(steps=70, epochs=2, batch_size=16).steps_for(100) == math.ceil(200 / 16)
    assert Budget(epochs=3, batch_size=64).steps_for(10) == 3, "a batch is never larger than the data"
    assert Budget(batch_size=64).batch_of(10) == 10


def test_cosine_is_torchs_own() -> None:
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD([parameter], lr=1.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=20)
    for step in range(20):
        assert factor("cosine", step, 20) == pytest.approx(schedule.get_last_lr()[0], abs=1e-12)
        optimiser.step()
        schedule.step()
    assert {factor("constant", step, 20) for step in range(20)} == {1.0}


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Budget(steps=0), "steps must be at least 1"),
        (lambda: Budget(epochs=0), "epochs must be at least 1"),
        (lambda: Budget(batch_size=0), "batch_size must be at least 1"),
        (lambda: Optimiser(lr=-1), "must not be negative"),
        (lambda: Optimiser(weight_decay=-1), "must not be negative"),
        (lambda: Optimiser(momentum=1), "below 1"),
        (lambda: Optimiser(clip=0), "clip must be positive"),
        (lambda: CheckpointRule(every=0), "every must be at least 1"),
    ],
)
def test_impossible_settings_are_one_sentence(make, sentence: str) -> None:
    with pytest.raises(HarnessError, match=sentence):
        make()
