"""Tables in four formats: what is bold, what is missing, and that nothing can break out of a cell."""

from __future__ import annotations

import csv
import io
import xml.etree.ElementTree as ET

import pytest

from analysis import matrix_table, transfer_matrix
from analysis.tables import plain_table


@pytest.fixture
def matrix(grid_frame):
    rows = grid_frame(tasks=["a_1", "b&2", "c|3"], methods=["m"])
    rows = rows[~((rows.source == "a_1") & (rows.target == "b&2"))]
    return transfer_matrix(rows)


def test_best_and_second_of_each_column(matrix):
    table = matrix_table(matrix)
    for j in range(3):
        ranks = [table.rows[i][j + 1].rank for i in range(3)]
        order = sorted((v, i) for i, v in enumerate(matrix.values[:, j]) if v == v)[::-1]
        assert ranks[order[0][1]] == 1
        assert ranks.count(1) == 1 and ranks.count(2) == (1 if len(order) > 2 else 0)


def test_best_of_each_row_and_less_is_better(matrix, grid_frame):
    by_row = matrix_table(matrix, best="rows")
    assert all(sum(c.rank == 1 for c in row) == 1 for row in by_row.rows[:3])
    rows = grid_frame(methods=["m"]).assign(metric="loss")
    loss = transfer_matrix(rows, value="loss")
    table = matrix_table(loss)
    assert [row[1].rank for row in table.rows[:5]].index(1) == loss.values[:, 0].argmin()
    assert all(c.rank == 0 for row in matrix_table(loss, best=None).rows for c in row)


def test_equal_values_are_all_best(frame):
    rows = frame([{"source": s, "value": v} for s, v in (("a", 0.5), ("b", 0.5), ("c", 0.1))])
    table = matrix_table(transfer_matrix(rows))
    assert [row[1].rank for row in table.rows[:3]] == [1, 1, 0]


def test_a_single_value_is_not_called_best(frame):
    table = matrix_table(transfer_matrix(frame([{"source": "a", "value": 0.5}])))
    assert table.rows[0][1].rank == 0 and not any("Bold" in n for n in table.notes)


def test_a_missing_cell_prints_its_reason_and_never_a_number(matrix):
    cell = matrix_table(matrix).rows[0][2]
    assert (cell.text, cell.missing) == ("not run", True)
    record = matrix_table(matrix).records[1]
    assert (record["value"], record["spread"], record["reason"]) == ("", "", "not run")


def test_means_that_lack_cells_are_starred(matrix):
    table = matrix_table(matrix)
    assert table.rows[0][-1].text.endswith("*") and not table.rows[1][-1].text.endswith("*")
    assert table.rows[-1][2].text.endswith("*")
    assert any("measured cells only" in n for n in table.notes)
    assert len(matrix_table(matrix, marginals=False).header) == 4


def test_one_seed_prints_not_estimable(frame):
    table = matrix_table(transfer_matrix(frame([{"source": s, "value": 0.5} for s in "ab"])))
    assert "Spread over seeds: not estimable (one seed)." in table.notes[0]
    assert table.records[0]["spread"] == "not estimable"
    assert "±" not in table.to_markdown().split("\n\n")[0]


def test_the_csv_has_full_precision_and_the_trials(matrix):
    lines = list(csv.DictReader(io.StringIO(matrix_table(matrix).to_csv())))
    assert len(lines) == 9
    first = lines[0]
    assert float(first["value"]) == matrix.values[0, 0]
    assert float(first["spread"]) == matrix.spread[0, 0]
    assert first["trial_ids"].split() == list(matrix.trial_ids[0, 0])
    assert (first["source"], first["target"], first["reading"], first["seeds"]) == ("a_1", "a_1", "absolute", "3")


def test_a_plain_table_is_its_own_csv():
    table = plain_table("t", ["a", "b"], [["x, y", 'say "z"']])
    assert list(csv.reader(io.StringIO(table.to_csv()))) == [["a", "b"], ["x, y", 'say "z"']]


def test_markdown_has_one_cell_a_column(matrix):
    text = matrix_table(matrix).to_markdown()
    head, rule, *rows = text.split("\n\n")[0].splitlines()
    assert rule == "|:--|--:|--:|--:|--:|"
    assert all(line.replace(r"\|", "").count("|") == 6 for line in (head, *rows))
    assert "**" in text and r"c\|3" in head
    assert "&lt;b>" in plain_table("t", ["<b>"], []).to_markdown()


def test_latex_is_booktabs_with_everything_escaped(matrix):
    text = matrix_table(matrix).to_latex()
    for part in (r"\toprule", r"\midrule", r"\bottomrule", r"\begin{tabular}{lrrrr}", r"a\_1", r"b\&2", r"$\pm$"):
        assert part in text
    assert r"\textbf{" in text
    body = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert all(line.replace(r"\&", "").count("&") == 4 for line in body)
    nasty = plain_table("t", [r"\input{x}", "50%", "$x^2$ ~"], []).to_latex()
    assert r"\textbackslash{}input\{x\}" in nasty and r"50\%" in nasty and r"\$x\textasciicircum{}2\$" in nasty


def test_a_title_cannot_leave_its_latex_comment():
    text = plain_table("one\n\\input{x}", ["a"], [], ["note\nmore"]).to_latex()
    assert text.splitlines()[0] == "% one \\input{x}"
    assert text.splitlines()[1] == "% note more"


def test_html_parses_and_is_escaped(frame):
    rows = frame([{"source": "<script>alert(1)</script>", "target": 'a"b', "value": 0.5, "flags": "not_trained"}])
    text = matrix_table(transfer_matrix(rows)).to_html()
    tree = ET.fromstring(text)
    assert tree.find("tbody/tr/th").text == "<script>alert(1)</script>"
    assert "<script" not in text
    cell = tree.find("tbody/tr/td")
    assert cell.text == "50.0†" and "not_trained" in cell.get("title") and "t0" in cell.get("title")


def test_html_marks_best_and_missing(matrix):
    tree = ET.fromstring(matrix_table(matrix).to_html())
    classes = [td.get("class") for td in tree.iter("td")]
    assert classes.count("best") == 3 and classes.count("missing") == 1


def test_only_some_trials_are_named_in_a_long_cell(frame):
    rows = frame([{"source": "a", "seed": k, "value": 0.5} for k in range(9)])
    cell = matrix_table(transfer_matrix(rows)).rows[0][1]
    assert cell.detail.endswith("t5 and 3 more") and cell.detail.startswith("9 seeds")
