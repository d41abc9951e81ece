"""Logistic regression at its limits, metrics at ties, and what stages declare of themselves."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss
from torch import Tensor

from harness.backbones.small import Mlp
from harness.errors import HarnessError
from harness.graph import Features, StageKind, Weights
from harness.training import checkpoints, probe, stages
from harness.training.evaluation import accuracy, loss, predict
from harness.training.features import extract_features
from harness.training.health import first_bad_step, guessing_loss, not_trained
from harness.training.logistic import fit_logistic, minimise
from harness.training.optimisers import StackedOptimiser
from harness.training.probe import evaluate_probe, fit_probe
from harness.training.settings import Budget, Optimiser
from harness.training.stages import evaluate, train
from tests.training.places import Place, run_batch
from tests.training.toys import cloud, poison

# --- logistic regression ----------------------------------------------------------------------------------------------


def clouds(examples: int, width: int, classes: int, seed: int, scale: float = 1.0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    inputs = scale * torch.randn(1, examples, width, generator=generator, dtype=torch.float64)
    return inputs, torch.arange(examples).remainder(classes).unsqueeze(0)


def gradients_of(inputs: Tensor, labels: Tensor, l2: float, weight: Tensor, bias: Tensor) -> list[float]:
    """Largest entries of the gradient of the stated objective by weight and by bias, by autograd."""
    weight, bias = weight.clone().requires_grad_(), bias.clone().requires_grad_()
    value = torch.nn.functional.cross_entropy(inputs @ weight.T + bias, labels) + 0.5 * l2 * weight.square().sum()
    return [float(each.abs().max()) for each in torch.autograd.grad(value, (weight, bias))]


@settings(max_examples=25, deadline=None)
@example(examples=4, width=7, classes=4, exponent=-2, scale=50.0, seed=1)
@given(
    examples=st.integers(4, 30),
    width=st.integers(1, 12),
    classes=st.integers(2, 4),
    exponent=st.floats(-4, 3),
    scale=st.sampled_from([1e-3, 1.0, 50.0]),
    seed=st.integers(0, 1000),
)
def test_any_problem_is_solved_as_scikit_learn_does(
    examples: int, width: int, classes: int, exponent: float, scale: float, seed: int
) -> None:
    inputs, labels = clouds(examples, width, classes, seed, scale)
    l2 = 10**exponent
    fit = fit_logistic(inputs, labels, classes, torch.tensor([l2], dtype=torch.float64))
    assert bool(fit.converged)
    other = LogisticRegression(C=1 / (examples * l2), tol=1e-12, max_iter=5000, solver="newton-cg")
    other.fit(inputs[0].numpy(), labels[0].numpy())
    theirs = other.predict_proba(inputs[0].numpy())
    if classes == 2:
        # scikit-learn fits one weight vector for two classes: half of ours is penalised half as much.
        other.set_params(C=2 / (examples * l2)).fit(inputs[0].numpy(), labels[0].numpy())
        theirs = other.predict_proba(inputs[0].numpy())
    ours = torch.softmax(inputs[0] @ fit.weight[0].T + fit.bias[0], 1).numpy()
    np.testing.assert_allclose(ours, theirs, atol=2e-3)
    assert log_loss(labels[0].numpy(), ours, labels=range(classes)) == pytest.approx(
        log_loss(labels[0].numpy(), theirs, labels=range(classes)), abs=2e-3
    )


@pytest.mark.parametrize("l2", [1e-8, 1e-5, 1.0, 1e4, 1e8])
@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_extreme_penalties_and_scales_arrive_at_the_optimum(l2: float, scale: float) -> None:
    """Judged by the gradient of the objective, in units of the root of a bound on its curvature."""
    inputs, labels = clouds(40, 6, 3, seed=1, scale=scale)
    fit = fit_logistic(inputs, labels, 3, torch.tensor([l2], dtype=torch.float64))
    assert bool(fit.converged)
    by_weight, by_bias = gradients_of(inputs[0], labels[0], l2, fit.weight[0], fit.bias[0])
    assert by_weight < 1e-6 * math.sqrt(l2 + 0.25 * scale**2) and by_bias < 1e-6


def test_a_huge_penalty_leaves_the_shares_of_the_classes() -> None:
    inputs, _ = clouds(20, 5, 3, seed=2)
    labels = torch.tensor([[0] * 10 + [1] * 6 + [2] * 4])
    fit = fit_logistic(inputs, labels, 3, torch.tensor([1e10], dtype=torch.float64))
    assert float(fit.weight.abs().max()) < 1e-9
    torch.testing.assert_close(torch.softmax(fit.bias[0], 0), torch.tensor([0.5, 0.3, 0.2]).double(), rtol=0, atol=1e-6)
    assert float(fit.bias.mean()) == pytest.approx(0, abs=1e-9), "the free shift of the bias stays at 0"


@pytest.mark.parametrize("l2", [1e-6, 1e-2, 10.0])
def test_two_points_have_a_closed_form(l2: float) -> None:
    """x = -1 and 1, one of each class: by symmetry w = (-v, v) with sigmoid(-2v) = l2 v, found by bisection."""
    low, high = 0.0, 1e6
    for _ in range(200):
        middle = (low + high) / 2
        falling = math.exp(-2 * middle) / (1 + math.exp(-2 * middle)) - l2 * middle
        low, high = (middle, high) if falling > 0 else (low, middle)
    inputs = torch.tensor([[[-1.0], [1.0]]], dtype=torch.float64)
    fit = fit_logistic(inputs, torch.tensor([[0, 1]]), 2, torch.tensor([l2], dtype=torch.float64), tolerance=1e-11)
    torch.testing.assert_close(fit.weight[0].flatten(), torch.tensor([-low, low]).double(), rtol=1e-4, atol=1e-7)
    assert float(fit.bias.abs().max()) < 1e-6


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 100), shift=st.floats(-1e3, 1e3), angle=st.integers(0, 5))
def test_the_fit_moves_with_its_inputs(seed: int, shift: float, angle: int) -> None:
    """Shifted and rotated inputs give the rotated weights and the same predictions: the penalty knows no direction."""
    inputs, labels = clouds(15, 4, 3, seed)
    turn = torch.linalg.qr(torch.randn(4, 4, generator=torch.Generator().manual_seed(angle), dtype=torch.float64))[0]
    rate = torch.tensor([0.05], dtype=torch.float64)
    one, other = fit_logistic(inputs, labels, 3, rate), fit_logistic(inputs @ turn + shift, labels, 3, rate)
    torch.testing.assert_close(other.weight[0] @ turn.T, one.weight[0], rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(
        torch.softmax((inputs[0] @ turn + shift) @ other.weight[0].T + other.bias[0], 1),
        torch.softmax(inputs[0] @ one.weight[0].T + one.bias[0], 1),
        rtol=0,
        atol=1e-5,
    )


def test_examples_given_twice_change_nothing() -> None:
    inputs, labels = clouds(12, 30, 4, seed=5)
    rate = torch.tensor([0.01], dtype=torch.float64)
    once = fit_logistic(inputs, labels, 4, rate)
    twice = fit_logistic(torch.cat([inputs, inputs], 1), torch.cat([labels, labels], 1), 4, rate)
    torch.testing.assert_close(once.weight, twice.weight, rtol=1e-4, atol=1e-6)


def test_weights_lie_in_the_span_of_the_inputs() -> None:
    inputs, labels = clouds(6, 50, 3, seed=6)
    fit = fit_logistic(inputs, labels, 3, torch.tensor([0.01], dtype=torch.float64), tolerance=1e-12)
    centred = inputs[0] - inputs[0].mean(0)
    basis = torch.linalg.svd(centred, full_matrices=False)[2][:5]
    torch.testing.assert_close(fit.weight[0] @ basis.T @ basis, fit.weight[0], rtol=0, atol=1e-10)


@pytest.mark.parametrize("bad", [0.0, -1.0])
def test_one_member_without_a_penalty_is_refused(bad: float) -> None:
    inputs, labels = clouds(6, 2, 2, seed=0)
    with pytest.raises(HarnessError, match="l2 above 0"):
        fit_logistic(inputs.repeat(2, 1, 1), labels.repeat(2, 1), 2, torch.tensor([1.0, bad]))


@pytest.mark.parametrize(
    ("objective", "minimum"),
    [
        (lambda x: ((x - 3).cosh().sum(1), (x - 3).sinh()), 3.0),
        (lambda x: ((x.exp() - 2 * x).sum(1), x.exp() - 2), math.log(2)),
        (lambda x: (((x + 1) ** 4 + (x + 1) ** 2).sum(1), 4 * (x + 1) ** 3 + 2 * (x + 1)), -1.0),
    ],
    ids=["cosh", "exponential", "quartic"],
)
def test_other_convex_functions_are_minimised(objective: Callable[..., Any], minimum: float) -> None:
    start = torch.tensor([[0.0, 1.0, -2.0], [5.0, minimum, 0.1], [minimum] * 3], dtype=torch.float64)
    found, converged = minimise(objective, start, 1e-10)
    assert converged.all()
    torch.testing.assert_close(found, torch.full_like(found, minimum), rtol=0, atol=1e-8)
    assert torch.equal(found[2], start[2]), "a member that begins at its minimum is not moved"


# --- metrics and health -----------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(n=st.integers(1, 40), classes=st.integers(2, 6), seed=st.integers(0, 10_000))
def test_metrics_are_scikit_learns(n: int, classes: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, n, classes, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, classes, (2, n), generator=generator)
    for member in range(2):
        predicted = logits[member].numpy().argmax(1)
        assert float(accuracy(logits, labels)[member]) == accuracy_score(labels[member].numpy(), predicted)
        probability = torch.softmax(logits[member], 1).numpy()
        expected = log_loss(labels[member].numpy(), probability, labels=range(classes))
        assert float(loss(logits, labels)[member]) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("n", [1, 4, 5, 6, 11])
def test_predictions_in_pieces_are_whole_and_in_order(monkeypatch: pytest.MonkeyPatch, n: int) -> None:
    monkeypatch.setattr("harness.training.evaluation.PIECE", 5)
    sizes: list[int] = []

    def double(parameters: Any, inputs: Tensor) -> Tensor:
        sizes.append(inputs.shape[1])
        assert not torch.is_grad_enabled()
        return inputs * parameters["two"]

    inputs = torch.arange(2.0 * n * 3).view(2, n, 3)
    assert torch.equal(predict(double, {"two": torch.tensor(2.0)}, inputs), inputs * 2)
    assert sizes == [5] * (n // 5) + [n % 5] * (n % 5 > 0)


@pytest.mark.parametrize("classes", [1, 2, 10])
def test_where_the_first_loss_counts_as_nothing_to_leave(classes: int) -> None:
    guessing = math.log(max(classes, 2))
    level = guessing_loss(torch.arange(classes), classes)
    assert not not_trained(torch.full((20,), 0.499 * guessing), level)
    assert not_trained(torch.full((20,), 0.501 * guessing), level)


@pytest.mark.parametrize(("fall", "flagged"), [(0.04, True), (0.06, False)])
@pytest.mark.parametrize("steps", [10, 30, 101])
def test_a_tenth_must_fall_by_five_percent(fall: float, flagged: bool, steps: int) -> None:
    losses = torch.full((steps,), 2.0)
    losses[-(steps // 10) :] = 2.0 * (1 - fall)
    assert not_trained(losses, math.log(4)) is flagged


@given(st.lists(st.sampled_from([1.0, 2.0, math.nan, math.inf, -math.inf]), min_size=1, max_size=12))
def test_the_first_bad_step_is_the_first(losses: list[float]) -> None:
    expected = next((step for step, value in enumerate(losses) if not math.isfinite(value)), None)
    assert first_bad_step(torch.tensor(losses)) == expected


# --- optimisers -------------------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(
    name=st.sampled_from(["sgd", "adam"]),
    lr=st.floats(1e-4, 1.0),
    momentum=st.floats(0, 0.99),
    decay=st.floats(0, 0.5),
    clip=st.one_of(st.none(), st.floats(1e-3, 10)),
    size=st.sampled_from([1e-12, 1.0, 1e6]),
)
def test_any_settings_are_torchs(name: Any, lr: float, momentum: float, decay: float, clip: Any, size: float) -> None:
    settings_ = Optimiser(name, lr, momentum, decay, "constant", clip)
    generator = torch.Generator().manual_seed(0)
    leaf = torch.nn.Parameter(torch.randn(4, 3, generator=generator, dtype=torch.float64))
    stacked = {"w": leaf.detach().clone().unsqueeze(0).repeat(2, 1, 1)}
    ours = StackedOptimiser(stacked, [settings_, Optimiser(name)])
    own: torch.optim.Optimizer = (
        torch.optim.AdamW([leaf], lr, weight_decay=decay)
        if name == "adam"
        else torch.optim.SGD([leaf], lr, momentum, weight_decay=decay)
    )
    for step in range(4):
        gradient = size * torch.randn(4, 3, generator=generator, dtype=torch.float64)
        leaf.grad = gradient.clone()
        if clip is not None:
            torch.nn.utils.clip_grad_norm_([leaf], clip)
        own.step()
        ours.step(stacked, [gradient.unsqueeze(0).repeat(2, 1, 1)], step, 1.0)
    torch.testing.assert_close(stacked["w"][0], leaf.detach(), rtol=1e-6, atol=1e-9)


def test_a_gradient_of_zero_is_no_division_by_zero() -> None:
    for name in ("sgd", "adam"):
        parameters = {"w": torch.ones(1, 3)}
        how = Optimiser(name, clip=1.0)  # type: ignore[arg-type]  # one of the two
        StackedOptimiser(parameters, [how]).step(parameters, [torch.zeros(1, 3)], 0, 1.0)
        assert torch.equal(parameters["w"], torch.ones(1, 3))


def test_clipping_is_by_the_norm_of_the_whole_network() -> None:
    """Gradients of 3 and 4 in two tensors have the norm 5."""
    parameters = {"a": torch.zeros(1, 1), "b": torch.zeros(1, 1)}
    how = Optimiser(lr=1.0, momentum=0.0, clip=1.0)
    StackedOptimiser(parameters, [how]).step(parameters, [torch.full((1, 1), 3.0), torch.full((1, 1), 4.0)], 0, 1.0)
    assert parameters["a"].item() == pytest.approx(-0.6) and parameters["b"].item() == pytest.approx(-0.8)


# --- what stages declare ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "keep", "needs_trained", "accumulates", "width"),
    [
        (stages.train, "durable", (), True, 8),
        (stages.adapt, "transient", ("init",), True, 8),
        (stages.initialise, "transient", (), False, None),
        (stages.average_weights, "durable", ("weights",), False, None),
        (stages.evaluate, "durable", (), False, 8),
        (probe.fit_probe, "transient", (), False, 16),
        (probe.evaluate_probe, "durable", (), False, 16),
        (checkpoints.load_checkpoint, "transient", (), False, None),
        (checkpoints.stored_weights, "durable", (), False, None),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_what_stages_leave_and_need(
    kind: StageKind[Any, Any], keep: str, needs_trained: tuple[str, ...], accumulates: bool, width: int | None
) -> None:
    """A source's weights outlive the run, an adapted net does not; what needs a trained source says so."""
    assert (kind.keep, tuple(kind.needs_trained), kind.accumulates) == (keep, needs_trained, accumulates)
    assert (None if kind.batch is None else kind.batch.width) == width
    assert kind.version == 1


