"""A section for each kind of analysis: what it holds, and that one bad analysis does not stop the others."""

from __future__ import annotations

import pandas as pd
import pytest

from analysis.figures import style
from analysis.section_parts import slug
from analysis.sections import ReportData, section


@pytest.fixture
def data(grid_frame, trials_of):
    rows = grid_frame(tasks="abcdef")
    knn = rows[(rows.role == "outcome") & (rows.method == "tune") & (rows.seed == 0)]
    knn = knn.assign(role="estimator", method="knn", metric="score", seed=None, trial_id=lambda f: "e" + f.trial_id)
    rows = pd.concat([rows, knn], ignore_index=True)
    study = {"study": "demo", "targets": list("fedcba"), "methods": ["tune", "probe"]}
    return ReportData(rows, trials_of(rows), study | {"baselines": {"own": {"source": "none"}}})


def made(data, **analysis):
    found = section(data, analysis)
    with style():
        for drawing in found.drawings:
            assert drawing.make().get_size_inches().min() > 1
    return found


def test_a_matrix_with_a_facet_has_a_drawing_and_a_table_for_each_value(data):
    found = made(data, kind="matrix", facet="method", relative_to="own")
    assert found.problem == ""
    assert [t.title for _, t in found.tables] == [
        f"source → target, relative to own, method = {m}" for m in ("tune", "probe")
    ]
    names = [name for name, _ in found.tables]
    assert [d.name for d in found.drawings] == [n for name in names for n in (name, f"{name}-graph")]
    assert found.notes == ["Relative to the baseline 'own', paired: same target, seed and other axes."]
    assert found.tables[0][1].header[1:] == (*"fedcba", "mean")


def test_a_facet_keeps_to_the_filter(data):
    assert len(made(data, kind="matrix", facet="method", filter={"method": "tune"}).drawings) == 1


def test_the_value_can_be_an_estimator(data):
    found = made(data, kind="matrix", value="knn", filter={"method": "tune"})
    assert found.problem == "" and "test score" in found.drawings[0].alt


def test_flagged_values_have_both_readings(data):
    rows = data.frame.copy()
    rows.loc[(rows.source == "a") & (rows.target == "b"), "flags"] = "not_trained"
    found = made(ReportData(rows, data.trials, data.study), kind="matrix", filter={"method": "tune"})
    names = [name for name, _ in found.tables]
    name = "source-target-method-tune"
    assert names == [name, f"{name}-without-flagged", f"{name}-best"]
    assert "flagged" in found.tables[1][1].to_csv()


def test_a_table_sets_methods_against_targets(data):
    found = made(data, kind="table", over=["source"])
    assert found.drawings == [] and found.tables[0][1].rows[0][0].text == "tune"


def test_lines(data):
    found = made(data, kind="lines", x="seed", rows="method", over=["source", "target"])
    assert found.problem == "" and len(found.drawings) == 1 and "not estimable" in found.notes[0]
    assert made(data, kind="lines").problem == "An analysis of kind 'lines' needs 'x'."


def test_a_correlation_of_an_estimator_with_a_method(data):
    found = made(data, kind="correlation", x="knn", y="tune")
    assert found.problem == "" and found.notes[0] == "6 cells with source = target excluded."
    assert "Mantel" in found.notes[1] and found.notes[2].startswith("Noise ceiling of the mean over targets: 0.")
    assert [d.name for d in found.drawings] == ["knn-against-tune", "knn-against-tune-scatter"]
    baselines = [row[0].text for row in found.tables[1][1].rows]
    assert baselines == ["knn", "mean on the other targets (baseline)", "noise ceiling"]
    table = found.tables[0][1]
    assert [row[0].text for row in table.rows] == [*"fedcba", "pooled over cells", "mean over targets"]
    assert table.header == ("target", "τ_w", "95% interval", "τ_b", "ρ", "r", "n", "ties", "dropped")
    assert table.rows[0][6].text == "5"
    assert any("variant 'scipy'" in n for n in table.notes)


def test_a_correlation_per_source(data):
    found = made(data, kind="correlation", x="knn", y="tune", per="source")
    assert found.problem == "" and found.tables[0][1].rows[-1][0].text == "mean over sources"


def test_a_comparison(data):
    found = made(data, kind="compare", x="tune", y="probe", facet="backbone")
    (row,) = found.tables[0][1].rows
    assert row[0].text == "backbone = mlp" and row[4].text == "36" and row[1].text.startswith("+")
    assert "tune minus probe, accuracy in percentage points" in found.tables[0][1].notes[0]


