"""Sentences for users: the nearest word, checked against a search over all words."""

from __future__ import annotations

import difflib
import string
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import HarnessError, nearest, suggest
from harness.registry import UnknownNameError
from harness.store import NoStoreError, StoreError

WORDS = st.text(string.ascii_lowercase + "_", min_size=1, max_size=8)


def likeness(word: str, other: str) -> float:
    """Likeness as difflib documents it: 2 x matching characters / all characters, of the folded words."""
    return difflib.SequenceMatcher(None, other.casefold(), word.casefold()).ratio()


@settings(deadline=None)
@given(WORDS, st.lists(WORDS, max_size=6))
def test_the_nearest_word_is_the_most_alike_of_all(word: str, known: list[str]) -> None:
    found = nearest(word, known)
    best = max((likeness(word, other) for other in known), default=0.0)
    if best < 0.6:
        assert found is None
    else:
        assert found in known and likeness(word, str(found)) == best


@settings(deadline=None)
@given(WORDS, st.lists(WORDS, min_size=1, max_size=6))
def test_a_word_that_is_known_is_its_own_nearest(word: str, known: list[str]) -> None:
    assert nearest(word, [*known, word]) == word
    assert nearest(word.upper(), [*known, word]) == word


def test_words_that_differ_in_case_only_are_taken_in_order() -> None:
    assert nearest("mlp", ["mlp", "MLP"]) == nearest("mlp", ["MLP", "mlp"]) == "MLP"


def test_known_words_may_be_an_iterator() -> None:
    assert suggest("trian", iter(["train", "test"])) == " (did you mean 'train'?)"


@pytest.mark.parametrize(("count", "listed"), [(0, False), (1, True), (12, True), (13, False)])
def test_a_short_list_is_told_and_a_long_one_is_not(count: int, listed: bool) -> None:
    known = [f"{letter}" * 5 for letter in string.ascii_lowercase[:count]]
    expected = f" (known: {', '.join(known)})" if listed else ""
    assert suggest("012345", reversed([*known, *known])) == expected


@pytest.mark.parametrize("kind", [HarnessError, UnknownNameError, StoreError])
def test_what_the_user_can_put_right_ends_with_status_two(kind: type[HarnessError]) -> None:
    assert kind("x").exit_status == 2 and issubclass(kind, HarnessError)


def test_a_store_that_is_missing_says_how_to_get_one(tmp_path: Path) -> None:
    error = NoStoreError(tmp_path / "nowhere")
    assert str(tmp_path) in str(error) and "run a study first" in str(error)
