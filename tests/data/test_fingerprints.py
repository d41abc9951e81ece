"""Fingerprints: what they keep apart, how well they estimate, and that the cache gives back what was put there."""

from __future__ import annotations

import hashlib
import random
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.fft import dctn

from harness.data import fingerprints as module
from harness.data.fingerprints import (
    RUN,
    Fingerprints,
    Prints,
    TextPrints,
    fingerprints,
    kept,
    letters,
    plain,
    prints_of,
    text_prints,
)
from harness.tasks.inputs import Texts


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    return tmp_path / "data" / "fingerprints"


def pictures(count: int, seed: int, channels: int = 3, size: int = 64) -> torch.Tensor:
    return torch.rand(count, channels, size, size, generator=torch.Generator().manual_seed(seed))


def test_the_hash_is_that_of_the_cosine_transform() -> None:
    """Against scipy's own transform: bits are frequencies above the median of all but the constant one."""
    shown = pictures(5, 0)
    found = fingerprints(shown).hashes
    for picture, number in zip(shown, found, strict=True):
        grey = picture.mean(0).reshape(32, 2, 32, 2).mean((1, 3)).double().numpy() * 255
        # Scipy's frequencies are scaled: undone, so that the median is of the same numbers.
        waves = dctn(grey, type=2, norm=None)[:8, :8].reshape(-1) / 4
        expected = np.packbits(waves > np.median(waves[1:])).view(np.uint64)[0]
        assert int(np.bitwise_count(expected ^ number)) <= 1, "rounding may move the frequency next to the median"


def test_small_versions_are_means_over_areas() -> None:
    shown = pictures(3, 1)
    expected = shown.reshape(3, 3, 16, 4, 16, 4).mean((3, 5)) * 255
    assert np.allclose(fingerprints(shown).thumbs, expected.reshape(3, -1).numpy(), atol=1e-3)


def test_grey_pictures_are_as_coloured_ones() -> None:
    grey = pictures(4, 2, channels=1)
    one, three = fingerprints(grey), fingerprints(grey.expand(-1, 3, -1, -1))
    assert (one.hashes == three.hashes).all() and np.allclose(one.thumbs, three.thumbs)


def test_digests_are_those_of_the_numbers() -> None:
    shown = pictures(2, 3)
    assert fingerprints(shown).digests[1] == hashlib.sha256(shown[1].numpy().tobytes()).digest()
    assert text_prints(["A  b"]).digests[0] == hashlib.sha256(b"a b").digest()


def test_pieces_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    shown, texts = pictures(9, 4), [f"the {word} text" * 3 for word in "abcdefg"]
    whole, signatures = fingerprints(shown), text_prints(texts).signatures
    monkeypatch.setattr(module, "PIECE", 4)
    monkeypatch.setattr(module, "LETTERS_AT_ONCE", 50)
    assert (fingerprints(shown).hashes == whole.hashes).all()
    assert (text_prints(texts).signatures == signatures).all()


def shared(first: str, second: str) -> float:
    """The share of runs of characters by brute force: what both have of what either has."""
    one, other = ({text[at : at + RUN] for at in range(len(text) - RUN + 1)} for text in map(letters, (first, second)))
    return len(one & other) / len(one | other)


def test_signatures_estimate_the_share_of_runs() -> None:
    random.seed(0)
    words = ["".join(random.choices("abcdefghij", k=6)) for _ in range(80)]
    texts = [" ".join(words[:n] + [word[::-1] for word in words[n:]]) for n in range(0, 81, 4)]
    signatures = text_prints(texts).signatures.astype(np.int64)
    errors = [
        float((signatures[i] == signatures[j]).mean()) - shared(texts[i], texts[j])
        for i in range(len(texts))
        for j in range(i)
    ]
    # The standard error at one half is sqrt(.25 / 128) = .044.
    assert abs(float(np.mean(errors))) < 0.03 and float(np.std(errors)) < 0.05 and max(map(abs, errors)) < 0.2


def test_a_run_never_reaches_into_the_next_text() -> None:
    alone = [text_prints([text]).signatures[0] for text in ("first text", "no", "second text")]
    together = text_prints(["first text", "no", "second text"]).signatures
    assert all((one == other).all() for one, other in zip(alone, together, strict=True))


@pytest.mark.parametrize("text", ["", "  ", "!?", "x", "漢字", "\ud800", "é" * 3])
def test_every_text_has_a_signature(text: str) -> None:
    found = text_prints([text, "something else altogether"])
    assert found.signatures.shape == (2, 128) and (found.signatures[0] != found.signatures[1]).mean() > 0.9


def test_letters_and_digits_count_and_marks_do_not() -> None:
    assert letters("Don't -- PANIC, 42!") == "don t panic 42"
    assert letters("?!") == "?!   " and plain(" A\tb ") == "a b"


def test_each_kind_of_input_has_its_prints() -> None:
    assert isinstance(prints_of(pictures(2, 0)), Fingerprints)
    assert isinstance(prints_of(Texts(["a", "b"])), TextPrints)
    numbers = prints_of(torch.arange(6.0).reshape(3, 2))
    assert type(numbers) is Prints and len(numbers) == 3 and len(set(numbers.digests)) == 3
    assert len(prints_of(Texts([]))) == 0 and len(prints_of(pictures(0, 0))) == 0


def test_places_are_first_positions() -> None:
    assert Prints((b"a", b"b", b"a")).places == {b"a": 0, b"b": 1}


@pytest.mark.parametrize("inputs", [pictures(3, 5), Texts(["one text", "another"]), torch.arange(4.0).reshape(2, 2)])
def test_the_cache_gives_back_what_was_computed(inputs: object, cache: Path) -> None:
    loads = []

    def load() -> object:
        loads.append(1)
        return inputs

    first, second = kept({"of": "these"}, load), kept({"of": "these"}, load)
    assert len(loads) == 1 and len(list(cache.iterdir())) == 1
    assert type(first) is type(second) and first.digests == second.digests
    for name, value in vars(first).items():
        if isinstance(value, np.ndarray):
            assert (value == getattr(second, name)).all() and value.dtype == getattr(second, name).dtype
    kept({"of": "others"}, load)
    assert len(loads) == 2


def test_a_damaged_file_is_made_again(cache: Path) -> None:
    loads = []

    def load() -> torch.Tensor:
        loads.append(1)
        return pictures(3, 6)

    good = kept({"of": "these"}, load)
    (path,) = cache.iterdir()
    whole = path.read_bytes()
    for damage in (b"", b"not an archive", whole[: len(whole) // 2]):
        path.write_bytes(damage)
        again = kept({"of": "these"}, load)
        assert again.digests == good.digests
    assert len(loads) == 4


def test_the_numbers_behind_signatures_have_no_pattern() -> None:
    numbers = module._odd_numbers(100)
    assert len(set(numbers.tolist())) == 100 and (numbers % np.uint64(2) == 1).all()
    mixed = module._mixed(np.arange(1000, dtype=np.uint64))
    ones = [int(np.bitwise_count(one ^ other)) for one, other in pairwise(mixed)]
    assert abs(float(np.mean(ones)) - 32) < 1, "neighbours differ in half of their bits"
