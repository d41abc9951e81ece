"""Columns of labels and of examples."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.tasks.columns import class_names, find_column, label_numbers, picture_bytes, table_rows


def test_declared_names_are_kept_in_their_order() -> None:
    assert class_names({"train": [0, 1], "test": [2]}, ["z", "y", "x"]) == ("z", "y", "x")
    assert label_numbers([2, 0], ["z", "y", "x"], declared=True) == [2, 0]


def test_names_are_the_labels_of_all_splits_sorted() -> None:
    names = class_names({"train": ["b", "a"], "test": ["c"]}, None)
    assert names == ("a", "b", "c")
    assert label_numbers(["c", "a"], names, declared=False) == [2, 0]


def test_numbers_are_sorted_as_numbers() -> None:
    assert class_names({"train": [10, 9, 2]}, None) == ("2", "9", "10")


@pytest.mark.parametrize("labels", [[0, None], [None]])
def test_a_missing_label_is_refused(labels: list[int | None]) -> None:
    with pytest.raises(HarnessError, match="no label"):
        class_names({"train": labels}, ["a"])


@pytest.mark.parametrize("label", [-1, 2, "a"])
def test_a_label_that_is_not_declared_is_refused(label: object) -> None:
    with pytest.raises(HarnessError, match="none of the 2 declared"):
        class_names({"train": [0, label]}, ["a", "b"])


def test_rows_know_their_place_and_read_their_cell() -> None:
    rows = table_rows("test", [1, 0], lambda number: f"cell {number}", changed=3)
    assert [row.key for row in rows] == ["test/000000000", "test/000000001"]
    assert [row.labels for row in rows] == [(1,), (0,)]
    assert rows[1].read() == "cell 1" and rows[1].changed == 3


def test_a_column_that_is_missing_is_answered_with_the_nearest() -> None:
    assert find_column("labels", "label", ["text", "label"]) == "label"
    with pytest.raises(HarnessError, match="did you mean 'label'"):
        find_column("labels", "labels", ["text", "label"])


def test_the_bytes_of_a_picture(tmp_path: Path) -> None:
    (tmp_path / "p").write_bytes(b"on disk")
    assert picture_bytes(b"x") == b"x"
    assert picture_bytes({"bytes": b"y", "path": "ignored"}) == b"y"
    assert picture_bytes({"bytes": None, "path": str(tmp_path / "p")}) == b"on disk"
    with pytest.raises(HarnessError, match="cannot be read"):
        picture_bytes({"bytes": None, "path": str(tmp_path / "gone")})
    with pytest.raises(HarnessError, match="no picture but a value of type int"):
        picture_bytes(3)