@pytest.mark.parametrize(
    ("analysis", "problem"),
    [
        ({"kind": "matrix"}, "'method' varies"),
        ({"kind": "matrx"}, "did you mean 'matrix'"),
        ({"kind": "matrix", "facet": "mehtod"}, "did you mean 'method'"),
        ({"kind": "matrix", "value": "knnn"}, "did you mean 'knn'"),
        ({"kind": "matrix", "relative_to": "owm", "filter": {"method": "tune"}}, "did you mean 'own'"),
        ({"kind": "compare", "x": "tune"}, "needs 'y'"),
        ({"kind": "correlation", "x": "knn", "y": "accuracy"}, "'method' varies"),
    ],
)
def test_what_is_wrong_with_an_analysis_is_said_in_its_section(data, analysis, problem):
    found = section(data, analysis)
    assert problem in found.problem and found.drawings == []


def test_names_are_file_names():
    assert slug("Gain over own, τ → x / ../y") == "gain-over-own-x-y"
    assert slug("→") == "analysis" and len(slug("a" * 300)) == 80


def test_the_title_is_the_declared_name(data):
    found = made(data, kind="matrix", name="My <b>matrix</b>", filter={"method": ["tune"]})
    assert (found.title, found.name) == ("My <b>matrix</b>", "my-b-matrix-b")


def test_without_x_all_estimators_stand_in_one_table(data):
    other = data.frame[data.frame.role == "estimator"]
    other = other.assign(method="noise", trial_id="n" + other.trial_id, value=range(len(other)))
    both = ReportData(pd.concat([data.frame, other], ignore_index=True), data.trials, data.study)
    found = made(both, kind="correlation", y="tune", families=dict.fromkeys("abc", "one") | dict.fromkeys("def", "two"))
    assert found.problem == "" and [drawing.name for drawing in found.drawings] == ["against-tune-estimators"]
    names = [row[0].text for row in found.tables[0][1].rows]
    assert names == [
        "knn", "noise", "mean on the other targets (baseline)", "same family (0/1) (baseline)", "noise ceiling",
    ]  # fmt: skip


def test_a_table_of_three_methods_is_ranked(data, grid_frame, trials_of):
    rows = grid_frame(tasks="abcdef", methods=("probe", "tune", "third"))
    found = made(ReportData(rows, trials_of(rows), data.study), kind="table", over=["source"])
    assert [d.name for d in found.drawings] == ["method-target-ranks"]
    (name, pairs) = found.tables[-1]
    assert name == "method-target-ranks" and len(pairs.rows) == 3 and "Friedman" in pairs.notes[0]
    assert pairs.header[-1] == "Wilcoxon p (Holm)"


def test_failed_trials_have_a_second_reading(data):
    rows = data.frame.copy()
    bad = (rows.source == "a") & (rows.target == "b") & (rows.method == "tune") & (rows.seed == 1)
    rows.loc[bad, ["value", "task", "split", "metric"]] = None
    rows.loc[bad, "status"] = "oom"
    broken = ReportData(rows, data.trials, data.study)
    worst = made(broken, kind="matrix", filter={"method": "tune"})
    assert [name for name, _ in worst.tables][1] == "source-target-method-tune-failed-as-worst"
    chance = made(broken, kind="matrix", filter={"method": "tune"}, chance=0.1)
    title = chance.tables[1][1].title
    assert title.endswith("failed trials counted as chance") and "failed_as_chance" in chance.tables[1][1].to_csv()


def test_a_matrix_may_be_clustered_and_names_the_best_source(data):
    found = made(data, kind="matrix", filter={"method": "tune"}, cluster="both")
    assert found.problem == "" and found.tables[-1][0].endswith("-best")
    assert [row[0].text for row in found.tables[-1][1].rows] == [*"fedcba"]


@pytest.mark.parametrize(("pairing", "words"), [("pooled", "pooled"), ("target", "target"), ("paired", "paired")])
def test_the_study_chooses_how_baselines_are_paired(data, pairing, words):
    found = section(data, {"kind": "matrix", "filter": {"method": "tune"}, "relative_to": "own", "pairing": pairing})
    assert found.problem == "" and any(words in note for note in found.notes)


def test_the_study_chooses_how_a_value_is_set_against_its_baseline(data):
    asked = {"kind": "matrix", "filter": {"method": "tune"}, "relative_to": "own"}
    plain, reduced = (section(data, {**asked, **more}) for more in ({}, {"how": "relative_error_reduction"}))
    assert plain.tables[0][1].to_csv() != reduced.tables[0][1].to_csv()
