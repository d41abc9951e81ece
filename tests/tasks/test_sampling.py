"""Few-shot samples are balanced, nested, and the same for everybody."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import HarnessError
from harness.tasks.sampling import few_shot, sample_size


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


LABELS = torch.randint(0, 4, (200,), generator=generator(9))


@given(shots=st.integers(1, 20), seed=st.integers(0, 1000))
def test_a_sample_has_so_many_different_examples_of_each_class(shots: int, seed: int) -> None:
    chosen = few_shot(LABELS, shots, generator(seed)).tolist()
    assert len(set(chosen)) == len(chosen)
    assert Counter(LABELS[chosen].tolist()) == dict.fromkeys(range(4), shots)


@given(few=st.integers(1, 20), more=st.integers(1, 20), seed=st.integers(0, 1000))
def test_fewer_shots_are_the_beginning_of_more(few: int, more: int, seed: int) -> None:
    few, more = sorted((few, more))
    short, long = few_shot(LABELS, few, generator(seed)), few_shot(LABELS, more, generator(seed))
    assert torch.equal(short, long[: len(short)])


def test_all_is_everything_in_order_and_draws_nothing() -> None:
    drawn = generator(3)
    assert few_shot(LABELS, "all", drawn).tolist() == list(range(200))
    assert torch.equal(drawn.get_state(), generator(3).get_state())


def test_every_example_is_as_likely() -> None:
    labels = torch.zeros(10, dtype=torch.int64)
    counts = Counter(int(few_shot(labels, 1, generator(seed))) for seed in range(2000))
    expected = 200
    assert sum((counts[index] - expected) ** 2 / expected for index in range(10)) < 27.9  # chi squared, 9 df, p = .001


def test_too_few_examples_is_one_sentence() -> None:
    with pytest.raises(HarnessError, match="3 shots asked for, but class 1 has 2 examples"):
        few_shot(torch.tensor([0, 0, 0, 1, 1]), 3, generator())
    with pytest.raises(HarnessError, match="at least 1"):
        few_shot(LABELS, 0, generator())


# --- classes with fewer examples than asked for -----------------------------------------------------------------------

SIZES = (9, 2, 0, 5)
UNEVEN = torch.repeat_interleave(torch.arange(4), torch.tensor(SIZES))[torch.randperm(16, generator=generator(2))]


@given(shots=st.integers(1, 12), seed=st.integers(0, 1000))
def test_small_classes_give_all_they_have(shots: int, seed: int) -> None:
    chosen = few_shot(UNEVEN, shots, generator(seed), 4, fewer="take_all").tolist()
    counts = Counter(UNEVEN[chosen].tolist())
    assert [counts[label] for label in range(4)] == [min(size, shots) for size in SIZES]
    assert len(set(chosen)) == len(chosen) == sample_size(SIZES, shots)


@given(few=st.integers(1, 12), more=st.integers(1, 12), seed=st.integers(0, 1000))
def test_fewer_shots_are_still_the_beginning_of_more(few: int, more: int, seed: int) -> None:
    few, more = sorted((few, more))
    short, long = (few_shot(UNEVEN, shots, generator(seed), 4, fewer="take_all") for shots in (few, more))
    assert torch.equal(short, long[: len(short)])


@given(shots=st.integers(1, 20), seed=st.integers(0, 1000))
def test_where_all_have_enough_it_makes_no_difference(shots: int, seed: int) -> None:
    plain, lenient = (
        few_shot(LABELS, shots, generator(seed), 4, fewer=fewer)  # type: ignore[arg-type]  # literals
        for fewer in ("refuse", "take_all")
    )
    assert torch.equal(plain, lenient), "no sample that was possible before is another"


def test_nobody_having_any_is_an_empty_sample() -> None:
    assert few_shot(torch.zeros(0, dtype=torch.int64), 3, generator(), 2, fewer="take_all").tolist() == []
