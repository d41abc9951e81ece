"""Duplicates are found, and only duplicates."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from harness.data import leakage
from harness.data.fingerprints import Prints, fingerprints, prints_of, text_prints
from harness.data.leakage import between, compare, picture_pairs
from harness.tasks.base import Split
from harness.tasks.inputs import Texts

NAMES = ("learned", "tested")


def smooth(count: int, seed: int, size: int = 48) -> torch.Tensor:
    """Pictures with large shapes in them, all different."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 6, 6, generator=generator)
    return torch.nn.functional.interpolate(coarse, size, mode="bicubic").clamp(0, 1)


def noisy(pictures: torch.Tensor, seed: int = 2) -> torch.Tensor:
    noise = torch.randn(pictures.shape, generator=torch.Generator().manual_seed(seed))
    return (pictures + 0.01 * noise).clamp(0, 1)


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
    test[4:5] = noisy(train[6:7])
    data = Data("toy", {"train": train, "test": test})
    found = between(data, data)
    assert (found.exact, found.near) == (1, 1)
    assert [(pair.learned, pair.tested, pair.exact) for pair in found.pairs] == [(5, 3, True), (6, 4, False)]
    assert found.pairs[0].likeness == 1 and 0.99 < found.pairs[1].likeness < 1
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


def test_small_marks_on_a_white_ground_are_alike_only_where_they_cover_each_other() -> None:
    """Two dots differ little in brightness, all ground being white: their correlation tells them apart."""
    ground = torch.ones(2, 3, 64, 64)
    ground[0, :, 28:34, 26:32] = 0
    ground[1, :, 28:34, 34:40] = 0
    prints = fingerprints(ground)
    assert np.abs(prints.thumbs[0] - prints.thumbs[1]).mean() < leakage.MOST_DIFFERENCE
    _, correlation = leakage._likeness(prints.thumbs[:1], prints.thumbs[1:])
    expected = np.corrcoef(prints.thumbs[0], prints.thumbs[1])[0, 1]
    assert correlation[0] == pytest.approx(expected, abs=1e-4) and correlation[0] < leakage.LEAST_CORRELATION
    assert compare(NAMES, prints_of(ground[:1]), prints_of(ground[1:])).near == 0


def test_pictures_of_one_colour_correlate() -> None:
    """Where nothing varies, difference alone decides: no division by zero."""
    difference, correlation = leakage._likeness(
        np.full((2, 768), 100.0), np.stack([np.full(768, 103.0), np.zeros(768)])
    )
    assert difference.tolist() == [3, 100] and correlation.tolist() == [1, 1]


def test_each_tested_example_counts_once_with_its_closest_partner() -> None:
    one = smooth(1, 0)
    train = torch.cat([noisy(one, 1), noisy(one, 2) * 0.9, one, smooth(3, 5)])
    found = compare(NAMES, prints_of(train), prints_of(torch.cat([one, noisy(one, 3)])))
    assert (found.exact, found.near, found.share) == (1, 1, 1)
    assert [(pair.learned, pair.tested) for pair in found.pairs] == [(2, 0), (2, 1)]


def test_only_so_many_pairs_are_kept_and_all_are_counted() -> None:
    train = smooth(30, 0)
    found = compare(NAMES, prints_of(train), prints_of(noisy(train)), examples=4)
    assert found.near == 30 and len(found.pairs) == 4
    likeness = [pair.likeness for pair in found.pairs]
    assert likeness == sorted(likeness, reverse=True)


def test_pieces_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    train = smooth(30, 0)
    whole = compare(NAMES, prints_of(train), prints_of(noisy(train)))
    monkeypatch.setattr(leakage, "COMPARED_AT_ONCE", 70)
    monkeypatch.setattr(leakage, "VERIFIED_AT_ONCE", 3)
    pieces = compare(NAMES, prints_of(train), prints_of(noisy(train)))
    assert (whole.near, [(p.learned, p.tested) for p in whole.pairs]) == (
        pieces.near,
        [(p.learned, p.tested) for p in pieces.pairs],
    )


