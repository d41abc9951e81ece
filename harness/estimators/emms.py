"""EMMS, efficient multi-task model selector (Meng et al. 2023, arXiv 2308.06262)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from harness.errors import HarnessError
from harness.estimators.inputs import Inputs
from harness.estimators.scorers import Variant, scorer

if TYPE_CHECKING:
    from harness.estimators.arrays import Floats

SMALL: Final = 1e-8


@scorer(
    "emms",
    needs=("features", "label_embeddings"),
    cost="an eigendecomposition, and N D D2",
    paper="Meng et al. 2023, arXiv 2308.06262",
)
def emms(inputs: Inputs, *, alternations: int = 1, variant: Variant = "exact") -> float:
    """Minus the mean squared residual of a linear map from features to a mix of K embeddings of the labels.

    Columns of features and embeddings are standardised. From equal weights: the map is fitted to the mix by least
    squares, then the weights to the map's output, and these are projected on the simplex (sparsemax); `alternations`
    times. At most 0. Higher is better. Labels are not read, only their embeddings.

    released: the sum of squares is divided by N and *multiplied* by D2, as operators bind.
    """
    import numpy as np

    if alternations < 1:
        raise HarnessError(f"emms: alternations must be at least 1, not {alternations}")
    statistics = inputs.statistics
    embeddings = inputs.label_embeddings[statistics.order]
    embeddings = (embeddings - embeddings.mean(axis=0)) / (embeddings.std(axis=0) + SMALL)
    examples, width, kinds = (int(size) for size in embeddings.shape)
    if len(statistics.principal.values) == 0:
        raise HarnessError("emms: the features are constant")
    flat = embeddings.reshape(examples * width, kinds)
    products = flat.T @ flat
    # Least squares depends on the features' span alone, so standardising their columns changes nothing.
    centred, (values, axes) = statistics.all_centred(), statistics.principal
    weights = np.full(kinds, 1 / kinds)
    fitted = mix = embeddings @ weights
    for _ in range(alternations):
        fitted = centred @ (axes @ ((axes.T @ (centred.T @ mix)) / values[:, None]))
        weights = sparsemax(np.linalg.lstsq(products, flat.T @ fitted.reshape(-1), rcond=None)[0])
        mix = embeddings @ weights
    missed = float(np.square(fitted - mix).sum()) / examples
    return -missed * width if variant == "released" else -missed / width


def sparsemax(values: Floats) -> Floats:
    """The point of the simplex nearest to values [K] (Martins and Astudillo 2016)."""
    import numpy as np

    ordered = np.sort(values)[::-1]
    sums = np.cumsum(ordered)
    sizes = np.arange(1, len(values) + 1)
    kept = int((1 + sizes * ordered > sums).sum())
    nearest: Floats = np.maximum(values - (sums[kept - 1] - 1) / kept, 0)
    return nearest
