"""What figures call tasks."""

from __future__ import annotations

import pytest

from analysis.short_names import plain_name, short_names


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("mnist", "mnist"),
        ("emoji_travel(size=32)", "emoji_travel"),
        ("at_most(of=mnist(size=32), n=100)", "mnist"),
        ("at_most(n=100, of=mnist)", "mnist"),
        ("at_most(of=half(of=script_id(size=48), split=0, side=a), n=100)", "script_id"),
        ("ImageNet (lite0)", "ImageNet (lite0)"),
        ("clip_classes(of=mnist", "clip_classes(of=mnist"),
        ("", ""),
    ],
)
def test_the_innermost_name(label: str, name: str) -> None:
    assert plain_name(label) == name


def test_names_that_would_be_equal_stay_whole() -> None:
    halves = ["half(of=digits, split=0, side=a)", "half(of=digits, split=0, side=b)", "noise(size=8)"]
    assert short_names(halves) == {halves[0]: halves[0], halves[1]: halves[1], "noise(size=8)": "noise"}


def test_a_task_and_a_part_of_it_stay_apart() -> None:
    assert short_names(["mnist", "at_most(of=mnist, n=5)"]) == {
        "mnist": "mnist",
        "at_most(of=mnist, n=5)": "at_most(of=mnist, n=5)",
    }


def test_sets_are_shortened_by_member() -> None:
    joint = "at_most(of=mnist(size=32), n=100) + card_suit(size=32)"
    assert short_names([joint, "card_suit(size=32)"])[joint] == "mnist + card_suit"


def test_numbers_and_methods_are_left_alone() -> None:
    assert short_names(["0.1", "coop", "1"]) == {"0.1": "0.1", "coop": "coop", "1": "1"}
