"""Multinomial logistic regression to its optimum, for several data sets of one shape at once.

Minimises, for each member by itself, over W [classes, width] and b [classes],

    mean over examples of cross-entropy(softmax(W x + b), y)  +  l2 / 2 * sum of W squared

in double precision by L-BFGS (Nocedal and Wright, Numerical Optimization, algorithm 7.4) with a backtracking line
search that asks for sufficient decrease (their 3.4). For l2 > 0 the optimum is unique but for a common shift of b,
which stays at mean 0 from the start at zero. This is scikit-learn's LogisticRegression with C = 1 / (n * l2).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from harness.errors import HarnessError

if TYPE_CHECKING:
    from torch import Tensor

MEMORY: Final = 8
CURVATURE: Final = 0.1
TOLERANCE: Final = 1e-7
"""Largest entry of the gradient at which a member has arrived."""

MOST_STEPS: Final = 4000
DECREASE: Final = 1e-4
SHORTEST: Final = 1e-12

Objective = Callable[["Tensor"], tuple["Tensor", "Tensor"]]


@dataclass(frozen=True)
class LogisticFit:
    """weight [members, classes, width], bias [members, classes], and whether each member arrived at its optimum."""

    weight: Tensor
    bias: Tensor
    converged: Tensor


def fit_logistic(
    inputs: Tensor, labels: Tensor, n_classes: int, l2: Tensor, tolerance: float = TOLERANCE
) -> LogisticFit:
    """Fit all members: inputs [members, n, width], labels [members, n], l2 [members], all positive.

    A member that has arrived is left alone while others go on, so its result does not depend on them.
    Raises HarnessError when an l2 is not positive: without it separable data have no optimum.
    """
    import torch

    if bool((l2 <= 0).any()):
        raise HarnessError("a linear probe needs l2 above 0: separable data have no optimum without it")
    basis = [_basis(one, float(rate)) for one, rate in zip(inputs.double(), l2, strict=True)]
    coordinates = torch.stack([one.coordinates for one in basis])
    penalty = torch.stack([one.penalty for one in basis]).unsqueeze(2)
    members, examples, size = coordinates.shape
    target = torch.nn.functional.one_hot(labels, n_classes).double()

    def objective(flat: Tensor) -> tuple[Tensor, Tensor]:
        theta = flat.view(members, size, n_classes)
        logs = torch.log_softmax(coordinates @ theta, dim=2)
        shrunk = penalty * theta
        value = -(target * logs).sum((1, 2)) / examples + 0.5 * (shrunk * theta).sum((1, 2))
        gradient = coordinates.transpose(1, 2) @ (logs.exp() - target) / examples + shrunk
        return value, gradient.flatten(1)

    start = torch.zeros(members, size * n_classes, dtype=torch.float64, device=inputs.device)
    best, converged = minimise(objective, start, tolerance)
    theta = best.view(members, size, n_classes)
    weight = torch.stack([(one.back @ theta[row, :-1]).T for row, one in enumerate(basis)])
    shift = torch.stack([weight[row] @ one.mean for row, one in enumerate(basis)])
    return LogisticFit(weight, theta[:, -1] - shift, converged)


@dataclass(frozen=True)
class _Basis:
    """Coordinates in which the problem is well conditioned.

    coordinates [n, rank + 1]: centred inputs along their principal axes, scaled, and a column of ones.  penalty
    [rank + 1]: what l2 is for each.  back [width, rank]: from weights in these coordinates to weights of the inputs.
    """

    coordinates: Tensor
    penalty: Tensor
    back: Tensor
    mean: Tensor


def _basis(inputs: Tensor, l2: float) -> _Basis:
    """Rotate and scale inputs [n, width] by a bound on the curvature (Boehning 1992), `CURVATURE` times variance + l2.

    An exact change of variables: weights outside the span of the centred inputs are 0 at the optimum.
    """
    import torch

    examples = inputs.shape[0]
    mean = inputs.mean(0)
    left, spread, right = torch.linalg.svd((inputs - mean).contiguous(), full_matrices=False)
    scale = (CURVATURE * spread.square() / examples + l2).rsqrt()
    ones = torch.ones(examples, 1, dtype=inputs.dtype, device=inputs.device)
    penalty = torch.cat([l2 * scale.square(), torch.zeros(1, dtype=inputs.dtype, device=inputs.device)])
    return _Basis(torch.cat([left * (spread * scale), ones], dim=1), penalty, right.T * scale, mean)


def minimise(objective: Objective, start: Tensor, tolerance: float) -> tuple[Tensor, Tensor]:
    """Minimise a smooth convex function of each row of `start` [members, size] by L-BFGS.

    objective: points -> (values [members], gradients like the points), each row by itself.
    Returns the points and, [members], whether the gradient's largest entry came down to `tolerance`.
    """
    import torch

    point = start
    value, gradient = objective(point)
    history: list[tuple[Tensor, Tensor, Tensor]] = []
    running = gradient.abs().amax(1) > tolerance
    for _ in range(MOST_STEPS):
        if not bool(running.any()):
            break
        direction = _direction(gradient, history)
        first = torch.ones_like(value) if history else 1 / gradient.abs().sum(1).clamp_min(1)
        new_point, new_value, new_gradient, moved = _search(
            objective, point, value, gradient, direction, first, running
        )
        change, turn = new_point - point, new_gradient - gradient
        curvature = (change * turn).sum(1)
        inverse = torch.where(curvature > 0, 1 / curvature.clamp_min(torch.finfo(torch.float64).tiny), 0)
        history = [*history[-(MEMORY - 1) :], (change, turn, inverse)]
        point, value, gradient = new_point, new_value, new_gradient
        running = running & moved & (gradient.abs().amax(1) > tolerance)
    return point, gradient.abs().amax(1) <= tolerance


def _direction(gradient: Tensor, history: list[tuple[Tensor, Tensor, Tensor]]) -> Tensor:
    """The two-loop recursion for all members; a pair with inverse curvature 0 counts for nothing."""
    import torch

    result = -gradient
    weights = []
    for change, turn, inverse in reversed(history):
        weight = inverse * (change * result).sum(1)
        result = result - weight.unsqueeze(1) * turn
        weights.append(weight)
    if history:
        _, turn, inverse = history[-1]
        scale = 1 / (inverse * (turn * turn).sum(1))
        result = result * torch.where(inverse > 0, scale, 1).unsqueeze(1)
    for (change, turn, inverse), weight in zip(history, reversed(weights), strict=True):
        again = inverse * (turn * result).sum(1)
        result = result + (weight - again).unsqueeze(1) * change
    return result


def _search(
    objective: Objective,
    point: Tensor,
    value: Tensor,
    gradient: Tensor,
    direction: Tensor,
    first: Tensor,
    running: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Backtrack each running member until its value falls enough; the others stay where they are.

    Returns points, values, gradients, and which members moved.
    """
    import torch

    slope = (gradient * direction).sum(1)
    length = torch.where(running, first, 0)
    searching = running.clone()
    best, best_value, best_gradient = point, value, gradient
    while bool(searching.any()):
        trial = torch.where(searching.unsqueeze(1), point + length.unsqueeze(1) * direction, best)
        trial_value, trial_gradient = objective(trial)
        # Near the optimum values agree to the last digits, and only the gradient can tell progress.
        level = trial_gradient.abs().amax(1) < gradient.abs().amax(1)
        flat = (trial_value - value).abs() <= 1e-14 * value.abs()
        good = searching & ((trial_value <= value + DECREASE * length * slope) | (flat & level))
        best = torch.where(good.unsqueeze(1), trial, best)
        best_value = torch.where(good, trial_value, best_value)
        best_gradient = torch.where(good.unsqueeze(1), trial_gradient, best_gradient)
        length = torch.where(searching & ~good, 0.5 * length, length)
        searching = searching & ~good & (length > SHORTEST)
    moved = (best != point).any(1)
    return best, best_value, best_gradient, moved
