"""References are parsed, never evaluated, and written back as they were meant."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.study.references import Reference, ReferenceError, parse_reference

names = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True)
words = st.from_regex(r"[a-z][a-z0-9_.-]{0,8}", fullmatch=True).filter(
    lambda word: word not in ("true", "false", "null")
)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | words
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3).map(tuple)
        | st.builds(
            Reference, names, st.dictionaries(names, inner, min_size=1, max_size=3).map(lambda d: tuple(d.items()))
        )
    ),
    max_leaves=8,
)
references = st.builds(Reference, names, st.dictionaries(names, values, max_size=3).map(lambda d: tuple(d.items())))


def test_a_name_alone():
    assert parse_reference("digits_upright") == Reference("digits_upright")
    assert parse_reference(" spaced ") == Reference("spaced")
    assert parse_reference("empty()") == Reference("empty")


def test_arguments_follow_the_scalar_rules():
    parsed = parse_reference("make(a=1, b=1e-3, c=on, d=true, e=null, f='1', g=010, h=-2, i=[1, x])")
    assert dict(parsed.arguments) == {
        "a": 1, "b": 1e-3, "c": "on", "d": True, "e": None, "f": "1", "g": "010", "h": -2, "i": (1, "x"),
    }  # fmt: skip
    assert type(dict(parsed.arguments)["a"]) is int


def test_nesting():
    parsed = parse_reference("half(of=half(of=digits, split=1, side=b), split=0, side=a)")
    inner = Reference("half", (("of", "digits"), ("split", 1), ("side", "b")))
    assert parsed == Reference("half", (("of", inner), ("split", 0), ("side", "a")))


@given(references)
def test_what_is_written_is_read_back(reference):
    assert parse_reference(str(reference)) == reference


@given(st.text(max_size=40))
def test_any_text_is_a_reference_or_refused_in_one_sentence(text):
    try:
        parse_reference(text)
    except ReferenceError as error:
        assert "cannot be read" in str(error)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "a name is missing at its end"),
        ("5x", "'5x' is not a name"),
        ("a b", "'b' follows its end"),
        ("a(b=1", "')' is missing at its end"),
        ("a(b=[1", "']' is missing at its end"),
        ("a(b=", "a value is missing at its end"),
        ("a(b=)", "a value is wanted where ')' stands"),
        ("a(b)", "'=' is wanted where ')' stands"),
        ("a(b=1, b=2)", "the argument 'b' is given twice"),
        ("a(b=1)c", "'c' follows its end"),
        ("a(b='x)", "a quote is not closed"),
        ("a(b=1 c=2)", "',' is wanted where 'c' stands"),
        ("a('b'=1)", "an argument is written key=value, and \"'b'\" is no key"),
        ("lambda: 0", "'lambda:' is not a name"),
        ("os.system(command='ls').pid", "'.pid' follows its end"),
    ],
)
def test_what_cannot_be_read(text, why):
    with pytest.raises(ReferenceError) as caught:
        parse_reference(text)
    assert str(caught.value) == f"the reference {text!r} cannot be read: {why}"


def test_deep_nesting_is_refused_not_crashed():
    with pytest.raises(ReferenceError, match="nested too deeply"):
        parse_reference("a(b=" * 2000 + "1" + ")" * 2000)
    with pytest.raises(ReferenceError, match="nested too deeply"):
        parse_reference("a(b=" + "[" * 2000 + "]" * 2000 + ")")
