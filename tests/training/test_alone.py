"""A call as a batch of one, and a batch run call by call."""

from __future__ import annotations

from typing import Any

import pytest

from harness.training.alone import Alone, one_by_one, only
from tests.training.places import Place, Together


def test_a_batch_of_one_is_the_calls_own_place() -> None:
    place = Place(micro_batches=3, stop_after=1)
    alone = Alone(place)
    assert (alone.device, alone.threads, alone.micro_batches) == ("cpu", 1, 3)
    assert alone.members == (place,)
    assert [alone.should_stop(), alone.should_stop()] == [False, True]
    assert alone.cached("test_alone", lambda: 5) == place.cached("test_alone", lambda: 6) == 5


def test_each_call_has_its_own_place_and_its_own_failure() -> None:
    places = [Place(), Place(), Place()]

    def call(number: int, ctx: Any) -> int:
        assert ctx is places[number]
        if number == 1:
            raise ValueError("one fails")
        return 10 * number

    first, second, third = one_by_one(call, [{"number": number} for number in range(3)], Together(places))
    assert (first, third) == (0, 20)
    assert isinstance(second, ValueError)


def test_padding_is_not_computed_again() -> None:
    calls: list[int] = []

    def call(number: int, ctx: Any) -> int:
        calls.append(number)
        return number

    last = {"number": 2}
    members = [{"number": 1}, last, last, last]
    assert one_by_one(call, members, Together([Place() for _ in members])) == [1, 2, 2, 2]
    assert calls == [1, 2]


def test_the_only_result_is_returned_or_raised() -> None:
    assert only([3]) == 3
    with pytest.raises(KeyError):
        only([KeyError("gone")])
