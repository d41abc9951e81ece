"""Logistic regressions for several data sets and several strengths of regularisation, as one tensor program.

For data set m and strength k the optimum of :mod:`harness.training.logistic` with l2 = strength k times the total
variance of m's inputs, so that one list of strengths serves features of any scale. All strengths of a data set share
one rotation of its inputs to their principal axes. The strongest is solved first and each next one starts from the
optimum before it: that takes far fewer steps than all strengths at once, which are as many as the weakest needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from harness.errors import HarnessError
from harness.training.logistic import CURVATURE, minimise

if TYPE_CHECKING:
    from torch import Tensor

MOST_NUMBERS: Final = 2**18
"""Numbers that the rotated inputs of the data sets solved together may have: beyond, a step is all arithmetic and a
data set loses nothing by being alone."""

PATH_TOLERANCE: Final = 1e-5
"""Largest entry of the gradient, in scaled parameters, at which a fit has arrived: about one prediction in ten
thousand differs from that at a tenth of it, in half the time."""

LEAST_VARIANCE: Final = 1e-12
"""Stands for the total variance of inputs that are all equal."""


@dataclass(frozen=True)
class LogisticPath:
    """weight [sets, strengths, classes, width], bias [sets, strengths, classes], l2 and converged [sets, strengths]."""

    weight: Tensor
    bias: Tensor
    l2: Tensor
    converged: Tensor


def fit_path(
    inputs: Tensor,
    labels: Tensor,
    n_classes: int,
    strengths: Tensor,
    tolerance: float = PATH_TOLERANCE,
    needed: int | None = None,
) -> LogisticPath:
    """Fit all: inputs [sets, n, width], labels [sets, n], strengths [strengths], all positive.

    needed: how many of the sets are wanted, the first ones; others only fill up and may be missing in the result.
    Data sets are solved together when they are small and one by one when they are large, by shape alone, so that a
    result does not depend on the other data sets. Raises HarnessError when a strength is not positive.
    """
    import torch

    if bool((strengths <= 0).any()):
        raise HarnessError("a linear probe needs a strength above 0: separable data have no optimum without it")
    sets, examples, width = inputs.shape
    together = max(1, min(sets, MOST_NUMBERS // (examples * min(examples, width))))
    while sets % together:
        together -= 1
    parts = [
        _fit_together(
            inputs[start : start + together], labels[start : start + together], n_classes, strengths.double(), tolerance
        )
        for start in range(0, sets if needed is None else needed, together)
    ]
    return LogisticPath(
        torch.cat([part.weight for part in parts]),
        torch.cat([part.bias for part in parts]),
        torch.cat([part.l2 for part in parts]),
        torch.cat([part.converged for part in parts]),
    )


def _fit_together(inputs: Tensor, labels: Tensor, n_classes: int, strengths: Tensor, tolerance: float) -> LogisticPath:
    import torch

    axes = [_axes(one.double()) for one in inputs]
    basis, rotated, variance, mean = (
        torch.stack([getattr(one, part) for one in axes]) for part in ("basis", "rotated", "variance", "mean")
    )
    problem = _Problem(rotated, torch.nn.functional.one_hot(labels, n_classes).double())
    total = variance.sum(1).clamp_min(LEAST_VARIANCE)
    found: dict[int, tuple[Tensor, Tensor, Tensor, Tensor]] = {}
    theta, before = rotated.new_zeros(len(axes), rotated.shape[2] + 1, n_classes), torch.ones_like(variance)
    for place in strengths.argsort(descending=True).tolist():
        l2 = strengths[place] * total
        # Scales of the parameters that bound the curvature by about 1 (Boehning 1992).
        scale = (CURVATURE * variance + l2.unsqueeze(1)).rsqrt()
        theta[:, :-1] *= (before / scale).unsqueeze(2)
        theta, converged = problem.solve(theta, scale, l2.unsqueeze(1) * scale.square(), tolerance)
        before = scale
        weight = (basis @ (theta[:, :-1] * scale.unsqueeze(2))).transpose(1, 2)
        bias = theta[:, -1] - (weight @ mean.unsqueeze(2)).squeeze(2)
        found[place] = (weight, bias, l2, converged)
    ordered = [found[place] for place in range(len(strengths))]
    return LogisticPath(*(torch.stack(parts, dim=1) for parts in zip(*ordered, strict=True)))


@dataclass(frozen=True)
class _Problem:
    """rotated [sets, n, rank], target [sets, n, classes] (one 1 in each row)."""

    rotated: Tensor
    target: Tensor

    def solve(self, start: Tensor, scale: Tensor, penalty: Tensor, tolerance: float) -> tuple[Tensor, Tensor]:
        """Minimise over parameters like `start`, [sets, rank + 1, classes], the last row the offsets.

        scale, penalty [sets, rank]: of the parameters. Returns the optimum and, [sets], whether it was reached.
        """
        import torch

        examples = self.rotated.shape[1]
        wide, heavy = scale.unsqueeze(2), penalty.unsqueeze(2)

        def objective(flat: Tensor) -> tuple[Tensor, Tensor]:
            theta = flat.view(start.shape)
            turned = theta[:, :-1]
            logs = torch.log_softmax(self.rotated @ (turned * wide) + theta[:, -1:], dim=2)
            value = -(self.target * logs).sum((1, 2)) / examples + 0.5 * (heavy * turned.square()).sum((1, 2))
            excess = (logs.exp() - self.target) / examples
            slope = (self.rotated.transpose(1, 2) @ excess) * wide + heavy * turned
            return value, torch.cat([slope, excess.sum(1, keepdim=True)], dim=1).flatten(1)

        best, converged = minimise(objective, start.flatten(1).clone(), tolerance)
        return best.view(start.shape).clone(), converged


@dataclass(frozen=True)
class _Axes:
    """Principal axes of inputs [n, width], all that the centred inputs can span, at most min(n, width).

    basis [width, rank]: orthonormal columns.  rotated [n, rank]: centred inputs along them.  variance [rank].
    """

    basis: Tensor
    rotated: Tensor
    variance: Tensor
    mean: Tensor


def _axes(inputs: Tensor) -> _Axes:
    """Where there are more examples than features, from their covariance: any orthonormal basis will do exactly."""
    import torch

    mean = inputs.mean(0)
    centred = (inputs - mean).contiguous()
    examples, width = centred.shape
    if examples > width:
        _, basis = torch.linalg.eigh(centred.T @ centred)
    else:
        _, _, right = torch.linalg.svd(centred, full_matrices=False)
        basis = right.T.contiguous()
    rotated = centred @ basis
    return _Axes(basis, rotated, rotated.square().mean(0), mean)
