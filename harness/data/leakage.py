"""Duplicates between what a network learns from and what it is tested on: exact ones and near ones.

Pictures are alike when the signs of their lowest frequencies (a perceptual hash of 64 bits) and small versions of them
nearly agree; texts are alike when they are made of the same words.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from harness.errors import HarnessError

if TYPE_CHECKING:
    import numpy as np

MOST_BITS: Final = 6
"""Bits of 64 in which the perceptual hashes of near duplicates may differ."""

MOST_DIFFERENCE: Final = 6.0
"""Mean absolute difference, of 255, between the 16 x 16 versions of near duplicates."""

SIDE: Final = 32
LOW: Final = 8
THUMB: Final = 16
COLOURS: Final = 3
PIECE: Final = 512
EXAMPLES: Final = 20

_WORD: Final = re.compile(r"[^\W\d_]+")


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
    """Two examples that are alike: their positions, and how far apart they are.

    bits: of 64 in the perceptual hashes; difference: of 255 between the small versions.
    """

    learned: int
    tested: int
    bits: int = 0
    difference: float = 0.0


@dataclass(frozen=True)
class Leakage:
    """How many of the tested examples have a duplicate among the learned ones, and the first pairs of them.

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

    Raises HarnessError when one holds pictures and the other texts.
    """
    names = f"{learned.name} {learned_split}", f"{tested.name} {tested_split}"
    first, second = learned.split(learned_split).inputs, tested.split(tested_split).inputs
    if len(first.shape) != len(second.shape):
        raise HarnessError(f"{names[0]} and {names[1]} hold different kinds of data and cannot be compared")
    pairs = text_pairs(list(first), list(second)) if len(first.shape) == 1 else picture_pairs(
        fingerprints(first), fingerprints(second)
    )  # fmt: skip
    return summarise(names, (len(first), len(second)), pairs)


def summarise(names: tuple[str, str], counts: tuple[int, int], pairs: Iterable[tuple[Pair, bool]]) -> Leakage:
    """Count pairs (each with whether it is exact) by tested example."""
    exact: set[int] = set()
    near: set[int] = set()
    kept: list[Pair] = []
    for pair, is_exact in pairs:
        (exact if is_exact else near).add(pair.tested)
        if len(kept) < EXAMPLES:
            kept.append(pair)
    return Leakage(*names, *counts, len(exact), len(near - exact), tuple(kept))


@dataclass(frozen=True)
class Fingerprints:
    """Of n pictures: sha256 of each, perceptual hashes [n] uint64, small versions [n, c * 256] float32."""

    digests: tuple[bytes, ...]
    hashes: np.ndarray[Any, Any]
    thumbs: np.ndarray[Any, Any]


def fingerprints(pictures: Any) -> Fingerprints:
    """Fingerprint pictures [n, c, h, w], a tensor from 0 to 1 or what reads like one."""
    import numpy as np

    digests: list[bytes] = []
    hashes, thumbs = [], []
    for start in range(0, len(pictures), PIECE):
        piece = pictures[start : start + PIECE].float()
        digests += [hashlib.sha256(picture.numpy().tobytes()).digest() for picture in piece]
        colours = piece if piece.shape[1] == COLOURS else piece[:, :1].expand(-1, COLOURS, -1, -1)
        hashes.append(_perceptual(colours.mean(1, keepdim=True)))
        thumbs.append(_small(colours, THUMB).reshape(len(piece), -1))
    return Fingerprints(tuple(digests), np.concatenate(hashes), np.concatenate(thumbs))


def _small(pictures: Any, side: int) -> np.ndarray[Any, Any]:
    """Return [n, c, side, side] float32 from 0 to 255: means over areas."""
    import torch

    pooled = torch.nn.functional.adaptive_avg_pool2d(pictures, side)
    small: np.ndarray[Any, Any] = (pooled * 255).numpy()
    return small


def _perceptual(grey: Any) -> np.ndarray[Any, Any]:
    """Return 64 bits a picture: which of its 8 x 8 lowest frequencies (discrete cosine) lie above their median."""
    import numpy as np

    small = _small(grey, SIDE)[:, 0]
    steps = np.arange(SIDE)
    basis = np.cos(np.pi * (2 * steps[None] + 1) * np.arange(LOW)[:, None] / (2 * SIDE)).astype(np.float32)
    waves = np.einsum("ki,nij,lj->nkl", basis, small, basis, optimize=True).reshape(len(small), -1)
    bits = waves > np.median(waves[:, 1:], axis=1, keepdims=True)
    packed: np.ndarray[Any, Any] = np.packbits(bits, axis=1).view(np.uint64).reshape(-1)
    return packed


def picture_pairs(learned: Fingerprints, tested: Fingerprints) -> Iterable[tuple[Pair, bool]]:
    """Yield each pair of duplicates, and whether it is exact."""
    import numpy as np

    for start in range(0, len(tested.hashes), PIECE):
        piece = tested.hashes[start : start + PIECE]
        differing = np.bitwise_count(piece[:, None] ^ learned.hashes[None])
        for row, column in np.argwhere(differing <= MOST_BITS).tolist():
            far = np.abs(tested.thumbs[start + row] - learned.thumbs[column]).mean()
            if far <= MOST_DIFFERENCE:
                exact = learned.digests[column] == tested.digests[start + row]
                yield Pair(column, start + row, int(differing[row, column]), float(far)), exact


def text_pairs(learned: Sequence[str], tested: Sequence[str]) -> Iterable[tuple[Pair, bool]]:
    """Yield, for each tested text that has duplicates, the first exact one, or else the first near one."""
    exact: dict[str, int] = {}
    near: dict[frozenset[str], int] = {}
    for position, text in enumerate(learned):
        exact.setdefault(plain(text), position)
        near.setdefault(words(text), position)
    for position, text in enumerate(tested):
        if plain(text) in exact:
            yield Pair(exact[plain(text)], position), True
        elif words(text) and words(text) in near:
            yield Pair(near[words(text)], position), False


def plain(text: str) -> str:
    """Return a text without what does not matter: case and the kind of blanks."""
    return " ".join(text.casefold().split())


def words(text: str) -> frozenset[str]:
    """Return the words of a text, without numbers, marks and order."""
    return frozenset(_WORD.findall(text.casefold()))
