"""Budgets, schedules and rules: closed forms and refusals."""

from __future__ import annotations

import math

import pytest
import torch

from harness.errors import HarnessError
from harness.training.rules import CheckpointRule, Watch
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
        assert factor(Optimiser(schedule="cosine"), step, 20) == pytest.approx(schedule.get_last_lr()[0], abs=1e-12)
        optimiser.step()
        schedule.step()
    assert {factor(Optimiser(schedule="constant"), step, 20) for step in range(20)} == {1.0}


@pytest.mark.parametrize("steps", [7, 20, 240, 270, 450])
@pytest.mark.parametrize("parts", [(0.6, 0.85), (0.5,), (2 / 9, 4 / 9, 6 / 9, 8 / 9)])
def test_steps_down_are_torchs_own(steps: int, parts: tuple[float, ...]) -> None:
    """Milestones are fractions: of 450 steps, ninths fall on whole hundreds."""
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD([parameter], lr=1.0)
    whole = [math.ceil(round(part * steps, 6)) for part in parts]
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimiser, whole, gamma=0.1)
    how = Optimiser(schedule="step", milestones=parts)
    for step in range(steps):
        assert factor(how, step, steps) == pytest.approx(schedule.get_last_lr()[0], rel=1e-12)
        optimiser.step()
        schedule.step()


def test_the_papers_schedule_is_its_fractions() -> None:
    """450,000 iterations, a tenth of the rate every 100,000 (Yosinski et al. 2014)."""
    how = Optimiser(schedule="step", milestones=(2 / 9, 4 / 9, 6 / 9, 8 / 9))
    changes = [step for step in range(1, 450) if factor(how, step, 450) != factor(how, step - 1, 450)]
    assert changes == [100, 200, 300, 400] and factor(how, 449, 450) == pytest.approx(1e-4)


def test_operations_decide_before_passes_and_steps() -> None:
    budget = Budget(steps=70, epochs=2, batch_size=16, flops=1e6)
    assert budget.steps_for(100, step_flops=3e4) == math.ceil(1e6 / 3e4) == 34
    assert budget.length(100) == Budget(steps=1, batch_size=4, flops=1e6).length(7)
    assert Budget(epochs=2, batch_size=16).length(100) == Budget(steps=13).length(9) == 13
    with pytest.raises(HarnessError, match="needs a network that has some"):
        budget.steps_for(100)


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
        (lambda: Budget(flops=0), "flops must be at least 1"),
        (lambda: Optimiser(schedule="step", milestones=(0.5, 0.2)), "rising fractions"),
        (lambda: Optimiser(schedule="step", milestones=(1.0,)), "rising fractions"),
        (lambda: Optimiser(milestones=(0.5,)), "milestones belong to the schedule `step`"),
        (lambda: Optimiser(bias_lr=-1), "must not be negative"),
        (lambda: CheckpointRule(every=0), "every must be at least 1"),
        (lambda: Watch(every=0), "evaluate_every must be at least 1"),
    ],
)
def test_impossible_settings_are_one_sentence(make, sentence: str) -> None:
    with pytest.raises(HarnessError, match=sentence):
        make()
