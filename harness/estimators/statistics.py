"""Sums over the features of one network on one target that many scores share, each worked out once, when asked for.

With N examples, D features, C classes, class counts n_c, class means mu_c, overall mean mu, and residuals
r_i = x_i - mu_{y_i}:

    within   = sum_i r_i r_i^T                                      the one product of cost N D^2
    total    = within + sum_c n_c (mu_c - mu)(mu_c - mu)^T          scatter of the centred features
    gram     = total + N mu mu^T                                    F^T F

Sums of positive matrices only, so that nothing cancels when classes lie far apart or features far from zero.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from harness.estimators.algebra import eigh, gram

if TYPE_CHECKING:
    from harness.estimators.arrays import Floats, Integers

T = TypeVar("T")

ROUNDING: Final = 1e-14
"""Differences from a mean, relative to the size of a feature, that are taken for rounding."""

WORST: Final = 1e-11
"""Ratio of eigenvalues of F^T F below which they are worked out from F itself, which keeps twice the digits."""


class Spectrum(NamedTuple):
    """The eigenvalues above rounding of a positive matrix, largest first [k], and their axes as columns [D, k].

    The largest entry of each axis is positive, as scikit-learn has it: some scores depend on the signs.
    """

    values: Floats
    axes: Floats


class Statistics:
    """What features [N, D] float64 and labels [N] in 0..C-1, all of which occur, add up to.

    What differs from a mean by rounding alone is taken as equal to it, so that constant features are constant, whatever
    their value. Examples are kept in the order of their classes: `residuals` is [N, D] in that order, `order` [N] says
    which example stands where. `means` is [C, D], `counts` [C]. `device`: where the largest products and their
    eigenvalues are worked out, see :mod:`harness.estimators.algebra`.
    """

    def __init__(
        self,
        residuals: Floats,
        means: Floats,
        counts: Integers,
        order: Integers,
        within: Floats | None = None,
        squares: Floats | None = None,
        device: str | None = None,
    ) -> None:
        import numpy as np

        self.residuals, self.means, self.counts, self.order = residuals, means, counts, order
        self.examples, self.width = len(residuals), int(residuals.shape[1])
        self.classes = len(counts)
        self.bounds: Integers = np.concatenate([[0], np.cumsum(counts)])
        self._within, self._squares, self.device = within, squares, device
        self._made: dict[Hashable, Any] = {}
        self._made_within: dict[Hashable, Any] = {}

    @classmethod
    def of(cls, features: Floats, labels: Integers, device: str | None = None) -> Statistics:
        """Take the features [N, D] and labels [N] of all examples in."""
        import numpy as np

        counts = np.bincount(labels)
        order = np.argsort(labels, kind="stable")
        ordered = np.empty_like(features)
        means, squares = np.empty((2, len(counts), features.shape[1]))
        # Class by class, so that rows stay in a processor's caches between the steps.
        for label, (count, end) in enumerate(zip(counts, np.cumsum(counts), strict=True)):
            rows = ordered[end - count : end]
            np.take(features, order[end - count : end], axis=0, out=rows, mode="clip")
            np.mean(rows, axis=0, out=means[label])
            rows -= means[label]
            # What the first mean missed by adding many numbers up.
            missed = rows.mean(axis=0)
            rows -= missed
            means[label] += missed
            np.einsum("nd,nd->d", rows, rows, out=squares[label])
        spread = squares.sum(axis=0)
        size = np.sqrt((spread + counts @ np.square(means)) / len(features))
        still = np.sqrt(spread / len(features)) <= ROUNDING * size
        if still.any():
            ordered[:, still] = 0
            squares[:, still] = 0
        same = np.abs(means - counts @ means / len(features)).max(axis=0) <= ROUNDING * size
        means[:, same] = means[0, same]
        return cls(ordered, means, counts, order, squares=squares, device=device)

    def moved(self, means: Floats) -> Statistics:
        """Return the statistics of the same examples with each class moved so that its mean is `means` [C, D]."""
        result = Statistics(self.residuals, means, self.counts, self.order, self._within, self._squares, self.device)
        result._made_within = self._made_within
        return result

    def projected(self, dims: int) -> Statistics:
        """Return the statistics of the examples on their first `dims` principal components, at most the rank."""

        def make() -> Statistics:
            axes = self.principal.axes[:, :dims]
            return Statistics(self.residuals @ axes, self.deviations @ axes, self.counts, self.order)

        return self.once(("projected", dims), make)

    def once(self, key: Hashable, make: Callable[[], T], *, within: bool = False) -> T:
        """Return what `make` gives, made at the first call with this key: for what more than one score needs.

        within: it depends on residuals alone, and stays as it is when classes move.
        """
        kept = self._made_within if within else self._made
        if key not in kept:
            kept[key] = make()
        found: T = kept[key]
        return found

    @property
    def ordered_labels(self) -> Integers:
        """Labels [N] in the order of `residuals`."""
        import numpy as np

        return np.repeat(np.arange(self.classes), self.counts)

    def slices(self) -> list[slice]:
        """The rows of each class in `residuals`."""
        return [slice(start, end) for start, end in zip(self.bounds[:-1], self.bounds[1:], strict=True)]

    @cached_property
    def shares(self) -> Floats:
        """n_c / N, [C]."""
        shares: Floats = self.counts / self.examples
        return shares

    @cached_property
    def mean(self) -> Floats:
        """Overall mean mu, [D]."""
        return self.shares @ self.means

    @cached_property
    def deviations(self) -> Floats:
        """mu_c - mu, [C, D]; features whose class means are all alike have exactly 0."""
        import numpy as np

        return np.where((self.means == self.means[0]).all(axis=0), 0, self.means - self.mean)

    @cached_property
    def between_root(self) -> Floats:
        """sqrt(n_c) (mu_c - mu), [C, D]: its Gram matrix is the scatter between classes."""
        import numpy as np

        return np.sqrt(self.counts)[:, None] * self.deviations

    @property
    def within(self) -> Floats:
        """Scatter within classes, [D, D]."""
        if self._within is None:
            self._within = gram(self.residuals, self.device)
        return self._within

    @property
    def squares(self) -> Floats:
        """Sums of squared residuals, [C, D]: n_c times the variances of each class."""
        import numpy as np

        if self._squares is None:
            parts = [np.einsum("nd,nd->d", rows, rows) for rows in (self.residuals[own] for own in self.slices())]
            self._squares = np.stack(parts)
        return self._squares

    @cached_property
    def total(self) -> Floats:
        """Scatter about the overall mean, [D, D]."""
        return self.within + self.between_root.T @ self.between_root

    @cached_property
    def gram(self) -> Floats:
        """F^T F, [D, D]."""
        import numpy as np

        gram: Floats = self.total + self.examples * np.outer(self.mean, self.mean)
        return gram

    @cached_property
    def fourth(self) -> float:
        """sum_i |x_i - mu|^4."""
        import numpy as np

        norms = [np.einsum("nd,nd->n", rows, rows) for rows in (self.centred(label) for label in range(self.classes))]
        return float(np.square(np.concatenate(norms)).sum())

    def centred(self, label: int) -> Floats:
        """Features of one class less the overall mean, [n_c, D]."""
        rows = self.residuals[self.bounds[label] : self.bounds[label + 1]]
        centred: Floats = rows + self.deviations[label]
        return centred

    def all_centred(self) -> Floats:
        """All features less the overall mean, [N, D], in the order of `residuals`."""
        import numpy as np

        return self.residuals + np.repeat(self.deviations, self.counts, axis=0)

    @cached_property
    def principal(self) -> Spectrum:
        """Eigenvalues of `total` and its axes: principal components, without those that are only rounding."""
        found = None if self.examples <= self.width else _spectrum(self.total, self.examples, self.device)
        return _spectrum_of_rows(self.all_centred()) if found is None else found

    @cached_property
    def moments(self) -> Spectrum:
        """Eigenvalues of `gram` and its axes, without those that are only rounding."""
        found = None if self.examples <= self.width else _spectrum(self.gram, self.examples, self.device)
        return _spectrum_of_rows(self.all_centred() + self.mean) if found is None else found


def _spectrum(matrix: Floats, examples: int, device: str | None) -> Spectrum | None:
    """The spectrum of a matrix, or None when its smallest eigenvalues have lost too many digits."""
    import numpy as np

    values, axes = eigh(matrix, device)
    values, axes = values[::-1], axes[:, ::-1]
    rank = _rank(values, max(examples, len(values)) * np.finfo(float).eps)
    if rank and values[rank - 1] < WORST * values[0]:
        return None
    return Spectrum(values[:rank], _signed(axes[:, :rank]))


def _spectrum_of_rows(rows: Floats) -> Spectrum:
    """The same of rows^T rows for fewer rows than columns, which keeps more digits."""
    import numpy as np
    from scipy.linalg import svd

    _, spread, axes = svd(rows, full_matrices=False, check_finite=False)
    rank = _rank(spread, max(rows.shape) * np.finfo(float).eps)
    return Spectrum(np.square(spread[:rank]), _signed(axes[:rank].T))


def _signed(axes: Floats) -> Floats:
    """Axes as columns, each turned so that its entry of the largest size is positive."""
    import numpy as np

    largest = np.abs(axes).argmax(axis=0) if axes.shape[1] else np.zeros(0, dtype=np.int64)
    signs = np.sign(axes[largest, np.arange(axes.shape[1])])
    turned: Floats = np.ascontiguousarray(axes * signs)
    return turned


def _rank(values: Floats, tolerance: float) -> int:
    """How many of the values, largest first, are more than rounding."""
    return int((values > tolerance * values[0]).sum()) if len(values) and values[0] > 0 else 0
