"""What tasks say about themselves, sets of tasks, and which pairs agree."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from analysis.attributes import (
    LEFT_OUT,
    Attributes,
    TaskSet,
    as_written,
    attributes_of,
    counted,
    leave_out_related,
    related_pairs,
)
from harness.errors import HarnessError

FAMILIES = {"a": "digits", "b": "digits", "c": "emoji", "d": "emoji"}
STUDY = {
    "task_attributes": {**{t: {"family": f, "split": 0} for t, f in FAMILIES.items()}, "e": {"domain": "x"}, "f": {}},
    "task_sets": {
        "a+c": {"tasks": ["a", "c"], "but_target": False},
        "rest": {"tasks": list("abce"), "but_target": True},
    },
}


def test_attributes_are_read_as_text():
    found = attributes_of(STUDY)
    assert found.names() == ["domain", "family", "split"]
    assert (found.of("a", "family"), found.of("a", "split"), found.of("e", "family"), found.of("?", "x")) == (
        "digits",
        "0",
        "none",
        "none",
    )
    assert found.sets["rest"] == TaskSet(("a", "b", "c", "e"), True)


def test_a_study_as_it_was_written_has_no_attributes():
    assert as_written({"study": "s", **STUDY}) == {"study": "s"}


def test_families_of_a_study_or_an_analysis_are_an_attribute():
    found = attributes_of({"families": {"a": "x"}}, {"families": {"b": "y"}})
    assert (found.of("a", "family"), found.of("b", "family")) == ("x", "y")
    both = attributes_of({**STUDY, "families": {"a": "other"}})
    assert both.of("a", "family") == "other" and both.of("a", "split") == "0"


@pytest.mark.parametrize(("source", "target"), list(itertools.product("abcdef", repeat=2)))
def test_tasks_are_related_when_they_are_one_or_agree(source, target):
    same = source in FAMILIES and target in FAMILIES and FAMILIES[source] == FAMILIES[target]
    assert attributes_of(STUDY).related(source, target, "family") == (source == target or same)


@pytest.mark.parametrize(
    ("source", "target", "related"),
    [
        ("a+c", "b", True),
        ("a+c", "a", True),
        ("a+c", "d", True),
        ("a+c", "e", False),
        ("rest", "b", True),  # a is still in it
        ("rest", "e", False),  # e itself is left out, and nobody shares its family
        ("rest", "d", True),
        ("rest", "f", False),
        ("hub/checkpoint", "a", False),
        ("untrained", "a", False),
    ],
)
def test_sets_are_related_by_their_members(source, target, related):
    assert attributes_of(STUDY).related(source, target, "family") == related


def test_the_target_leaves_a_set_only_where_the_set_says_so():
    found = attributes_of(STUDY)
    assert found.members("rest", "a") == ("b", "c", "e") and found.members("a+c", "a") == ("a", "c")
    assert found.members("b", "a") == ("b",)


def test_pairs_as_a_matrix():
    found = related_pairs("abcde", ["b", "d", "e"], attributes_of(STUDY), "family")
    truth = [[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1]]
    assert found.dtype == bool and found.tolist() == np.array(truth, dtype=bool).tolist()
    assert related_pairs([], ["a"], attributes_of(STUDY), "family").shape == (0, 1)


def test_an_unknown_attribute_is_refused_with_the_nearest():
    with pytest.raises(HarnessError, match=r"'famly'.*did you mean 'family'"):
        attributes_of(STUDY).require("famly", "same")
    with pytest.raises(HarnessError, match="give the study's file"):
        Attributes().require("family", "same")
    attributes_of(STUDY).require("domain", "same")


def test_rows_of_related_tasks_are_left_out_with_the_reason():
    frame = pd.DataFrame(
        {"source": ["a", "a", None, "c", "e"], "target": ["b", "c", "b", "c", "b"]}, index=[4, 3, 2, 1, 0]
    )
    found = leave_out_related(frame, attributes_of(STUDY), ["family", "split"])
    assert found[LEFT_OUT].tolist() == [
        "source and target agree in family and split",
        "source and target agree in split",
        "",
        "source and target agree in family and split",
        "",
    ]
    assert list(found.index) == list(frame.index)
    assert list(counted(found).index) == [2, 0] and counted(frame) is frame
