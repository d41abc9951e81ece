"""Bootstrap multiplicities and percentile intervals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

FEWEST = 4  # levels below which resampling them says nothing
_CHUNK = 4_000_000  # multiplicities held at once: 32 MB of float64
_KEPT = 500_000  # multiplicities of one set of resamples that is kept for its next use: 4 MB
_RESOLVED = 1e-12  # a shorter interval says that resampling shows no error, not that there is none


@dataclass(frozen=True)
class Interval:
    """Ends of an interval, NaN with a ``reason`` when not estimable; ``degenerate`` resamples were left out."""

    low: float
    high: float
    degenerate: int = 0
    reason: str = ""

    @classmethod
    def missing(cls, reason: str, degenerate: int = 0) -> Interval:
        """An interval that is not estimable."""
        return cls(float("nan"), float("nan"), degenerate, reason)


def multiplicities(
    sizes: Sequence[int], n_resamples: int, seed: int, width: int | None = None
) -> Iterator[list[np.ndarray]]:
    """Chunks of multiplicities, one array [chunk, size] per factor; each row sums to the factor's size.

    Args:
        width: numbers the caller holds per resample, for the size of the chunks.
    """
    chunk = max(1, _CHUNK // max(width or sum(sizes), 1))
    if 0 < n_resamples <= chunk and n_resamples * sum(sizes) <= _KEPT:
        yield list(_kept(tuple(sizes), n_resamples, seed))
        return
    generator = np.random.default_rng(seed)
    for start in range(0, n_resamples, chunk):
        yield _drawn(generator, sizes, min(chunk, n_resamples - start))


def _drawn(generator: np.random.Generator, sizes: Sequence[int], n: int) -> list[np.ndarray]:
    return [generator.multinomial(size, np.full(size, 1.0 / size), size=n).astype(float) for size in sizes]


@lru_cache(maxsize=16)
def _kept(sizes: tuple[int, ...], n_resamples: int, seed: int) -> list[np.ndarray]:
    """The resamples of one chunk, which every coefficient of as many items shares; not to be written to."""
    drawn = _drawn(np.random.default_rng(seed), sizes, n_resamples)
    for part in drawn:
        part.flags.writeable = False
    return drawn


def percentiles(values: np.ndarray, level: float) -> Interval:
    """The central interval of resampled values; undefined (NaN) ones are left out and counted."""
    finite = values[np.isfinite(values)]
    degenerate = int(values.size - finite.size)
    if 2 * degenerate >= values.size:
        return Interval.missing("most resamples are undefined", degenerate)
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    if high - low < _RESOLVED:
        return Interval.missing("resamples do not vary", degenerate)
    return Interval(float(low), float(high), degenerate)
