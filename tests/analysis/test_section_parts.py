"""What stands beside a section's main figure: when it is shown, and that its numbers are those of the functions."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis import correlate, matrix_test, rank_methods, seed_values, transfer_matrix, wilcoxon_pairs
from analysis.ceiling import Ceiling
from analysis.figures import style
from analysis.section_parts import (
    add_best_sources,
    add_estimators,
    add_graph,
    add_matrix_test,
    add_ranking,
    add_scatter,
    ceiling_note,
    estimators_in,
    families_of,
)


@dataclass
class Collected:
    """The parts that a section would hold."""

    tables: list = field(default_factory=list)
    notes: list = field(default_factory=list)
    drawn: list = field(default_factory=list)

    def draw(self, name, alt, make):
        with style():
            make()
        self.drawn.append((name, alt))

    @property
    def names(self):
        return [name for name, _ in self.drawn]


@pytest.fixture
def rows(grid_frame):
    return grid_frame(tasks="abcdef", methods=("probe", "tune", "third"))


@pytest.fixture
def gains(rows):
    return transfer_matrix(rows, filter={"method": "probe"}, relative_to="own")


def test_a_graph_needs_a_baseline_and_few_tasks(rows, gains):
    made = Collected()
    add_graph(made, gains, "m")
    assert made.names == ["m-graph"] and "difference from 'own'" in made.drawn[0][1]
    for other in (
        transfer_matrix(rows, filter={"method": "probe"}),
        transfer_matrix(rows, filter={"method": "probe"}, relative_to="z"),
        transfer_matrix(rows, "method", "target", relative_to="own", over=["source"]),
        replace(gains, values=-np.abs(gains.values)),
    ):
        made = Collected()
        add_graph(made, other, "m")
        assert made.drawn == []


def test_a_graph_of_very_many_tasks_is_left_out(grid_frame):
    many = grid_frame(tasks=[f"t{k}" for k in range(25)], methods=("probe",), seeds=(0,))
    made = Collected()
    add_graph(made, transfer_matrix(many, relative_to="own"), "m")
    assert made.drawn == []


def test_the_ranking_table_repeats_the_tests(rows):
    matrix = transfer_matrix(rows, "method", "target", over=["source"])
    made = Collected()
    add_ranking(made, matrix, "t")
    assert made.names == ["t-ranks"]
    ((name, table),) = made.tables
    scores = {row: matrix.values[i] for i, row in enumerate(matrix.row_labels)}
    test = rank_methods(scores)
    ranks = dict(zip(test.names, test.mean_ranks, strict=True))
    assert name == "t-ranks" and len(table.rows) == 3
    for row, pair in zip(table.rows, wilcoxon_pairs(scores), strict=True):
        texts = [cell.text for cell in row]
        assert texts[:2] == [pair.x, pair.y]
        assert texts[2] == f"{abs(ranks[pair.x] - ranks[pair.y]):.2f}"
        assert texts[3] == ("yes" if abs(ranks[pair.x] - ranks[pair.y]) > test.critical_difference else "no")
        expected = stats.wilcoxon(scores[pair.x], scores[pair.y]).pvalue
        assert texts[5].startswith(f"{expected:.2g} (")
    assert f"χ² = {test.statistic:.2f}" in table.notes[0] and "0 dropped" in table.notes[0]


def test_no_ranking_of_two_methods_or_two_tasks_or_ties(rows):
    two = transfer_matrix(rows, "method", "target", over=["source"], filter={"method": ["probe", "tune"]})
    few = transfer_matrix(rows, "method", "target", over=["source"], filter={"target": ["a", "b"]})
    for matrix in (two, few):
        made = Collected()
        add_ranking(made, matrix, "t")
        assert made.tables == [] and made.notes == []
    tied = transfer_matrix(rows, "method", "target", over=["source"])
    made = Collected()
    add_ranking(made, replace(tied, values=np.ones(tied.shape)), "t")
    assert made.tables == [] and made.notes == ["No test of ranks: all methods tie on every task."]


def test_the_best_source_table_is_shown_for_two_rows_or_more(rows):
    made = Collected()
    add_best_sources(made, seed_values(rows, filter={"method": "probe"}), "m")
    ((name, table),) = made.tables
    assert name == "m-best" and [r[0].text for r in table.rows] == list("abcdef")
    for row in table.rows:
        assert row[0].text != row[1].text  # never the own task
        assert 0 <= float(row[6].text) <= 1 and row[4].text.endswith("%")
    made = Collected()
    add_best_sources(made, seed_values(rows, filter={"method": "probe", "source": "a"}), "m")
    assert made.tables == []


def test_scatter_and_matrix_test_say_what_they_are(rows):
    x, y = (transfer_matrix(rows, filter={"method": m}, title=m) for m in ("probe", "tune"))
    made = Collected()
    add_scatter(made, x, y, correlate(x, y, n_resamples=0), "c")
    assert made.drawn == [("c-scatter", "Scatter: tune against probe")]
    add_matrix_test(made, x, y)
    add_matrix_test(made, x, y)
    assert len(made.notes) == 1 and str(matrix_test(x, y, n_permutations=999)) in made.notes[0]


def test_a_table_of_estimators_needs_two_rows_and_may_have_one_column(rows):
    outcome = transfer_matrix(rows, filter={"method": "tune"})
    scores = {"probe": transfer_matrix(rows, filter={"method": "probe"})}
    made = Collected()
    add_estimators(made, scores, outcome, {}, None, "c", "Title")
    ((name, table),) = made.tables
    assert (name, table.title) == ("c-estimators", "Title") and table.rows[0][0].text == "probe"
    one = transfer_matrix(rows, filter={"method": "tune", "target": "a"})
    made = Collected()
    add_estimators(made, scores, one, {}, None, "c", "Title")
    assert made.tables[0][1].header[:2] == ("", "a")
    single = transfer_matrix(rows, filter={"method": "tune", "source": "b"})
    made = Collected()
    add_estimators(made, scores, single, {}, None, "c", "Title")
    assert made.tables == [] and "two rows" in made.notes[0]


def test_several_estimators_are_read_by_every_coefficient(rows):
    outcome, probe = (transfer_matrix(rows, filter={"method": m}) for m in ("tune", "probe"))
    made = Collected()
    add_estimators(made, {"probe": probe, "itself": outcome}, outcome, {}, None, "c", "Title")
    assert [name for name, _ in made.tables] == ["c-estimators", "c-coefficients", "c-per-target"]
    assert made.tables[1][1].records[1]["mean pearson estimate"] == pytest.approx(1)


def test_the_ceiling_in_words():
    assert ceiling_note({}) == "Noise ceiling: not estimable."
    one = {"": Ceiling(float("nan"), float("nan"), 1, "kendall", "", "one seed")}
    assert ceiling_note(one) == "Noise ceiling of the mean over targets: not estimable (one seed)."
    known = {"": Ceiling(0.912, 0.8, 3, "kendall", "Spearman-Brown")}
    assert ceiling_note(known) == "Noise ceiling of the mean over targets: 0.91 (Spearman-Brown; 3 seeds)."


def test_estimators_with_scores_are_listed(frame):
    rows = frame([
        {"source": "a", "value": 0.5},
        {"source": "a", "role": "estimator", "method": "leep", "metric": "score", "value": -1.0},
        {"source": "a", "role": "estimator", "method": "knn", "metric": "accuracy", "value": 0.2},
        {"source": "a", "role": "estimator", "method": "dead", "metric": "score", "value": None, "status": "failed"},
    ])  # fmt: skip
    assert estimators_in(rows) == [("knn", "accuracy"), ("leep", "score")]
    assert estimators_in(pd.DataFrame({"value": [1.0]})) == []


def test_families_of_the_analysis_come_before_those_of_the_study():
    assert families_of({}, {}) is None and families_of({"families": {}}, {}) is None
    assert families_of({"families": {"a": 1}}, {}) == {"a": "1"}
    assert families_of({"families": {"a": 1}}, {"families": {"b": "x"}}) == {"b": "x"}
