"""Duplicates between what a network learns from and what it is tested on: exact ones and near ones.

Exact: the same numbers, or for texts the same characters but for case and blanks.

Near, of pictures: at most 6 of the 64 bits of their perceptual hashes differ, their versions of 16 x 16 pixels differ
by at most 6 of 255 on average, and these versions correlate to at least .95. Near, of texts: they share at least 70 %
of all their runs of five letters (Jaccard index, estimated to .04).

So "near" is what a glance takes for the same. That finds recoloured, resized and slightly changed copies. It also takes
for the same what differs in a small mark only: letters with another accent, the two of clubs in another deck. Whether
such a pair gives away a test example is for eyes to say.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from harness.data.fingerprints import Fingerprints, Prints, TextPrints, fingerprints, plain, prints_of

if TYPE_CHECKING:
    import numpy as np

    Numbers = np.ndarray[Any, Any]

MOST_BITS: Final = 6
"""Bits of 64 in which the perceptual hashes of near duplicates may differ."""

MOST_DIFFERENCE: Final = 6.0
"""Mean absolute difference, of 255, between the 16 x 16 versions of near duplicates."""

LEAST_CORRELATION: Final = 0.95
"""Correlation between the 16 x 16 versions of near duplicates: on a large blank ground, difference says too little."""

LEAST_SHARED: Final = 0.7
"""Runs of letters that near duplicate texts share, as a part of those that either has."""

BANDS: Final = 32
"""Texts are compared where they agree on one of 32 bands of four numbers: at 70 % shared, 99.98 % of pairs do."""

COMPARED_AT_ONCE: Final = 4_000_000
VERIFIED_AT_ONCE: Final = 8192
EXAMPLES: Final = 20


class Loaded(Protocol):
    """One split: inputs (pictures [n, c, h, w] or texts [n])."""

    @property
    def inputs(self) -> Any:
        """The examples."""


class Loadable(Protocol):
    """A data set with named splits, such as a task."""

    @property
    def name(self) -> str:
        """What it is called."""

    def split(self, name: str) -> Loaded:
        """Load one split."""


@dataclass(frozen=True)
class Pair:
    """Two examples that are alike: their positions, and how alike they are.

    bits: of 64 in which the perceptual hashes differ; difference: of 255 between the small versions;
    likeness: their correlation, or the share of runs of letters; 1 for exact duplicates.
    """

    learned: int
    tested: int
    bits: int = 0
    difference: float = 0.0
    likeness: float = 1.0
    exact: bool = False


@dataclass(frozen=True)
class Leakage:
    """How many of the tested examples have a duplicate among the learned ones, and the closest pairs of them.

    exact: tested examples with an exact duplicate; near: those with a near one but no exact one.
    """

    learned: str
    tested: str
    n_learned: int
    n_tested: int
    exact: int
    near: int
    pairs: tuple[Pair, ...] = ()

    @property
    def share(self) -> float:
        """Tested examples with any duplicate, as a share of all tested examples."""
        return (self.exact + self.near) / self.n_tested if self.n_tested else 0.0

    def __str__(self) -> str:
        return (
            f"{self.tested}: {self.exact} exact and {self.near} near duplicates of {self.learned} "
            f"among {self.n_tested:,} examples ({self.share:.1%})"
        )


def between(learned: Loadable, tested: Loadable, learned_split: str = "train", tested_split: str = "test") -> Leakage:
    """Compare a split that is learned from with one that is tested on, of one data set or of two.

    Examples of different kinds (a picture and a text) are never alike.
    """
    names = f"{learned.name} {learned_split}", f"{tested.name} {tested_split}"
    return compare(names, prints_of(learned.split(learned_split).inputs), prints_of(tested.split(tested_split).inputs))


def compare(names: tuple[str, str], learned: Prints, tested: Prints, examples: int = EXAMPLES) -> Leakage:
    """Count the tested examples that have duplicates among the learned ones; keep the closest pairs."""
    places = learned.places
    exact = [
        Pair(places[digest], position, exact=True)
        for position, digest in enumerate(tested.digests)
        if digest in places and type(learned) is type(tested)
    ]
    known = {pair.tested for pair in exact}
    near = [pair for pair in _near(learned, tested) if pair.tested not in known]
    near.sort(key=lambda pair: (-pair.likeness, pair.tested))
    return Leakage(*names, len(learned), len(tested), len(exact), len(near), tuple([*exact, *near][:examples]))


def _near(learned: Prints, tested: Prints) -> list[Pair]:
    """Return the closest near duplicate of each tested example that has one."""
    if isinstance(learned, Fingerprints) and isinstance(tested, Fingerprints):
        found = _near_pictures(learned, tested)
    elif isinstance(learned, TextPrints) and isinstance(tested, TextPrints):
        found = _near_texts(learned, tested)
    else:
        return []
    columns = (column.tolist() for column in _closest(*found))
    return [Pair(*row) for row in zip(*columns, strict=True)]


def _closest(learned: Numbers, tested: Numbers, bits: Numbers, difference: Numbers, likeness: Numbers) -> list[Numbers]:
    """Keep, of the pairs given by columns, the first of the most alike for each tested example."""
    import numpy as np

    order = np.lexsort((learned, -likeness, tested))
    first = np.ones(len(order), bool)
    first[1:] = tested[order][1:] != tested[order][:-1]
    chosen = order[first]
    return [column[chosen] for column in (learned, tested, bits, difference, likeness)]


# --- pictures ---------------------------------------------------------------------------------------------------------


def picture_pairs(learned: Fingerprints, tested: Fingerprints) -> Iterator[tuple[Pair, bool]]:
    """Yield each pair of pictures with little difference, however they correlate, and whether it is exact."""
    for column, row, bits, far, correlation in zip(*(x.tolist() for x in _alike(learned, tested)), strict=True):
        exact = learned.digests[column] == tested.digests[row]
        yield Pair(column, row, bits, far, correlation, exact), exact


def _near_pictures(learned: Fingerprints, tested: Fingerprints) -> tuple[Numbers, ...]:
    found = _alike(learned, tested)
    near = found[-1] >= LEAST_CORRELATION
    return tuple(column[near] for column in found)


def _alike(learned: Fingerprints, tested: Fingerprints) -> tuple[Numbers, ...]:
    """Return (learned, tested, bits, difference, correlation) of the pairs of pictures with little difference."""
    import numpy as np

    parts: list[tuple[Numbers, ...]] = [tuple(np.empty(0, kind) for kind in (int, int, int, float, float))]
    height = max(1, COMPARED_AT_ONCE // max(1, len(learned)))
    for start in range(0, len(tested), height):
        differing = np.bitwise_count(tested.hashes[start : start + height, None] ^ learned.hashes[None])
        rows, columns = np.nonzero(differing <= MOST_BITS)
        bits = differing[rows, columns].astype(int)
        for first in range(0, len(rows), VERIFIED_AT_ONCE):
            piece = slice(first, first + VERIFIED_AT_ONCE)
            at, of = rows[piece] + start, columns[piece]
            far, correlation = _likeness(learned.thumbs[of], tested.thumbs[at])
            kept = far <= MOST_DIFFERENCE
            parts.append((of[kept], at[kept], bits[piece][kept], far[kept], correlation[kept]))
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True))


def _likeness(first: Numbers, second: Numbers) -> tuple[Numbers, Numbers]:
    """Return the mean absolute difference and the correlation of rows [n, d]; rows of one colour correlate fully."""
    import numpy as np

    first, second = first.astype(np.float32), second.astype(np.float32)
    difference = np.abs(first - second).mean(1)
    first -= first.mean(1, keepdims=True)
    second -= second.mean(1, keepdims=True)
    lengths = np.sqrt((first**2).sum(1) * (second**2).sum(1))
    flat = (first**2).sum(1) + (second**2).sum(1) < 1
    return difference, np.where(flat, 1.0, (first * second).sum(1) / np.maximum(lengths, 1e-6))


# --- texts ------------------------------------------------------------------------------------------------------------


def _near_texts(learned: TextPrints, tested: TextPrints) -> tuple[Numbers, ...]:
    """Return (learned, tested, 0, 0, share of runs) of the pairs of texts that share most of their runs."""
    import numpy as np

    rows, columns = _candidates(learned.signatures, tested.signatures)
    shared = np.empty(len(rows), np.float32)
    for first in range(0, len(rows), VERIFIED_AT_ONCE):
        piece = slice(first, first + VERIFIED_AT_ONCE)
        shared[piece] = (learned.signatures[columns[piece]] == tested.signatures[rows[piece]]).mean(1)
    near = shared >= LEAST_SHARED
    nothing = np.zeros(int(near.sum()), int)
    return columns[near], rows[near], nothing, nothing.astype(float), shared[near]


def _candidates(learned: Numbers, tested: Numbers) -> tuple[Numbers, Numbers]:
    """Return (tested, learned) positions of the pairs whose signatures agree on a whole band, each once."""
    import numpy as np

    found = [np.empty(0, np.int64)]
    for mine, theirs in zip(_bands(tested), _bands(learned), strict=True):
        order = np.argsort(theirs, kind="stable")
        low = np.searchsorted(theirs[order], mine, "left")
        count = np.searchsorted(theirs[order], mine, "right") - low
        rows = np.repeat(np.arange(len(mine)), count)
        offsets = np.arange(len(rows)) - np.repeat(np.cumsum(count) - count, count)
        found.append(np.unique(rows * len(learned) + order[np.repeat(low, count) + offsets]))
    pairs = np.unique(np.concatenate(found))
    return pairs // max(1, len(learned)), pairs % max(1, len(learned))


def _bands(signatures: Numbers) -> Iterator[Numbers]:
    """Yield one number [n] uint64 a band: equal where all numbers of the band are, and hardly ever otherwise."""
    import numpy as np

    for band in np.split(signatures.astype(np.uint64), BANDS, axis=1):
        number = np.zeros(len(band), np.uint64)
        for column in band.T:
            number = (number ^ column) * np.uint64(0x9E3779B97F4A7C15)
            number ^= number >> np.uint64(29)
        yield number


__all__ = ["Leakage", "Pair", "between", "compare", "fingerprints", "picture_pairs", "plain"]
