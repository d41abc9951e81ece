"""What plain words mean: numbers only as decimals, booleans only as true and false, everything else as written."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.study.document import parse_document, parse_value
from harness.study.scalars import parse_scalar, spelling_hint


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("5", 5),
        ("-3", -3),
        ("+7", 7),
        ("123456789012345678901", 123456789012345678901),
        ("0.1", 0.1),
        (".5", 0.5),
        ("5.", 5.0),
        ("-0.25", -0.25),
        ("1e-3", 1e-3),
        ("1E-3", 1e-3),
        ("1e3", 1000.0),
        ("1.5e+3", 1500.0),
        ("0e5", 0.0),
        ("true", True),
        ("false", False),
        ("null", None),
        ("", None),
    ],
)
def test_what_is_a_value(text, value):
    parsed = parse_scalar(text)
    assert parsed == value and type(parsed) is type(value)


@pytest.mark.parametrize(
    "text",
    (
        *("on", "off", "yes", "no", "y", "n", "True", "TRUE", "False", "Null", "NULL", "~"),
        *("010", "007", "-01", "01.5", "1_000", "1_0.5", "0x10", "0o7", "0b1", "12:30:00", "1:30", "2024-01-02"),
        *("1e", "1e-", "e5", ".", ".e3", "1.2.3", ".inf", "-.inf", ".nan", "nan", "inf", "1e999", "-1e999", "1e-999"),
        *("123E456", "1,5", "٣", "½", "5m", "1e3s", "--5", "+-5", "<<"),
    ),
)
def test_what_stays_as_written(text):
    assert parse_scalar(text) == text and type(parse_scalar(text)) is str


def test_a_number_of_very_many_digits_is_text():
    assert isinstance(parse_scalar("1" * 5000), str)


@given(st.text())
def test_every_text_has_a_meaning_and_only_decimals_are_numbers(text):
    value = parse_scalar(text)
    if isinstance(value, bool):
        assert text in ("true", "false")
    elif isinstance(value, int):
        assert re.fullmatch(r"[-+]?(0|[1-9][0-9]*)", text) and int(text) == value
    elif isinstance(value, float):
        assert math.isfinite(value) and float(text) == value and not re.search(r"[_:xob]", text)
    elif value is None:
        assert text in ("", "null")
    else:
        assert value == text


@given(st.integers())
def test_written_integers_come_back(number):
    assert parse_scalar(str(number)) == number and type(parse_scalar(str(number))) is int


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_written_floats_come_back(number):
    value = parse_scalar(repr(number))
    assert isinstance(value, float) and value == number and math.copysign(1, value) == math.copysign(1, number)


@given(st.text(st.characters(codec="ascii", exclude_categories=("Cc",)), max_size=20))
def test_quoted_text_is_never_anything_else(text):
    quoted = "'" + text.replace("'", "''") + "'"
    assert parse_value(quoted, "test") == text


@given(st.sampled_from(["on", "010", "1_000", "12:30:00", "yes", "~", "0x1F", "1e-3", "7", "true", "null", ".5"]))
def test_values_keys_and_set_values_follow_one_rule(word):
    in_file = parse_document(f"key: {word}\n", "f").data["key"]
    assert in_file == parse_scalar(word) == parse_value(word, "f")
    assert list(parse_document(f"{word}: 1\n", "f").data) == [word]


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("1_000", " (write 1000)"),
        ("010", " (write 10)"),
        ("-007", " (write -7)"),
        ("0x10", " (write 16)"),
        ("0o17", " (write 15)"),
        ("yes", " (write true)"),
        ("Off", " (write false)"),
        ("True", " (write true)"),
        ("~", " (write null)"),
        ("1e-3", " (write 1e-3)"),
        ("12:30:00", ""),
        ("many", ""),
        ("2024-01-02", ""),
    ],
)
def test_the_hint_says_what_was_meant(text, hint):
    assert spelling_hint(text) == hint


@given(st.text())
def test_a_hint_is_always_a_value_that_the_study_reads(text):
    hint = spelling_hint(text)
    if hint:
        assert not isinstance(parse_scalar(hint.removeprefix(" (write ").removesuffix(")")), str)
