"""PACTran with a Gaussian prior (Ding et al. 2022, arXiv 2203.05126)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import HarnessError
from harness.estimators.inputs import Inputs
from harness.estimators.scorers import Variant, scorer

if TYPE_CHECKING:
    from harness.estimators.arrays import Floats, Integers


@scorer(
    "pactran",
    needs=("features", "labels"),
    classes=2,
    cost="steps x N D C of a softmax regression",
    paper="Ding et al. 2022, arXiv 2203.05126",
)
def pactran(
    inputs: Inputs, *, strength: float = 1.0, prior: float = 100.0, seed: int = 0, variant: Variant = "exact"
) -> float:
    """Minus the PAC-Bayesian bound on the loss of a softmax regression, by a Gaussian prior; higher is better.

    On centred features, with lambda = `strength` and s^2 = `prior` lambda / D (the paper: prior 100 or 10): the minimum
    of mean cross-entropy L + |W|^2 / (2 lambda N), plus D C s^2 / (2 lambda N) ln v, v = 1 + lambda N / (D C) tr(H), H
    the second derivatives of L by the weights: the best posterior with one variance. Minus the published value.

    released: H is that of the summed rather than the mean cross-entropy, and by the biases as well; and the minimum is
    looked for in up to 100 steps of L-BFGS-B from a small random start (`seed`), which may end before it.
    """
    import numpy as np

    if strength <= 0 or prior <= 0:
        raise HarnessError(f"pactran: strength and prior must be above 0, not {strength} and {prior}")
    statistics = inputs.statistics
    features, labels = statistics.all_centred(), statistics.ordered_labels
    scale = strength * statistics.examples
    released = variant == "released"
    fit = _steps if released else _optimum
    weights, biases = fit(features, labels, statistics.classes, 1 / scale, seed)
    loss, by_weights, by_biases = _losses(features, labels, weights, biases)
    curvature = by_weights + by_biases if released else by_weights / statistics.examples
    size = statistics.width * statistics.classes
    objective = loss + float(np.square(weights).sum()) / (2 * scale)
    spread = prior * strength / statistics.width
    return -(objective + size * spread / (2 * scale) * float(np.log1p(curvature * scale / size)))


def _losses(features: Floats, labels: Integers, weights: Floats, biases: Floats) -> tuple[float, float, float]:
    """Mean cross-entropy; sums over examples of its second derivatives by all weights, and by all biases."""
    import numpy as np
    from scipy.special import log_softmax

    logs = log_softmax(features @ weights + biases, axis=1)
    probabilities = np.exp(logs)
    spread = (probabilities - np.square(probabilities)).sum(axis=1)
    loss = -float(logs[np.arange(len(labels)), labels].mean())
    return loss, float(spread @ np.square(features).sum(axis=1)), float(spread.sum())


def _optimum(features: Floats, labels: Integers, classes: int, l2: float, seed: int) -> tuple[Floats, Floats]:
    import torch

    from harness.training.logistic import fit_logistic

    fit = fit_logistic(
        torch.from_numpy(features)[None],
        torch.from_numpy(labels)[None],
        classes,
        torch.tensor([l2], dtype=torch.float64),
    )
    if not bool(fit.converged[0]):
        raise HarnessError("pactran: the regression did not arrive at its optimum")
    return fit.weight[0].numpy().T, fit.bias[0].numpy()


def _steps(features: Floats, labels: Integers, classes: int, l2: float, seed: int) -> tuple[Floats, Floats]:
    import numpy as np
    from scipy.optimize import minimize
    from scipy.special import log_softmax

    examples, width = features.shape
    target = np.eye(classes)[labels]

    def objective(flat: Floats) -> tuple[float, Floats]:
        weights, biases = flat[: width * classes].reshape(width, classes), flat[width * classes :]
        logs = log_softmax(features @ weights + biases, axis=1)
        error = (np.exp(logs) - target) / examples
        loss = -float((target * logs).sum()) / examples + l2 / 2 * float(np.square(weights).sum())
        return loss, np.concatenate([(features.T @ error + l2 * weights).ravel(), error.sum(axis=0)])

    start = np.zeros((width + 1) * classes)
    start[: width * classes] = 0.03 * np.random.default_rng(seed).normal(size=width * classes)
    found = minimize(objective, start, jac=True, method="L-BFGS-B", tol=1e-6, options={"maxiter": 100}).x
    return found[: width * classes].reshape(width, classes), found[width * classes :]
