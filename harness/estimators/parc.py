"""PARC, pairwise annotation representation comparison (Bolya, Mittapalli and Hoffman 2021, arXiv 2111.06977)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from harness.errors import HarnessError
from harness.estimators.inputs import Inputs
from harness.estimators.scorers import Variant, scorer
from harness.estimators.statistics import Statistics

if TYPE_CHECKING:
    from harness.estimators.arrays import Floats, Integers

Projection = Literal["exact", "randomised"]


@scorer(
    "parc",
    needs=("features", "labels"),
    classes=2,
    real_targets=True,
    cost="N^2 d and N^2 ln N, N at most `most`",
    paper="Bolya et al. 2021, arXiv 2111.06977",
)
def parc(
    inputs: Inputs,
    *,
    dims: int | None = 32,
    projection: Projection = "exact",
    most: int = 15_000,
    seed: int = 0,
    variant: Variant = "exact",
) -> float:
    """100 times Spearman's correlation of distances between features and distances between labels, over all pairs.

    Features are projected on `dims` principal components (None: all), whose columns are standardised; the distance of
    two examples is 1 - the correlation of their rows. The distance of two labels is whether they differ, so that the
    coefficient is a count of ordered pairs (Mann and Whitney) from one sort; of real targets [N, K], 1 - the
    correlation of their rows. Of more than `most` examples, `most` drawn by `seed` stand for all. Higher is better.

    released: the correlation of one-hot rows is rounded to one of several values 1e-16 apart, which breaks ties among
    equal labels by chance, and the projection is randomised (seed 1919, one power step). projection="randomised" alone
    has that projection with exact ties.
    """
    import numpy as np

    features, labels, targets = _sample(inputs, most, seed)
    statistics = inputs.statistics if len(labels) == len(inputs.features) else Statistics.of(features, labels)
    if targets is None and len(labels) in (statistics.classes, int(statistics.counts.max())):
        raise HarnessError("parc: all pairs of examples have one distance of labels")
    rows = _standardised(statistics, features, dims, projection == "randomised" or variant == "released")
    if targets is None and variant == "exact":
        same, different = _distances(rows, statistics)
        return 100 * against_two_values(same, different)
    # In the examples' own order: where rounding breaks ties, it does so by place.
    rows = rows[np.argsort(statistics.order)]
    return 100 * _between_rows(rows, np.eye(statistics.classes)[labels] if targets is None else targets)


def _sample(inputs: Inputs, most: int, seed: int) -> tuple[Floats, Integers, Floats | None]:
    """Features, labels (all 0 for real targets) and real targets of at most `most` examples."""
    import numpy as np

    features, targets = inputs.features, inputs.targets
    labels = inputs.labels if targets is None else np.zeros(len(features), dtype=np.int64)
    if len(features) <= most:
        return features, labels, targets
    chosen = np.sort(np.random.default_rng(seed).permutation(len(features))[:most])
    labels = np.unique(labels[chosen], return_inverse=True)[1]
    return features[chosen], labels, None if targets is None else targets[chosen]


def _between_rows(first: Floats, second: Floats) -> float:
    """Spearman's correlation over pairs of 1 - the correlation of rows [N, .] of one array and of another."""
    import numpy as np
    from scipy.stats import spearmanr

    pairs = np.triu_indices(len(first), 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        one, other = (np.asarray(1 - np.corrcoef(rows))[pairs] for rows in (first, second))
        return float(spearmanr(one, other)[0])


def _standardised(statistics: Statistics, features: Floats, dims: int | None, randomised: bool) -> Floats:
    """Principal components with columns of mean 0 and variance 1, [N, d], in the order of the classes."""
    if len(statistics.principal.values) < 2:
        raise HarnessError("parc: the features vary in fewer than two directions, so that rows have no correlation")
    if randomised and dims is not None:
        from sklearn.decomposition import PCA

        solver = PCA(min(dims, *features.shape), svd_solver="randomized", random_state=1919, iterated_power=1)
        low = solver.fit_transform(features)[statistics.order]
    elif dims is None:
        low = statistics.all_centred()
    else:
        low = statistics.projected(dims).all_centred()
    spread = low.std(axis=0)
    kept = spread > 1e-12 * spread.max()
    standardised: Floats = (low[:, kept] - low[:, kept].mean(axis=0)) / spread[kept]
    return standardised


def _distances(rows: Floats, statistics: Statistics) -> tuple[Floats, Floats]:
    """Distances of all pairs of one class, and of all pairs of two classes."""
    import numpy as np

    rows = rows - rows.mean(axis=1, keepdims=True)
    lengths = np.sqrt(np.square(rows).sum(axis=1, keepdims=True))
    if not lengths.all():
        raise HarnessError("parc: an example has the same value in every feature, so that its row has no correlation")
    rows = rows / lengths
    counts, examples = statistics.counts, statistics.examples
    same = np.empty(int((counts * (counts - 1) // 2).sum()))
    different = np.empty(examples * (examples - 1) // 2 - len(same))
    filled = filled_apart = 0
    for own in statistics.slices():
        block = 1 - rows[own] @ rows[own.start :].T
        size = own.stop - own.start
        inside = block[:, :size][np.triu_indices(size, 1)]
        apart = block[:, size:]
        same[filled : filled + len(inside)] = inside
        different[filled_apart : filled_apart + apart.size].reshape(apart.shape)[:] = apart
        filled, filled_apart = filled + len(inside), filled_apart + apart.size
    return same, different


def against_two_values(low: Floats, high: Floats) -> float:
    """Spearman's correlation of values with whether they are of the second group, with mean ranks for ties."""
    import numpy as np

    pooled = np.concatenate([low, high])
    pooled.sort()
    size = len(pooled)
    first, last = np.searchsorted(pooled, low, "left"), np.searchsorted(pooled, low, "right")
    ranks_low = float((first + last + 1).sum()) / 2
    covariance = len(low) * (size + 1) / 2 - ranks_low
    variance = (size**3 - size - _ties(pooled)) / 12
    return covariance / float(np.sqrt(variance * (len(low) * len(high) / size)))


def _ties(ordered: Floats) -> float:
    """sum of t^3 - t over groups of t equal values."""
    import numpy as np

    places = np.flatnonzero(ordered[1:] == ordered[:-1])
    if not len(places):
        return 0.0
    breaks = np.flatnonzero(np.diff(places) > 1)
    edges = np.concatenate([[-1], breaks, [len(places) - 1]])
    sizes = np.diff(edges).astype(np.float64) + 1
    return float((sizes**3 - sizes).sum())
