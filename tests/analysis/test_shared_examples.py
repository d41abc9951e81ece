"""Shared examples: read from a plain file, told with the worst first, and marked in matrices."""

from __future__ import annotations

import json

import numpy as np
import pytest

from analysis import matrix_table, transfer_matrix
from analysis.attributes import Attributes, TaskSet
from analysis.figures import style
from analysis.heatmaps import draw
from analysis.shared_examples import SharedExamples, mark_shared, read_shared, shared_table
from harness.errors import HarnessError


def pair(source, target, exact=0, near=0, of=200):
    return SharedExamples(source, target, "test", exact, near, of)


def write(folder, entries):
    (folder / "leakage.json").write_text(json.dumps(entries), encoding="utf-8")
    return read_shared(folder)


def test_the_file_is_read_and_more_keys_do_not_matter(tmp_path):
    entry = {"source": "a", "target": "b", "split": "test", "exact": 3, "near": 1, "of": 80, "data": "0123"}
    assert write(tmp_path, [entry]) == [SharedExamples("a", "b", "test", 3, 1, 80)]
    assert write(tmp_path, [{k: v for k, v in entry.items() if k != "split"}])[0].split == "test"
    assert write(tmp_path, []) == []
    assert read_shared(tmp_path / "nowhere") is None


@pytest.mark.parametrize("entries", [{"a": 1}, [1], [{"source": "a"}], [{"source": "a", "target": "b", "exact": "x"}]])
def test_a_file_that_holds_something_else_is_refused(tmp_path, entries):
    with pytest.raises(HarnessError, match=r"leakage\.json"):
        write(tmp_path, entries)
    (tmp_path / "leakage.json").write_text("{", encoding="utf-8")
    with pytest.raises(HarnessError, match=r"leakage\.json"):
        read_shared(tmp_path)


@pytest.mark.parametrize(("exact", "near", "of", "share"), [(1, 3, 80, 0.05), (0, 0, 80, 0.0), (0, 0, 0, 0.0)])
def test_the_share_counts_both_kinds(exact, near, of, share):
    assert pair("a", "b", exact, near, of).share == share


def test_the_worst_pairs_come_first():
    found = [pair("a", "b", 1), pair("b", "a", 0, 30), pair("a", "a"), pair("c", "a", 2, 2, 20)]
    table = shared_table(found)
    assert [[c.text for c in row] for row in table.rows] == [
        ["c", "a", "2", "2", "20", "20.00%"],
        ["b", "a", "0", "30", "200", "15.00%"],
        ["a", "b", "1", "0", "200", "0.50%"],
    ]
    assert table.notes[0] == "Of 4 pairs compared, 3 share examples."
    assert shared_table([pair("a", "b")]) is None and shared_table([]) is None


def test_only_the_worst_are_listed():
    table = shared_table([pair(f"s{k}", "t", k + 1) for k in range(30)])
    assert len(table.rows) == 20 and table.rows[0][0].text == "s29"
    assert "The worst 20 of them." in table.notes


def test_cells_of_pairs_that_share_a_hundredth_or_more_are_marked(grid_frame):
    matrix = transfer_matrix(grid_frame(methods=("probe",)))
    found = [pair("a", "b", 2), pair("b", "c", 1), pair("e", "a", 0, 9), pair("z", "a", 200)]
    marked = mark_shared(matrix, found, Attributes())
    (mark,) = marked.marks
    truth = {("a", "b"), ("e", "a")}
    assert {(marked.row_labels[i], marked.col_labels[j]) for i, j in np.argwhere(mark.cells)} == truth
    table = matrix_table(marked)
    assert "‡" in table.rows[0][2].text and "‡" not in table.rows[0][1].text
    assert any(note.startswith("‡ at least 1% of the target's test examples") for note in table.notes)
    assert "\\ddag{}" in table.to_latex()
    with style():
        figure = draw(marked)
    assert "shared examples (2)" in [t.get_text() for t in figure.texts]
    assert sum("‡" in t.get_text() for t in figure.axes[0].texts) == 2


def test_a_set_shares_what_its_worst_member_shares(grid_frame):
    rows = grid_frame(tasks="abc", methods=("probe",))
    rows["source"] = rows["source"].replace({"b": "b+c"})
    known = Attributes({}, {"b+c": TaskSet(("b", "c"), True)})
    found = [pair("c", "a", 50), pair("b", "b", 90), pair("a", "a", 70)]
    (mark,) = mark_shared(transfer_matrix(rows), found, known).marks
    assert mark.cells.tolist() == [[True, False, False]] * 3


def test_other_axes_and_unchecked_studies_have_no_mark(grid_frame):
    rows = grid_frame()
    other = transfer_matrix(rows, "method", "target", over=["source"])
    assert mark_shared(other, [pair("a", "b", 9)], Attributes()) is other
    one = transfer_matrix(rows, filter={"method": "tune"})
    assert mark_shared(one, None, Attributes()) is one and mark_shared(one, [], Attributes()) is one
    turned = transfer_matrix(rows, "target", "source", filter={"method": "tune"})
    (mark,) = mark_shared(turned, [pair("a", "b", 9)], Attributes()).marks
    assert np.argwhere(mark.cells).tolist() == [[1, 0]]
