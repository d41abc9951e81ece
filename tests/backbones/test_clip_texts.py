"""Class names laid out between context tokens, against layouts written down by hand."""

from __future__ import annotations

import pytest

from harness.backbones.clip_texts import Texts, class_texts, readable
from harness.errors import HarnessError


class Letters:
    """A tokeniser whose tokens are characters, numbered as Unicode numbers them."""

    def encode(self, text: str, add_special_tokens: bool = True) -> Letters:
        assert not add_special_tokens
        self.ids = [ord(letter) for letter in text]
        return self

    def token_to_id(self, token: str) -> int | None:
        return {"<|startoftext|>": 1, "<|endoftext|>": 2}.get(token)


def letters(longest: int = 20) -> Texts:
    return Texts(Letters(), 1, 2, longest)


def spelled(tokens: list[int], place: list[list[float]]) -> str:
    """Tokens as characters: `<` start, `>` end, digits for context."""
    shown = []
    for number, row in zip(tokens, place, strict=True):
        shown.append(str(row.index(1.0)) if 1.0 in row else {1: "<", 2: ">"}.get(number, chr(number)))
    return "".join(shown)


@pytest.mark.parametrize(
    ("position", "context", "expected"),
    [
        ("end", 4, ["<0123ab.>>>", "<0123cdef.>"]),
        ("middle", 4, ["<01ab23.>>>", "<01cdef23.>"]),
        ("middle", 3, ["<0ab12.>>>", "<0cdef12.>"]),
        ("end", 1, ["<0ab.>>>", "<0cdef.>"]),
    ],
)
def test_context_stands_where_coop_puts_it(position: str, context: int, expected: list[str]) -> None:
    laid = class_texts(letters(), ["ab", "cdef"], context, position)
    rows = zip(laid.tokens.tolist(), laid.place.tolist(), strict=True)
    assert [spelled(tokens, place) for tokens, place in rows] == expected
    assert laid.ends.tolist() == [row.index(">") for row in expected]
    assert laid.shared == expected[0].index("a")
    assert laid.place.sum().item() == 2 * context


def test_a_text_that_the_model_cannot_hold_is_refused_by_name() -> None:
    with pytest.raises(HarnessError, match="'abcdefgh' with 4 context tokens is longer than the model's 14"):
        class_texts(letters(14), ["ab", "abcdefgh"], 4, "end")


def test_whole_texts_have_start_and_end_and_are_cut_to_what_is_allowed() -> None:
    tokens, ends = letters(5).whole(["ab", "abcdef"])
    assert tokens.tolist() == [[1, 97, 98, 2, 2], [1, 97, 98, 99, 2]]
    assert ends.tolist() == [3, 4]


def test_names_are_read_as_words() -> None:
    assert readable("light_bulb  off") == "light bulb off"
