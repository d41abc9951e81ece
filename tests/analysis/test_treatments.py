"""Names of treatments: derived ones equal those that were published, and what has no name."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from analysis.import_files import read_import
from analysis.treatments import TREATMENTS, in_order, treatments
from harness.errors import HarnessError

PUBLISHED = Path(__file__).parents[2] / "studies" / "published" / "yosinski2014.yaml"


def test_derived_names_equal_the_published_ones():
    rows = read_import(PUBLISHED).frame
    rows = rows[(rows["method"] == "layer_transfer") & (rows["role"] == "outcome")]
    assert len(rows) == 125
    frozen = ~rows["treatment"].str.endswith("+")
    for column in (frozen, frozen.astype(int), frozen.map({True: "true", False: "false"})):
        derived = treatments(rows.drop(columns="treatment").assign(frozen=column))
        assert derived.tolist() == rows["treatment"].tolist()
    assert in_order(rows["treatment"]) == ("BnB", "AnB", "BnB+", "AnB+", "random")


@pytest.mark.parametrize(
    ("source", "target", "frozen", "preserve", "name"),
    [
        ("a", "a", True, 0, "BnB"),
        ("a", "b", True, None, "AnB"),
        ("a", "a", False, 0, "BnB+"),
        ("a", "b", False, 0.0, "AnB+"),
        ("untrained", "b", True, 0, "random"),
        ("untrained", "b", False, 0, "random+"),
        ("a", "b", True, 2, "AnB, 2 more trained"),
        ("a", "a", True, 1, "BnB, 1 more trained"),
        (None, "b", True, 0, "none"),
        (None, "b", False, 3, "none"),
        ("some/checkpoint", "b", True, 0, "AnB"),
    ],
)
def test_each_combination(source, target, frozen, preserve, name):
    row = pd.DataFrame([{"source": source, "target": target, "frozen": frozen, "preserve": preserve}])
    assert treatments(row).tolist() == [name]


def test_preserve_may_be_absent_and_frozen_may_not():
    rows = pd.DataFrame({"source": ["a", "b"], "target": ["a", "a"], "frozen": [True, False]}, index=[7, 3])
    found = treatments(rows)
    assert found.tolist() == ["BnB", "AnB+"] and list(found.index) == [7, 3]
    with pytest.raises(HarnessError, match="'frozen'"):
        treatments(rows.drop(columns="frozen"))


def test_the_order_is_that_of_papers_with_other_names_last():
    names = pd.Series(["random", "AnB, 2 more trained", "AnB+", "BnB", "AnB"])
    assert in_order(names) == ("BnB", "AnB", "AnB+", "random", "AnB, 2 more trained")
    assert TREATMENTS[:4] == ("BnB", "AnB", "BnB+", "AnB+")
