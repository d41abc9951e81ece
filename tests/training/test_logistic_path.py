"""Paths of regularisation against scikit-learn and against one fit at a time."""

from __future__ import annotations

import pytest
import torch
from sklearn.linear_model import LogisticRegression

from harness.errors import HarnessError
from harness.training import logistic_path
from harness.training.logistic import fit_logistic
from harness.training.logistic_path import LogisticPath, fit_path

STRENGTHS = torch.tensor([1e-1, 1e-4, 1e-2])
"""Not in order, so that results must come back in the order asked for."""


def data(sets: int, examples: int, width: int, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(examples)
    scale = torch.logspace(-1, 1, width)
    inputs = torch.randn(sets, examples, width, generator=generator) * scale + 3
    return inputs, torch.randint(0, classes, (sets, examples), generator=generator)


@pytest.mark.parametrize(("examples", "width"), [(40, 6), (12, 30)])
def test_each_fit_is_scikit_learns(examples: int, width: int) -> None:
    inputs, labels = data(2, examples, width, 3)
    path = fit_path(inputs, labels, 3, STRENGTHS, tolerance=1e-9)
    assert bool(path.converged.all())
    for row in range(2):
        variance = inputs[row].double().var(0, unbiased=False).sum()
        for place, strength in enumerate(STRENGTHS.double()):
            l2 = float(strength * variance)
            assert float(path.l2[row, place]) == pytest.approx(l2)
            other = LogisticRegression(C=1 / (examples * l2), tol=1e-12, max_iter=10_000, solver="lbfgs")
            other.fit(inputs[row].double().numpy(), labels[row].numpy())
            expected = other.predict_log_proba(inputs[row].double().numpy())
            logits = inputs[row].double() @ path.weight[row, place].T + path.bias[row, place]
            torch.testing.assert_close(logits.log_softmax(1), torch.from_numpy(expected), rtol=2e-3, atol=2e-3)


def test_each_fit_is_that_of_one_strength_alone() -> None:
    inputs, labels = data(3, 30, 8, 4)
    path = fit_path(inputs, labels, 4, STRENGTHS, tolerance=1e-9)
    for place in range(len(STRENGTHS)):
        alone = fit_logistic(inputs, labels, 4, path.l2[:, place], tolerance=1e-9)
        torch.testing.assert_close(path.weight[:, place], alone.weight, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(path.bias[:, place], alone.bias, rtol=1e-5, atol=1e-5)


def test_scale_of_the_features_does_not_matter() -> None:
    inputs, labels = data(1, 30, 8, 4)
    one, other = (fit_path(inputs * factor, labels, 4, STRENGTHS, tolerance=1e-9) for factor in (1.0, 64.0))
    torch.testing.assert_close(one.weight, other.weight * 64, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(one.bias, other.bias, rtol=1e-5, atol=1e-5)


def same(one: LogisticPath, other: LogisticPath) -> bool:
    return all(torch.equal(getattr(one, part), getattr(other, part)) for part in ("weight", "bias", "converged"))


@pytest.mark.parametrize("most", [2**18, 30 * 8])
def test_a_set_does_not_see_the_others(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bit for bit, whether sets are solved together or (the second case) one by one."""
    monkeypatch.setattr(logistic_path, "MOST_NUMBERS", most)
    inputs, labels = data(4, 30, 8, 4)
    whole = fit_path(inputs, labels, 4, STRENGTHS)
    swapped = fit_path(inputs.flip(0), labels.flip(0), 4, STRENGTHS)
    back = LogisticPath(*(getattr(swapped, part).flip(0) for part in ("weight", "bias", "l2", "converged")))
    assert same(whole, back)
    spoiled = inputs.clone()
    spoiled[1] = torch.randn_like(spoiled[1])
    other = fit_path(spoiled, labels, 4, STRENGTHS)
    assert torch.equal(other.weight[[0, 2, 3]], whole.weight[[0, 2, 3]])


def test_what_only_fills_up_is_left_out_where_sets_are_solved_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs, labels = data(4, 30, 8, 4)
    whole = fit_path(inputs, labels, 4, STRENGTHS)
    assert len(fit_path(inputs, labels, 4, STRENGTHS, needed=2).weight) == 4, "solved together"
    monkeypatch.setattr(logistic_path, "MOST_NUMBERS", 30 * 8)
    some = fit_path(inputs, labels, 4, STRENGTHS, needed=2)
    assert len(some.weight) == 2
    torch.testing.assert_close(some.weight, whole.weight[:2], rtol=1e-3, atol=1e-4)


def test_equal_inputs_give_the_class_shares() -> None:
    path = fit_path(torch.ones(1, 4, 3), torch.tensor([[0, 1, 1, 1]]), 2, torch.tensor([0.1]), tolerance=1e-9)
    shares = (path.weight[0, 0] @ torch.ones(3, dtype=torch.float64) + path.bias[0, 0]).softmax(0)
    torch.testing.assert_close(shares, torch.tensor([0.25, 0.75], dtype=torch.float64), rtol=1e-6, atol=1e-6)


def test_strengths_must_be_positive() -> None:
    inputs, labels = data(1, 10, 3, 2)
    with pytest.raises(HarnessError, match="strength above 0"):
        fit_path(inputs, labels, 2, torch.tensor([0.1, 0.0]))
