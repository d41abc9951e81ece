"""Reading: data as written, with the line of every key and item."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.study.document import parse_document, parse_value
from harness.study.problems import Place, StudyError

TEXT = """\
# a comment
study: example

axes:
  shots: [1,
    5]
  lr:
    - 0.1
    - 1e-3
params: {steps: 5,
  source: {steps: 6}}
"""


def test_every_key_and_item_knows_its_line():
    document = parse_document(TEXT, "s.yaml")
    lines = {path: place.line for path, place in document.places.items()}
    assert lines == {
        (): 2,
        ("study",): 2,
        ("axes",): 4,
        ("axes", "shots"): 5,
        ("axes", "shots", 0): 5,
        ("axes", "shots", 1): 6,
        ("axes", "lr"): 7,
        ("axes", "lr", 0): 8,
        ("axes", "lr", 1): 9,
        ("params",): 10,
        ("params", "steps"): 10,
        ("params", "source"): 11,
        ("params", "source", "steps"): 11,
    }
    assert document.place(("axes", "lr", 7, "x")) == Place("s.yaml", 7)


def test_data_is_as_written():
    data = parse_document(TEXT, "s.yaml").data
    assert data == {
        "study": "example",
        "axes": {"shots": [1, 5], "lr": [0.1, 0.001]},
        "params": {"steps": 5, "source": {"steps": 6}},
    }


def test_anchors_aliases_and_merge_keys():
    text = "base: &base {steps: 5, lr: 0.1}\nother: &other {lr: 0.2, wd: 0}\nlist: &l [1, 2]\nagain: *l\n"
    document = parse_document(text + "merged:\n  <<: [*base, *other]\n  steps: 7\n", "f")
    assert document.data["merged"] == {"steps": 7, "lr": 0.1, "wd": 0}
    assert document.data["again"] == [1, 2]
    assert document.place(("merged", "steps")).line == 7
    assert document.place(("merged", "wd")).line == 2
    assert document.problems == []


def test_keys_are_text_whatever_they_look_like():
    data = parse_document("on: 1\n010: 2\ntrue: 3\n5: 4\n'quoted': 5\n", "f").data
    assert data == {"on": 1, "010": 2, "true": 3, "5": 4, "quoted": 5}


def test_several_lesser_problems_are_told_together():
    document = parse_document("a: !x 1\nb: 2\nb: 3\n? [k]\n: 4\n", "f")
    assert [(problem.line, problem.message) for problem in document.problems] == [
        (1, "the tag !x is not allowed; write the plain value"),
        (3, "the key 'b' is given twice (first on line 2)"),
        (4, "a key must be a plain word"),
    ]


def test_text_blocks_and_explicit_text_stay_text():
    data = parse_document('a: |\n  010\nb: !!str 010\nc: >\n  5\nd: "true"\n', "f").data
    assert data == {"a": "010\n", "b": "010", "c": "5\n", "d": "true"}


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path):
    from harness.study.document import read_document

    path = tmp_path / "s.yaml"
    path.write_bytes(b"\xef\xbb\xbfstudy: a\n")
    assert read_document(path).data == {"study": "a"}


plain = st.recursive(
    st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(min_size=1, max_size=8), inner, max_size=4),
    max_leaves=10,
)


@settings(max_examples=40)
@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), plain, min_size=1, max_size=4))
def test_what_another_library_writes_with_quotes_is_read_back(data):
    text = yaml.dump(data, default_style='"', allow_unicode=True)
    found = parse_document(text.replace('!!int "', '"').replace('!!float "', '"').replace('!!bool "', '"'), "f").data

    def as_text(value):
        if isinstance(value, dict):
            return {key: as_text(item) for key, item in value.items()}
        if isinstance(value, list):
            return [as_text(item) for item in value]
        if isinstance(value, bool):
            return "true" if value else "false"
        return value if isinstance(value, str) else yaml.dump(value, default_style='"').split('"')[1]

    if not any(key.endswith(")") and "=" in key for key in _keys(data)):
        assert found == as_text(data)


def _keys(data):
    if isinstance(data, dict):
        for key, value in data.items():
            yield key
            yield from _keys(value)
    elif isinstance(data, list):
        for item in data:
            yield from _keys(item)


def test_single_values():
    assert parse_value("[1, on, 1e-3]", "x") == [1, "on", 0.001]
    assert parse_value("", "x") is None
    with pytest.raises(StudyError, match="the tag !y is not allowed"):
        parse_value("!y 1", "x")
    with pytest.raises(StudyError, match="not valid YAML"):
        parse_value("[1", "x")
