"""When a training counts as diverged or as not trained."""

from __future__ import annotations

import math

import pytest
import torch

from harness.training.health import first_bad_step, guessing_loss, not_trained


def test_the_first_bad_step_is_found() -> None:
    assert first_bad_step(torch.tensor([1.0, 0.5, 0.2])) is None
    assert first_bad_step(torch.tensor([1.0, math.inf, 0.2, math.nan])) == 1


@pytest.mark.parametrize(
    ("losses", "flagged"),
    [
        ([math.log(10)] * 50, True),  # never moved
        ([math.log(10) + 0.1 * (-1) ** step for step in range(50)], True),  # noise around where it began
        ([math.log(10) * 1.02**step for step in range(50)], True),  # only ever worse
        ([math.log(10) * 0.97**step for step in range(50)], False),  # learnt
        ([math.log(10)] * 20 + [1.0] * 10 + [math.log(10)] * 20, False),  # learnt, then lost it
        ([0.3] * 50, False),  # began well: nothing to leave
        ([math.log(10)], True),  # a single step
    ],
)
def test_a_loss_that_never_left_its_level_is_flagged(losses: list[float], flagged: bool) -> None:
    assert not_trained(torch.tensor(losses), math.log(10)) is flagged


def test_guessing_is_what_the_best_constant_output_loses() -> None:
    """Minimise each loss over outputs that are the same for every input."""
    one, classes = torch.arange(10), 10
    cross_entropy = torch.nn.functional.cross_entropy
    assert guessing_loss(one, classes) == pytest.approx(float(cross_entropy(torch.zeros(10, 10), one)))
    several = torch.tensor([[1, 0], [0, 1]])
    binary = torch.nn.functional.binary_cross_entropy_with_logits
    assert guessing_loss(several, 2) == pytest.approx(float(binary(torch.zeros(2, 2), several.float())))
    numbers = torch.randn(20, 3)
    constants = numbers.mean(0, keepdim=True).expand(20, 3)
    assert guessing_loss(numbers, 3) == pytest.approx(float((numbers - constants).square().mean()), rel=1e-5)
