"""Duplicates are found, and only duplicates."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import torch

from harness.data.leakage import between, fingerprints, picture_pairs, plain, text_pairs, words
from harness.errors import HarnessError
from harness.tasks.base import Split
from harness.tasks.inputs import Texts


def smooth(count: int, seed: int, size: int = 48) -> torch.Tensor:
    """Pictures with large shapes in them, all different."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 6, 6, generator=generator)
    return torch.nn.functional.interpolate(coarse, size, mode="bicubic").clamp(0, 1)


@dataclass
class Data:
    name: str
    splits: dict[str, object] = field(default_factory=dict)

    def split(self, name: str) -> Split:
        inputs = self.splits[name]
        return Split(inputs, torch.zeros(len(inputs)))  # type: ignore[arg-type]


def test_independent_pictures_are_no_duplicates() -> None:
    data = Data("toy", {"train": smooth(300, 0), "test": smooth(200, 1)})
    found = between(data, data)
    assert (found.exact, found.near, found.pairs) == (0, 0, ())
    assert found.n_learned == 300 and found.n_tested == 200 and found.share == 0


def test_exact_and_near_duplicates_are_told_apart() -> None:
    train, test = smooth(40, 0), smooth(30, 1)
    test[3] = train[5]
    test[4] = (train[6] + 0.01 * torch.randn(train[6].shape, generator=torch.Generator().manual_seed(2))).clamp(0, 1)
    data = Data("toy", {"train": train, "test": test})
    found = between(data, data)
    assert (found.exact, found.near) == (1, 1)
    assert {(pair.learned, pair.tested) for pair in found.pairs} == {(5, 3), (6, 4)}
    assert "1 exact and 1 near" in str(found) and "6.7%" in str(found)


def test_a_near_duplicate_at_another_size_is_found() -> None:
    train = smooth(20, 0, size=64)
    smaller = torch.nn.functional.interpolate(train[7:8], 32, mode="area")
    found = between(Data("big", {"train": train}), Data("small", {"test": smaller}))
    assert (found.exact, found.near) == (0, 1)


def test_alike_in_shape_but_not_in_brightness_is_no_duplicate() -> None:
    train = smooth(10, 0) * 0.5
    found = between(Data("dark", {"train": train}), Data("bright", {"test": train + 0.4}))
    assert found.exact + found.near == 0


def test_each_tested_example_counts_once() -> None:
    train = smooth(1, 0).repeat(5, 1, 1, 1)
    data = Data("toy", {"train": train, "test": train[:2]})
    found = between(data, data)
    assert found.exact == 2 and found.share == 1 and len(found.pairs) == 10


def test_fingerprints_come_in_pieces_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = smooth(30, 0)
    whole = fingerprints(pictures)
    monkeypatch.setattr("harness.data.leakage.PIECE", 7)
    pieces = fingerprints(pictures)
    assert whole.digests == pieces.digests and (whole.hashes == pieces.hashes).all()
    assert sum(exact for _, exact in picture_pairs(pieces, whole)) == 30


def test_texts() -> None:
    learned = ["The cat sat.", "A dog barks at 5.", "One. Two."]
    tested = ["the  CAT sat.", "At 7 barks a dog!", "something else", "3, 4"]
    found = list(text_pairs(learned, tested))
    assert [(pair.learned, pair.tested, exact) for pair, exact in found] == [(0, 0, True), (1, 1, False)]
    data = Data("toy", {"train": Texts(learned), "test": Texts(tested)})
    assert (between(data, data).exact, between(data, data).near) == (1, 1)
    assert plain(" A\tb ") == "a b" and words("A b, b 3") == {"a", "b"}


def test_pictures_and_texts_cannot_be_compared() -> None:
    with pytest.raises(HarnessError, match="different kinds"):
        between(Data("a", {"train": smooth(2, 0)}), Data("b", {"test": Texts(["x"])}))
