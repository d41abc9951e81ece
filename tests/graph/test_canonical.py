"""Coercion and canonical text, against a model in plain Python: what fits, what it becomes, and when keys are equal."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.graph import Measurements, Value, stage
from harness.graph.canonical import ArgumentError, canonical_json, coerce, compile_annotation, describe

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from([0.0, -0.0, 1.0, 2.0**53, "all", "1", True, 1]),
)


def model(value: Any, annotation: Any) -> list[Any] | None:
    """What a scalar becomes under an annotation (in a list), or None when it does not fit; by the rules as told."""
    if annotation is int:
        if type(value) is int:
            return [value]
        return [int(value)] if type(value) is float and math.isfinite(value) and value == int(value) else None
    if annotation is float:
        if type(value) not in (int, float) or (type(value) is float and not math.isfinite(value)):
            return None
        return [float(value)]
    kind = type(None) if annotation is None else annotation
    return [value] if type(value) is kind else None


@settings(max_examples=60, deadline=None)
@given(SCALARS, st.sampled_from([int, float, str, bool, None]))
def test_scalars_follow_the_rules_as_told(value: Any, annotation: Any) -> None:
    expected = model(value, annotation)
    if expected is None:
        with pytest.raises(ArgumentError, match="should be"):
            coerce(value, annotation)
    else:
        found, text = compile_annotation(annotation)(value)
        assert type(found) is type(expected[0]) and found == expected[0]
        assert json.loads(text) == expected[0]


@settings(max_examples=60, deadline=None)
@given(SCALARS)
def test_of_a_union_the_type_that_a_value_has_comes_first(value: Any) -> None:
    expected = next(
        (
            found
            for part in ([type(value)] if type(value) in (int, float, str) else []) + [int, float, str]
            if (found := model(value, part)) is not None
        ),
        None,
    )
    if expected is None:
        with pytest.raises(ArgumentError, match="should be int or float or str, not"):
            coerce(value, int | float | str)
    else:
        found = coerce(value, int | float | str)
        assert type(found) is type(expected[0]) and found == expected[0]


@settings(max_examples=60, deadline=None)
@given(SCALARS, SCALARS)
def test_two_numbers_share_a_text_exactly_when_they_are_the_same_number(one: Any, other: Any) -> None:
    coercer = compile_annotation(float)
    if model(one, float) is not None and model(other, float) is not None:
        assert (coercer(one)[1] == coercer(other)[1]) == (float(one) == float(other))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers() | st.booleans(), max_size=4))
def test_members_of_a_tuple_are_coerced_one_by_one(values: list[Any]) -> None:
    fits = all(type(value) is int for value in values)
    for annotation in (tuple[int, ...], list[int], Sequence[int]):
        if fits:
            found, text = compile_annotation(annotation)(values)
            assert found == tuple(values) and json.loads(text) == values
        else:
            with pytest.raises(ArgumentError):
                coerce(values, annotation)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text(max_size=3), st.integers(), max_size=4))
def test_mappings_are_sorted_so_that_order_is_no_content(given_: dict[str, int]) -> None:
    turned = dict(reversed(list(given_.items())))
    for annotation in (dict[str, float], Mapping[str, float]):
        coercer = compile_annotation(annotation)
        assert coercer(given_) == coercer(turned)
        assert list(coercer(given_)[0]) == sorted(given_)


@pytest.mark.parametrize(
    ("annotation", "said"),
    [
        (int, "int"),
        (None, "null"),
        (int | Literal["all", 3], "int or 'all' or 3"),
        (float | None, "float or null"),
        (tuple[int, ...], "tuple of int, ..."),
        (Mapping[str, int | None], "Mapping of str, int or null"),
        (list[tuple[str, bool]], "list of tuple of str, bool"),
    ],
)
def test_annotations_are_said_in_words(annotation: Any, said: str) -> None:
    assert describe(annotation) == said
    with pytest.raises(ArgumentError) as caught:
        coerce(object(), annotation)
    assert str(caught.value).startswith(f"should be {said}, not <object")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "a": [True, None, "ü"]}, '{"a":[true,null,"ü"],"b":1}'),
        ((1, (2,)), "[1,[2]]"),
        ({1: "x"}, '{"1":"x"}'),
        ([-0.0, 0.0], "[0.0,0.0]"),
        ({"x": {"y": -0.0}}, '{"x":{"y":0.0}}'),
        ('a\n"b"', '"a\\n\\"b\\""'),
    ],
)
def test_canonical_text_to_the_letter(value: Any, text: str) -> None:
    assert canonical_json(value) == text


def test_literals_tell_types_apart() -> None:
    assert coerce(1, Literal[1, "1"]) == 1 and coerce("1", Literal[1, "1"]) == "1"
    for wrong in (True, 1.0, 2, [1]):
        with pytest.raises(ArgumentError, match="should be 1 or '1'"):
            coerce(wrong, Literal[1, "1"])


@dataclass(frozen=True)
class Rule:
    steps: int
    rate: float = 0.1
    names: tuple[str, ...] = ()
    more: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Special(Rule):
    pass


@dataclass(frozen=True)
class Plain:
    steps: int
    name: str = "x"


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (Rule(3), '{"more":{},"steps":3}'),
        (Rule(3, 0.1, ()), '{"more":{},"steps":3}'),
        (Rule(3.0, 1), '{"more":{},"rate":1.0,"steps":3}'),  # type: ignore[arg-type]  # 3.0 is taken as 3
        (Rule(3, names=["a"]), '{"more":{},"names":["a"],"steps":3}'),  # type: ignore[arg-type]  # a list as a tuple
        (Rule(3, more={"x": 1}), '{"more":{"x":1},"steps":3}'),
    ],
)
def test_a_dataclass_is_its_fields_less_the_defaults(rule: Rule, text: str) -> None:
    found, written = compile_annotation(Rule)(rule)
    assert written == text
    assert type(found.steps) is int and type(found.rate) is float and type(found.names) is tuple


def test_a_dataclass_that_needs_no_change_is_passed_on_itself() -> None:
    plain = Plain(3)
    assert coerce(plain, Plain) is plain
    assert type(coerce(Special(3), Rule)) is Special
    for wrong in ({"steps": 3}, None, Rule("many")):  # type: ignore[arg-type]  # wrong on purpose
        with pytest.raises(ArgumentError):
            coerce(wrong, Rule)


@pytest.mark.parametrize("annotation", [Literal, type[int], "int"])
def test_an_annotation_that_no_key_can_be_made_of(annotation: Any) -> None:
    with pytest.raises(ArgumentError, match="cannot be part of a key"):
        compile_annotation(annotation)


@stage(version=1, name="c_hold")
def hold(
    names: tuple[str, ...] = (), table: Mapping[str, int] | None = None, anything: Any = None, scores: Any = 0
) -> Value: ...


@stage(version=1, name="c_gather")
def gather(parts: tuple[Value, ...], weights: list[float] | None = None) -> Measurements: ...


def test_a_list_that_is_changed_between_two_calls_is_read_again() -> None:
    names, table, anything = ["a"], {"x": 1}, [1]
    before = hold.bind(names=names, table=table, anything=anything)
    names.append("b")
    table["y"] = 2
    anything.append(2)
    after = hold.bind(names=names, table=table, anything=anything)
    assert after.key == hold.bind(names=("a", "b"), table={"x": 1, "y": 2}, anything=[1, 2]).key != before.key
    assert (before.arguments["names"], after.arguments["names"]) == (("a",), ("a", "b"))
    assert (before.arguments["table"], after.arguments["table"]) == ({"x": 1}, {"x": 1, "y": 2})


def test_a_list_of_inputs_that_grows_between_two_calls() -> None:
    inputs = [hold.bind(names=("a",))]
    first = gather.bind(parts=inputs)
    inputs.append(hold.bind(names=("b",)))
    second = gather.bind(parts=inputs)
    assert first.inputs == tuple(inputs[:1]) and second.inputs == tuple(inputs)
    assert first.key != second.key == gather.bind(parts=tuple(inputs)).key


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=2), st.integers(0, 2)), min_size=1, max_size=6))
def test_keys_are_equal_exactly_when_the_arguments_are(calls: list[tuple[str, int]]) -> None:
    keys = {hold.bind(names=(name,), table={"n": number}).key for name, number in calls}
    assert len(keys) == len(set(calls))


def test_inputs_are_no_plain_values_and_plain_values_no_inputs() -> None:
    stage_ = hold.bind()
    with pytest.raises(ArgumentError, match=r"argument 'parts' should be tuple of Value, ..., not 3"):
        gather.bind(parts=3)
    with pytest.raises(ArgumentError, match="argument 'parts' should be"):
        gather.bind(parts=[stage_, "x"])
    with pytest.raises(ArgumentError, match="argument 'weights' should be list of float or null"):
        gather.bind(parts=[stage_], weights=["heavy"])
