"""LogME, log maximum evidence (You et al. 2021, arXiv 2102.11005; 2022, arXiv 2110.10545)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from harness.errors import HarnessError
from harness.estimators.inputs import Inputs
from harness.estimators.scorers import scorer

if TYPE_CHECKING:
    from harness.estimators.arrays import Floats
    from harness.estimators.statistics import Statistics

LogMEVariant = Literal["exact", "released", "icml"]

MOST_STEPS: Final = 100
CLOSE: Final = 1e-9
"""Change of ln(alpha / beta) at which its best value is found; the evidence is flat there."""

FARTHEST: Final = 12 * math.log(10)
"""How far ln(alpha / beta) may be from the eigenvalues' when there is nothing to fit, or no noise."""

GRID: Final = 129

EPSILON: Final = 1e-5


class Problem(NamedTuple):
    """One regression a target: eigenvalues of F^T F [k], squared coordinates of the targets [k, C], what is outside the
    features' span [C], squared lengths [C], and the numbers N and D."""

    eigenvalues: Floats
    squares: Floats
    outside: Floats
    lengths: Floats
    examples: int
    width: int


@scorer(
    "logme",
    needs=("features", "labels"),
    real_targets=True,
    cost="D^3 for an eigendecomposition, C D a step",
    paper="You et al. 2021, arXiv 2102.11005",
)
def logme(inputs: Inputs, *, variant: LogMEVariant = "exact", least_noise: float = 0.0) -> float:
    """Log maximum evidence of Bayesian linear regression on each class's indicator, by example, mean over classes.

    y ~ N(F w, 1 / beta), w ~ N(0, 1 / alpha), alpha and beta where the evidence is largest. With real targets, the mean
    over their columns. Higher is better; it may be above 0.

    released: the code of the journal version takes at most eleven of MacKay's updates from alpha = beta = 1, stops at a
    change of 1e-3, adds 1e-5 to two denominators, and leaves -(D - k) / (2 N) ln alpha out when the rank k is below D:
    with fewer examples than features its values are wrong. icml: the updates of the first version, with a tolerance of
    0.01 and the right determinant; where the evidence has several maxima or is flat they may end below the largest.
    Exact raises HarnessError when features of rank below N give a target without any noise: then nothing is largest.

    least_noise: share of a target's squared length that counts as outside the features' span at least, which gives a
    value there too (examples that are in the data twice, fewer examples than features). Exact only.
    """
    if least_noise < 0 or (least_noise and variant != "exact"):
        raise HarnessError("logme: least_noise is a share of at least 0, and for the variant `exact`")
    return logme_of(inputs.statistics, variant, inputs.targets, least_noise)


def logme_of(
    statistics: Statistics,
    variant: LogMEVariant = "exact",
    targets: Floats | None = None,
    least_noise: float = 0.0,
) -> float:
    """LogME of statistics; targets [N, K] in place of the classes."""
    import numpy as np

    problem = problem_of(statistics, targets)
    if variant == "exact":
        problem = _looked_at_closely(problem, statistics, targets)
        noisy = problem._replace(outside=np.maximum(problem.outside, least_noise * problem.lengths))
        return float(_exact(noisy).mean())
    return float(_as_released(problem, variant).mean())


def problem_of(statistics: Statistics, targets: Floats | None) -> Problem:
    """Turn statistics into regressions; coordinates come from class sums, never from N x N bases."""
    import numpy as np

    if targets is None:
        sums = statistics.means * statistics.counts[:, None]
        lengths = statistics.counts.astype(np.float64)
    else:
        ordered = targets[statistics.order]
        sums = ordered.T @ statistics.residuals + np.outer(ordered.sum(axis=0), statistics.means[0])
        lengths = np.square(targets).sum(axis=0)
    eigenvalues, axes = statistics.moments
    squares = np.square(axes.T @ sums.T) / eigenvalues[:, None]
    outside = np.maximum(lengths - squares.sum(axis=0), 0)
    return Problem(eigenvalues, squares, outside, lengths, statistics.examples, statistics.width)


def _looked_at_closely(problem: Problem, statistics: Statistics, targets: Floats | None) -> Problem:
    """Work out anew what is outside the span where nearly nothing is: eigenvalues of F^T F lose half the digits."""
    import numpy as np
    from scipy.linalg import svd

    values, lengths = problem.eigenvalues, problem.lengths
    if not 0 < len(values) < problem.examples:
        return problem
    doubtful = 1e3 * np.finfo(float).eps * max(1.0, values[0] / values[-1]) * lengths
    if (problem.outside > np.minimum(doubtful, 1e-3 * lengths)).all():
        return problem
    target = np.eye(statistics.classes)[statistics.ordered_labels] if targets is None else targets[statistics.order]
    left, spread, _ = svd(statistics.all_centred() + statistics.mean, full_matrices=False, check_finite=False)
    basis = left[:, spread > max(left.shape) * np.finfo(float).eps * spread[0]]
    return problem._replace(outside=np.square(target - basis @ (basis.T @ target)).sum(axis=0))


