"""How long a prompt is trained and how its learning rate runs, against PyTorch's own schedule."""

from __future__ import annotations

import pytest
import torch

from harness.errors import HarnessError
from harness.training.prompt_settings import Prompt, PromptBudget


def test_one_pass_at_the_warm_up_rate_then_a_cosine_of_passes() -> None:
    """The schedule of CoOp: CosineAnnealingLR over all passes, its first ones at a constant rate instead."""
    budget = PromptBudget(epochs=7, batch_size=32, warm_up=1, warm_up_lr=1e-5)
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD([parameter], lr=0.002)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=7)
    expected = []
    for number in range(7):
        expected.append(1e-5 if number < 1 else schedule.get_last_lr()[0])
        optimiser.step()
        schedule.step()
    assert budget.steps_for(100) == 28 and budget.steps_a_pass(100) == 4
    found = [0.002 * budget.rate(step, 100, 0.002) for step in range(28)]
    assert found == pytest.approx([rate for rate in expected for _ in range(4)])


@pytest.mark.parametrize(
    ("examples", "steps"), [(2 * 16, 200), (10 * 16, 1_000), (7 * 4, 200), (211 * 16, 21_200), (37 * 1, 400)]
)
def test_steps_of_the_published_settings(examples: int, steps: int) -> None:
    """200 passes in batches of 32 over 16 (of 20) or 4 (of 5) examples a class: two classes take 200 steps."""
    assert PromptBudget().steps_for(examples) == steps


def test_no_pass_is_no_step_and_no_rate_divides_by_zero() -> None:
    assert PromptBudget(epochs=0).steps_for(50) == 0
    assert PromptBudget().rate(0, 50, 0.0) == 0.0


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(HarnessError, match=r"no \{\} for the class name"):
        Prompt("vpt", template="a photo")
    with pytest.raises(HarnessError, match="at least one token"):
        Prompt("coop", context=0)
    with pytest.raises(HarnessError, match="not be negative"):
        PromptBudget(epochs=-1)


def test_what_is_learned_says_what_can_be_computed_once() -> None:
    assert [kind for kind in ("coop", "cocoop", "vpt", "upt") if Prompt(kind).of_text] == ["coop", "cocoop", "upt"]  # type: ignore[arg-type]  # literals in a loop
    assert Prompt("vpt").of_pictures and Prompt("upt").of_pictures and not Prompt("cocoop").of_pictures
