"""Rows of single stages: those of the winning commit and no others, in the order in which they were given."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.store import AttemptRow, CurveRow, Group, Store, StoreError
from harness.store.convert import join_flags, split_flags
from harness.store.lookup import measurements_of
from tests.store.samples import key_of, measured, one, record


def points(name: object, attempt: str, count: int) -> list[CurveRow]:
    return [CurveRow(key_of(name), attempt, f"loss{i % 2}", count - i, i / 8) for i in range(count)]


def test_curves_and_measurements_come_in_the_order_given(store: Store, results: Path) -> None:
    row, other = record("a"), record("b")
    numbers = [measured(row, 1 / (i + 1), metric=f"m{9 - i}", step=i, n_eval=i * i) for i in range(10)]
    curve = points("a", row.attempt, 20)
    store.commit(Group([row, other], [*numbers, measured(other, 0.5)], [*curve, *points("b", other.attempt, 3)]))
    for reader in (store, Store.open(results)):
        assert reader.measurements(row.key) == numbers
        assert reader.curves(row.key) == curve
        assert len(reader.curves(other.key)) == 3 and reader.curves(key_of("nobody")) == []
    store.compact(force=True)
    assert store.measurements(row.key) == numbers and store.curves(row.key) == curve


def test_rows_of_an_attempt_that_lost_or_was_taken_back_are_not_seen(store: Store, results: Path) -> None:
    first, second, third = (record("a") for _ in range(3))
    store.commit(Group([first], [measured(first, 1.0)], points("a", first.attempt, 2)))
    Store.open(results).commit(Group([second], [measured(second, 2.0)], points("a", second.attempt, 5)))
    assert [row.value for row in store.measurements(first.key)] == [1.0] and len(store.curves(first.key)) == 2
    store.withdraw([first.key], "stale")
    assert store.measurements(first.key) == [] and store.curves(first.key) == []
    store.commit(Group([third], [measured(third, 3.0)], points("a", third.attempt, 1)))
    assert [row.value for row in Store.open(results).measurements(first.key)] == [3.0]
    assert [point.attempt for point in store.curves(first.key)] == [third.attempt]


def test_several_keys_at_once_leave_out_those_without_rows(store: Store) -> None:
    store.commit(one("a", 0.25))
    store.commit(one("b", 0.75))
    store.commit(Group([record("silent")]))
    found = measurements_of(store, [key_of(name) for name in ("b", "silent", "unknown", "a")])
    assert {key: [row.value for row in rows] for key, rows in found.items()} == {
        key_of("a"): [0.25],
        key_of("b"): [0.75],
    }


def test_attempts_are_each_once_oldest_first_and_by_key(store: Store) -> None:
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    rows = [
        AttemptRow(key_of(i % 2), "train", f"a{i}", "failed", f"why {i}", finished_at=begin + timedelta(seconds=-i))
        for i in range(4)
    ]
    store.commit(Group(attempts=rows))
    store.commit(Group(attempts=[rows[2]]))  # committed again after an uncertain answer
    assert [row.attempt for row in store.attempts()] == ["a3", "a2", "a1", "a0"]
    assert [row.attempt for row in store.attempts([key_of(1)])] == ["a3", "a1"]
    assert store.attempts([]) == [] == store.attempts([key_of("nobody")])
    assert {row.writer for row in store.attempts()} == {store.writer}


@settings(deadline=None)
@given(st.lists(st.text(st.characters(exclude_characters=",", exclude_categories=["Cs"]), min_size=1), max_size=4))
def test_flags_come_back_from_one_text(flags: list[str]) -> None:
    assert split_flags(join_flags(flags)) == tuple(flags)


@pytest.mark.parametrize("flags", [("a,b",), ("fine", ",")])
def test_a_flag_with_a_comma_would_be_two(flags: tuple[str, ...]) -> None:
    with pytest.raises(StoreError, match="a flag must not contain a comma"):
        join_flags(flags)
    assert split_flags(None) == split_flags("") == ()


@pytest.mark.parametrize(
    ("fields", "column"),
    [
        ({"width": 2**70}, "width"),
        ({"threads": "two"}, "threads"),
        ({"seconds": "long"}, "seconds"),
        ({"kind": 3}, "kind"),
    ],
)
def test_a_value_of_a_wrong_kind_is_named_and_nothing_is_committed(store: Store, fields: dict, column: str) -> None:
    row = record("a")
    for name, value in fields.items():
        setattr(row, name, value)
    with pytest.raises(StoreError, match=f"column '{column}' of table 'records' got a wrong value"):
        store.commit(Group([row]))
    assert len(store.refresh()) == 0
    store.commit(one("a"))
    assert len(store.refresh()) == 1