def test_evaluations_are_grouped_by_what_the_program_needs() -> None:
    net = train.bind(task=cloud(), backbone=Mlp(hidden=6), budget=Budget(steps=2))
    plain = {"task": cloud(), "weights": net, "backbone": Mlp(hidden=6)}
    one = evaluate.bind(**plain).group()
    assert evaluate.bind(**{**plain, "task": cloud("other"), "splits": ("val",)}).group() == one
    for change in ({"backbone": Mlp(hidden=7)}, {"task": cloud(width=4)}):
        assert evaluate.bind(**{**plain, **change}).group() != one


def test_a_batch_of_nothing_but_failures_is_their_failures() -> None:
    tensors = {"features": poison().split("train").inputs, "labels": poison().split("train").labels}
    results = {}
    calls = []

    for seed in range(2):
        seen = extract_features.bind(task=poison(), split="train")
        results[seen.key] = Features(tensors, {"split": "train"})
        calls.append(fit_probe.bind(task=poison(), features=(seen,), seed=seed))
    outcomes = run_batch(calls, results)
    assert all(isinstance(one, HarnessError) and "poison is not finite" in str(one) for one in outcomes)
    silent = replace(cloud(), class_sizes={})  # a task that does not say how few examples a class has
    bad = [
        train.bind(task=silent, backbone=Mlp(hidden=6), shots=99, budget=Budget(steps=2), seed=seed)
        for seed in range(2)
    ]
    assert all(isinstance(one, HarnessError) and "99 shots" in str(one) for one in run_batch(bad, {}))


def test_a_probe_is_measured_by_hand() -> None:
    """Three examples, weights chosen so that the second is wrong."""
    probe_ = Weights({"head.weight": torch.eye(2).double(), "head.bias": torch.tensor([0.0, 0.5]).double()})
    inputs = torch.tensor([[1.0, 0.0], [0.3, 0.0], [0.0, 1.0]])
    given_ = Features({"features": inputs, "labels": torch.tensor([0, 0, 1])}, {"split": "val"})
    task = cloud(classes=2, width=2)
    (row,) = evaluate_probe(task=task, probe=probe_, features=(given_,), ctx=Place()).rows
    assert (row.value, row.split, row.n_eval, row.flags) == (pytest.approx(2 / 3), "val", 3, ())
