"""The batched logistic regression against scikit-learn's, against its own optimality conditions, and bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from harness.errors import HarnessError
from harness.training.logistic import fit_logistic, minimise


def problem(members: int, examples: int, width: int, classes: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs with unequal means and scales, balanced labels, and another l2 for each member."""
    generator = torch.Generator().manual_seed(seed)
    scale = torch.rand(members, 1, width, generator=generator) * 5
    inputs = torch.randn(members, examples, width, generator=generator) * scale + scale
    labels = torch.arange(examples).remainder(classes).expand(members, examples).contiguous()
    return inputs, labels, torch.logspace(-3, 0, members, dtype=torch.float64)


@pytest.mark.parametrize(("examples", "width", "classes"), [(60, 7, 3), (20, 40, 4), (12, 12, 6)])
def test_the_optimum_is_scikit_learns(examples: int, width: int, classes: int) -> None:
    inputs, labels, l2 = problem(3, examples, width, classes)
    fit = fit_logistic(inputs, labels, classes, l2)
    assert fit.converged.all()
    for member in range(3):
        other = LogisticRegression(C=1 / (examples * float(l2[member])), tol=1e-10, max_iter=10_000, solver="newton-cg")
        other.fit(inputs[member].double().numpy(), labels[member].numpy())
        ours = inputs[member].double() @ fit.weight[member].T + fit.bias[member]
        theirs = other.decision_function(inputs[member].double().numpy())
        np.testing.assert_allclose(fit.weight[member].numpy(), other.coef_, atol=2e-4, rtol=1e-3)
        np.testing.assert_allclose(torch.softmax(ours, 1).numpy(), _softmax(theirs), atol=1e-4)


def _softmax(logits: np.ndarray) -> np.ndarray:
    shifted = np.exp(logits - logits.max(1, keepdims=True))
    return shifted / shifted.sum(1, keepdims=True)


def test_the_gradient_of_the_stated_objective_vanishes() -> None:
    inputs, labels, l2 = problem(4, 25, 60, 5, seed=3)
    fit = fit_logistic(inputs, labels, 5, l2, tolerance=1e-9)
    weight, bias = fit.weight.clone().requires_grad_(), fit.bias.clone().requires_grad_()
    logits = inputs.double() @ weight.transpose(1, 2) + bias.unsqueeze(1)
    losses = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view(4, 25)
    objective = losses.mean(1) + 0.5 * l2 * weight.square().sum((1, 2))
    for gradient in torch.autograd.grad(objective.sum(), (weight, bias)):
        assert float(gradient.abs().max()) < 1e-7


def test_constant_inputs_leave_only_the_bias() -> None:
    labels = torch.tensor([[0, 0, 0, 1]])
    fit = fit_logistic(torch.ones(1, 4, 2), labels, 2, torch.tensor([0.1], dtype=torch.float64))
    assert float(fit.weight.abs().max()) < 1e-12
    probability = torch.softmax(fit.bias[0], 0)
    assert float(probability[0]) == pytest.approx(0.75, abs=1e-5), "the share of the class"


@pytest.mark.parametrize(("examples", "width", "classes"), [(15, 64, 5), (33, 7, 3), (30, 13, 10)])
def test_a_member_does_not_feel_its_neighbours(examples: int, width: int, classes: int) -> None:
    inputs, labels, l2 = problem(5, examples, width, classes, seed=1)
    together = fit_logistic(inputs, labels, classes, l2)
    for member in range(5):
        places = torch.full((5,), member)
        padded = fit_logistic(inputs[places], labels[places], classes, l2[places])
        assert torch.equal(padded.weight[0], together.weight[member])
        assert torch.equal(padded.bias[4], together.bias[member])
    turned = torch.tensor([4, 2, 0, 1, 3])
    other = fit_logistic(inputs[turned], labels[turned], classes, l2[turned])
    assert torch.equal(other.weight, together.weight[turned])
    assert torch.equal(other.bias, together.bias[turned])


def test_a_minimum_of_a_quadratic_is_found() -> None:
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(3, 8, 8, generator=generator, dtype=torch.float64)
    matrix = root @ root.transpose(1, 2) + 0.1 * torch.eye(8, dtype=torch.float64)
    right = torch.randn(3, 8, generator=generator, dtype=torch.float64)

    def objective(point: Tensor) -> tuple[Tensor, Tensor]:
        image = (matrix @ point.unsqueeze(2)).squeeze(2)
        return (0.5 * image * point - right * point).sum(1), image - right

    found, converged = minimise(objective, torch.zeros(3, 8, dtype=torch.float64), 1e-8)
    assert converged.all()
    torch.testing.assert_close(found, torch.linalg.solve(matrix, right), rtol=1e-5, atol=1e-6)


def test_without_a_penalty_there_is_no_optimum() -> None:
    inputs, labels, _ = problem(1, 10, 3, 2)
    with pytest.raises(HarnessError, match="l2 above 0"):
        fit_logistic(inputs, labels, 2, torch.zeros(1))
