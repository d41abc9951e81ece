"""Cleaning of texts."""

from __future__ import annotations

import pytest

from harness.data.texts import one_line, same_words, thread


def test_blanks_become_one() -> None:
    assert one_line(" a\n\tb  c ") == "a b c"


def test_case_marks_and_blanks_do_not_matter() -> None:
    assert same_words("Hello,  World!") == same_words("hello world")
    assert same_words("hello world") != same_words("hello word")
    assert same_words("a b") != same_words("ab")


@pytest.mark.parametrize(
    "subject", ["Re: Lunch", "RE: re: lunch", "[list] Re: Lunch", "Fwd: [x] Lunch", "Re[2]: Lunch", "lunch "]
)
def test_replies_are_of_one_thread(subject: str) -> None:
    assert thread(subject) == "lunch"


def test_a_subject_that_starts_like_a_reply_stays() -> None:
    assert thread("Regarding lunch") == "regarding lunch"