def test_all_pairs_of_pictures_are_yielded_with_what_sets_them_apart() -> None:
    train = smooth(12, 0)
    prints = fingerprints(train.repeat(2, 1, 1, 1))
    found = {(pair.learned, pair.tested): (pair.bits, exact) for pair, exact in picture_pairs(prints, prints)}
    assert found == {(i, j): (0, True) for i in range(24) for j in range(24) if i % 12 == j % 12}


def test_texts() -> None:
    article = "The bank has left its rates on hold, as most had said it would, for the fifth month in a row."
    learned = ["The cat sat.", f"Rates held. {article}", "One. Two."]
    tested = ["the  CAT sat.", f"Bank holds. {article}", "something else", "3, 4"]
    data = Data("toy", {"train": Texts(learned), "test": Texts(tested)})
    found = between(data, data)
    assert (found.exact, found.near, found.n_tested) == (1, 1, 4)
    assert [(pair.learned, pair.tested, pair.exact) for pair in found.pairs] == [(0, 0, True), (1, 1, False)]


def shared(first: str, second: str) -> float:
    one, other = ({text[at : at + 5] for at in range(len(text) - 4)} for text in (first, second))
    return len(one & other) / len(one | other)


def test_near_texts_are_those_that_share_most_runs_by_brute_force() -> None:
    """All pairs by brute force: none far above the threshold is missed, none far below is found."""
    generator = np.random.default_rng(0)
    base = [" ".join("".join(generator.choice(list("abcdefgh"), 5)) for _ in range(40)) for _ in range(40)]
    changed = []
    for number, text in enumerate(base):
        words = text.split()
        for place in generator.choice(40, number // 3, replace=False):
            words[place] = "zzzzz"
        changed.append(" ".join(words))
    found = compare(NAMES, text_prints(base), text_prints(changed), examples=100)
    near = {pair.tested for pair in found.pairs}
    truth = {number: max(shared(text, other) for other in base) for number, text in enumerate(changed)}
    assert {number for number, share in truth.items() if share > 0.82} <= near
    assert not near & {number for number, share in truth.items() if share < 0.58}
    assert all(pair.learned == pair.tested for pair in found.pairs)


def test_candidates_are_those_that_agree_on_a_band() -> None:
    generator = np.random.default_rng(1)
    learned = generator.integers(0, 3, (50, 128), dtype=np.uint32)
    tested = generator.integers(0, 3, (40, 128), dtype=np.uint32)
    rows, columns = leakage._candidates(learned, tested)
    agree = (tested[:, None].reshape(40, 1, 32, 4) == learned[None].reshape(1, 50, 32, 4)).all(-1).any(-1)
    assert sorted(zip(rows.tolist(), columns.tolist(), strict=True)) == [tuple(x) for x in np.argwhere(agree).tolist()]


def test_other_inputs_are_compared_whole() -> None:
    numbers = torch.arange(12.0).reshape(6, 2)
    found = compare(NAMES, prints_of(numbers[:4]), prints_of(numbers[2:]))
    assert (found.exact, found.near) == (2, 0)


def test_examples_of_different_kinds_are_never_alike() -> None:
    found = between(Data("a", {"train": smooth(2, 0)}), Data("b", {"test": Texts(["x"])}))
    assert (found.exact, found.near, found.n_tested) == (0, 0, 1)
    words = text_prints(["x"])
    assert compare(NAMES, Prints(words.digests), words).exact == 0


def test_nothing_is_alike_with_nothing() -> None:
    for empty, full in ((prints_of(smooth(0, 0)), prints_of(smooth(2, 0))), (text_prints([]), text_prints(["a"]))):
        assert compare(NAMES, empty, full).share == 0
        assert compare(NAMES, full, empty).share == 0