def _exact(problem: Problem) -> Floats:
    """Largest evidence by example, [C]. It depends on alpha and beta through t = alpha / beta only.

    With t given, the best beta is N over q(t) = outside + sum_k x_k^2 t / (t + s_k), which leaves
    N / 2 ln(N / q) - 1 / 2 sum_k ln(1 + s_k / t) - N / 2 (1 + ln 2 pi).
    """
    import numpy as np

    values, examples = problem.eigenvalues, problem.examples
    if (problem.lengths == 0).any():
        raise HarnessError("logme: a target is 0 for every example")
    if len(values) == 0:
        return -0.5 * np.log(2 * np.pi * problem.lengths / examples) - 0.5
    if len(values) < examples and (problem.outside <= 1e-13 * problem.lengths).any():
        raise HarnessError("logme: the features give a target without any noise, so that the evidence has no maximum")
    ratio = values[:, None] * np.exp(-_best_ratios(problem))
    quadratic = problem.outside + (problem.squares / (1 + ratio)).sum(axis=0)
    evidence = examples / 2 * np.log(examples / quadratic) - 0.5 * np.log1p(ratio).sum(axis=0)
    result: Floats = evidence / examples - 0.5 * (1 + math.log(2 * math.pi))
    return result


def _best_ratios(problem: Problem) -> Floats:
    """ln(alpha / beta) with the largest evidence, for each target, [C].

    The evidence may have several maxima where features outnumber examples, and MacKay's updates need hundreds of steps
    where it is flat: it is looked at on a grid, and the slope's zero is found around the best point of the grid.
    """
    import numpy as np

    low, high = np.log(problem.eigenvalues[[-1, 0]]) + np.array([-FARTHEST, FARTHEST])
    grid = np.linspace(low, high, GRID)
    ratio = problem.eigenvalues[:, None] * np.exp(-grid)
    quadratic = problem.outside[:, None] + problem.squares.T @ (1 / (1 + ratio))
    evidence = -problem.examples * np.log(quadratic) - np.log1p(ratio).sum(axis=0)
    best = evidence.argmax(axis=1)
    return _zero(problem, grid[np.maximum(best - 1, 0)], grid[np.minimum(best + 1, GRID - 1)])


def _zero(problem: Problem, left: Floats, right: Floats) -> Floats:
    """Where the slope falls through 0 between left and right, [C]; at the end where it does not.

    By false position, with the weight of an end that stays put halved (Dowell and Jarratt 1971, the Illinois rule).
    """
    import numpy as np

    rising, falling = _slope(problem, left), _slope(problem, right)
    ends = np.where(rising <= 0, left, right)
    inside = (rising > 0) & (falling < 0)
    place = ends
    for _ in range(MOST_STEPS):
        with np.errstate(divide="ignore", invalid="ignore"):
            new = (left * falling - right * rising) / (falling - rising)
        new = np.where(inside, np.where((new > left) & (new < right), new, (left + right) / 2), ends)
        if (np.abs(new - place) <= CLOSE).all():
            return new
        place, slope = new, _slope(problem, new)
        up = slope > 0
        falling = np.where(up, falling / 2, slope)
        rising = np.where(up, slope, rising / 2)
        left, right = np.where(up, place, left), np.where(up, right, place)
    return place


def _slope(problem: Problem, place: Floats) -> Floats:
    """Twice the derivative of the evidence by ln t, [C]: sum s / (s + t) - N t sum s x^2 / (s + t)^2 / q(t)."""
    import numpy as np

    values, t = problem.eigenvalues, np.exp(place)
    share = 1 / (values[:, None] + t)
    fitted = values @ share
    own = problem.squares * share
    quadratic = problem.outside + own.sum(axis=0) * t
    own *= share
    slope: Floats = fitted - problem.examples * t * (values @ own) / quadratic
    return slope


def _as_released(problem: Problem, variant: LogMEVariant) -> Floats:
    """Evidence by example, [C], as the published code has it: at most eleven steps of alpha and beta."""
    import numpy as np

    values, squares, outside, _, examples, width = problem
    icml = variant == "icml"
    tolerance, added = (1e-2, EPSILON) if icml else (1e-3, 0.0)
    missing = width - len(values) if icml else 0
    if not len(values):
        raise HarnessError("logme: the features are 0 everywhere")
    alpha, beta, length, missed = np.ones((4, squares.shape[1]))
    active = np.arange(squares.shape[1])
    for _ in range(11):
        t = alpha[active] / beta[active]
        share = 1 / (values[:, None] + t)
        fitted = values @ share
        own = squares[:, active] * share**2
        length[active] = values @ own
        missed[active] = own.sum(axis=0) * t**2 + outside[active]
        alpha[active] = fitted / (length[active] + EPSILON)
        beta[active] = (examples - fitted) / (missed[active] + EPSILON)
        active = active[np.abs(alpha[active] / beta[active] - t) / t > tolerance]
        if not len(active):
            break
    determinant = np.log(alpha + beta * values[:, None]).sum(axis=0) + missing * np.log(alpha)
    losses = beta * (missed + added) + alpha * (length + added)
    evidence: Floats = width * np.log(alpha) + examples * np.log(beta) - determinant - losses
    return (evidence / examples - math.log(2 * math.pi)) / 2
