"""Labels tell trials apart, so one label never stands for two things, and two spellings of one thing are one label."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.study import expand
from harness.study.labels import key_of, label_of

BIG, SMALL = "{backbone: mlp, hidden: 32, as: big}", "{backbone: mlp, hidden: 16, as: big}"
SENTENCE = "the backbone 'big' means something else elsewhere; give it another label"


def teacher(value: str, typed: bool) -> str:
    return f"{{teacher: {{type: backbone, values: [{value}]}}}}" if typed else f"{{teacher: [{value}]}}"


@pytest.mark.parametrize("typed", [True, False], ids=["typed axis", "axis of the recipe's type"])
def test_a_label_that_two_grids_give_to_two_backbones_is_refused(make, refused, typed: bool) -> None:
    """Else the second grid's trials would count as the first's, and silently never run."""
    one, other = teacher(BIG, typed), teacher(SMALL, typed)
    assert refused(f"grids: [{{axes: {one}}}, {{axes: {other}}}]\n", methods="[taught]") == [SENTENCE]
    study = make(f"grids: [{{axes: {one}}}, {{axes: {one}}}]\n", methods="[taught]")
    assert sum(map(len, expand(study).blocks)) == 4, "the same thing under the same label is the same trial"


def test_labels_of_parameters_and_of_methods_are_checked_too(refused) -> None:
    grids = f"grids: [{{params: {{teacher: {BIG}}}}}, {{params: {{teacher: {SMALL}}}}}]\n"
    assert refused(grids, methods="[taught]") == [SENTENCE]
    two = f"[{{method: taught, teacher: {BIG}, as: one}}, {{method: taught, teacher: {SMALL}, as: two}}]"
    assert refused(methods=two) == [SENTENCE]


def test_a_backbone_and_a_teacher_of_one_label_are_one_thing(make, refused) -> None:
    assert refused(backbones=f"[{BIG}]", methods=f"[{{method: taught, teacher: {SMALL}}}]") == [SENTENCE]
    (block,) = expand(make(backbones=f"[{BIG}]", methods=f"[{{method: taught, teacher: {BIG}}}]")).blocks
    axis = next(axis for axis in block.axes if axis.name == "backbone")
    assert axis.labels == ("big",) and axis.values[0] == block.settings[0].params["teacher"]


def test_options_at_their_defaults_are_not_in_the_label(make) -> None:
    text = "grids: [{axes: {teacher: [mlp]}}, {axes: {teacher: [{backbone: mlp, hidden: 64}]}}]\n"
    study = make(text, methods="[taught]", sources="[ape]", targets="[cod]")
    (block,) = expand(study).blocks
    assert len(block) == 1 and block.axes[-1].labels == ("mlp",)


@pytest.mark.parametrize(
    ("first", "second", "one"),
    [
        ("{checkpoint: hub/x, revision: a}", "{checkpoint: hub/x, revision: b}", False),
        ("{checkpoint: hub/x, revision: a}", "{checkpoint: hub/x, revision: a}", True),
        ("{checkpoint: hub/x, revision: a, name: n}", "{checkpoint: hub/y, revision: a, name: n}", False),
        ("{checkpoint: hub/x, revision: a, name: n}", "{checkpoint: hub/x, revision: a, name: m}", True),
        ("{artifact: {key: %s}, name: n}" % ("ab" * 16), "{artifact: {key: %s}, name: n}" % ("cd" * 16), False),
        ("{tasks: [ape, bee], as: all, name: n}", "{tasks: [ape, cod], as: all, name: n}", False),
        ("{tasks: [ape, bee], as: all_but_target}", "{tasks: [ape, cod], as: all_but_target}", False),
        ("{tasks: [ape, bee], as: all_but_target}", "{tasks: [bee, ape], as: all_but_target}", False),
        ("{tasks: [ape], as: each}", "ape", True),
        ("{tasks: [ape, bee], as: all}", "{tasks: [ape, bee], as: {subsets: {sizes: [2]}}}", True),
    ],
)
def test_sources_of_two_grids(make, refused, first: str, second: str, one: bool) -> None:
    text = f"grids: [{{sources: [{first}]}}, {{sources: [{second}]}}]\n"
    if one:
        make(text, targets="[dill]")
    else:
        (sentence,) = refused(text, targets="[dill]")
        assert sentence.startswith("the source ") and "means something else elsewhere" in sentence


# --- keys -------------------------------------------------------------------------------------------------------------

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**60), 2**60), st.floats(allow_nan=False, allow_infinity=False), st.text()
)


@given(scalars, scalars)
def test_labels_are_equal_as_values_are_in_a_study(one: Any, other: Any) -> None:
    """Like Python's own comparison, but that a boolean is no number, and references are compared without blanks."""
    alike = one == other and isinstance(one, bool) == isinstance(other, bool)
    if isinstance(one, str) and isinstance(other, str) and "(" in one and "(" in other:
        alike = squeezed(one) == squeezed(other)
    assert (key_of(one) == key_of(other)) is alike


def squeezed(text: str) -> str:
    return "".join(letter for letter in text if not letter.isspace() and letter not in "\"'")


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_number_has_its_own_key(number: float) -> None:
    assert key_of(number) == key_of(number + 0.0)
    assert key_of(number) != key_of(math.nextafter(number, math.inf)) or not math.isfinite(number * 2)
    assert key_of(number) != key_of(str(number))


@given(st.integers(2**53, 2**60))
def test_large_whole_numbers_do_not_run_together(number: int) -> None:
    assert key_of(number) != key_of(number + 1)


@given(
    st.recursive(
        scalars,
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
        max_leaves=8,
    )
)
def test_the_label_of_plain_data_is_its_json(data: Any) -> None:
    label = label_of(data)
    if isinstance(data, (list, dict)):
        assert isinstance(label, str) and json.loads(label) == data
        if isinstance(data, dict):
            assert label_of(dict(reversed(data.items()))) == label
    else:
        assert label is data


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("half(of=a, split=0)", "half( of = a,split=0 )", True),
        ("half(of='a', split=0)", 'half(of="a", split=0)', True),
        ("half(of=a, split=0)", "half(of=a, split=1)", False),
        ("a b", "ab", False),
        (1, 1.0, True),
        (1, "1", False),
        (True, 1, False),
        (None, "null", False),
        ([1, 2], "[1, 2]", True),
        ((1, 2), [1, 2], True),
        (0.1 + 0.2, 0.3, False),
        (-0.0, 0, True),
    ],
)
def test_what_counts_as_the_same_label(one: Any, other: Any, alike: bool) -> None:
    assert (key_of(one) == key_of(other)) is alike
