"""Dividing examples into splits: whole groups, every class, the same for ever."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.data.items import SPLITS, Item, Shares, check_groups, divide, items_digest
from harness.errors import HarnessError


def items_of(groups: list[tuple[str, int]]) -> list[Item]:
    """Return `size` items for each (label, size): one group each."""
    return [
        Item(f"{number}/{copy}", label, f"group {number}")
        for number, (label, size) in enumerate(groups)
        for copy in range(size)
    ]


GROUPS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 9)), min_size=1, max_size=60)


@settings(deadline=None, max_examples=60)
@given(GROUPS)
def test_each_group_lies_in_one_split_and_classes_with_three_groups_in_all(groups: list[tuple[str, int]]) -> None:
    items = items_of(groups)
    splits = divide(items, Shares())
    assert set(splits) == {item.group for item in items}
    by_label = defaultdict(set)
    count = Counter(label for label, _ in groups)
    for item in items:
        by_label[item.label].add(splits[item.group])
    for label, found in by_label.items():
        assert found == (set(SPLITS) if count[label] >= 3 else {"train"})


@settings(deadline=None, max_examples=30)
@given(GROUPS, st.randoms())
def test_the_order_of_items_does_not_matter(groups: list[tuple[str, int]], chance: object) -> None:
    items = items_of(groups)
    shuffled = list(items)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert divide(items, Shares()) == divide(shuffled, Shares())


def test_shares_are_met_where_groups_are_small() -> None:
    items = items_of([("a", 1)] * 1000 + [("b", 2)] * 200)
    counted = Counter(divide(items, Shares(test=0.25, val=0.15))[item.group] for item in items)
    assert counted == {"train": 840, "val": 210, "test": 350}


def test_a_share_of_nothing_is_nothing() -> None:
    splits = divide(items_of([("a", 1)] * 100), Shares(test=0, val=0.2))
    assert Counter(splits.values()) == {"train": 80, "val": 20}


def test_a_group_that_overshoots_a_split_is_passed_on() -> None:
    groups = [("a", 1)] * 100 + [("a", 300)]
    splits = divide(items_of(groups), Shares(test=0.1, val=0.1))
    sizes: Counter[str] = Counter()
    for item in items_of(groups):
        sizes[splits[item.group]] += 1
    assert sizes["test"] == 40 and splits["group 100"] != "test"


def test_groups_of_several_classes_are_divided_among_themselves() -> None:
    decks = [Item(f"{deck}/{suit}", suit, f"deck {deck}") for deck in range(20) for suit in ("hearts", "spades")]
    splits = divide(decks, Shares())
    assert Counter(splits.values()) == {"train": 12, "val": 3, "test": 5}


def test_another_seed_is_another_division() -> None:
    items = items_of([("a", 1)] * 50)
    assert divide(items, Shares(), 0) != divide(items, Shares(), 1)


def test_the_division_is_the_same_for_ever() -> None:
    splits = divide(items_of([("a", 1)] * 10), Shares())
    assert [splits[f"group {number}"] for number in range(10)] == GOLDEN


GOLDEN = ["train", "test", "train", "val", "val", "train", "train", "test", "test", "train"]


def test_equal_keys_and_divided_groups_are_refused() -> None:
    with pytest.raises(HarnessError, match="two examples"):
        check_groups([Item("k", "a", "g"), Item("k", "a", "h")], {})
    with pytest.raises(HarnessError, match="two splits"):
        check_groups([Item("k", "a", "g", split="test")], {"g": "train"})


@pytest.mark.parametrize(
    "other",
    [
        Item("l", "a", "g"),
        Item("k", "b", "g"),
        Item("k", "a", "g2"),
        Item("k", "a", "g", domain="d"),
        Item("k", "a", "g", text="t"),
        Item("k", "a", "g", caption="c"),
    ],
)
def test_the_digest_tells_every_difference(other: Item) -> None:
    one = Item("k", "a", "g")
    splits = {"g": "train", "g2": "train"}
    assert items_digest([one], splits) != items_digest([other], splits)
    assert items_digest([one], {"g": "train"}) != items_digest([one], {"g": "test"})


def test_the_digest_does_not_depend_on_order() -> None:
    one, two = Item("1", "a", "g"), Item("2", "a", "g")
    assert items_digest([one, two], {"g": "val"}) == items_digest([two, one], {"g": "val"})
