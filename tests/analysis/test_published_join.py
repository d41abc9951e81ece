"""How a published table finds its numbers in outcomes: axes, names, filters, baselines, differences."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis import compare_published, import_outcomes, load_paper, published_table, transfer_matrix
from analysis.import_files import import_published, open_table, read_import
from analysis.published_comparison import paired_difference, pooled_difference
from harness.errors import HarnessError

BASE = {"paper": "p", "table": "t", "unit": "", "tolerance": "0.001", "provenance": "paper"}


@pytest.fixture
def paper(tmp_path):
    """Write a paper of one table; cells are (row, column, value)."""

    def make(yaml, cells):
        folder = tmp_path / "p"
        folder.mkdir(exist_ok=True)
        rows = [{**BASE, "row": r, "column": c, "value": v} for r, c, v in cells]
        pd.DataFrame(rows).to_csv(folder / "t.csv", index=False)
        (folder / "paper.yaml").write_text(f"citation: someone\ntables: {{t: {yaml}}}\n")
        return load_paper(folder)

    return make


def only(frame, paper):
    (found,) = compare_published(frame, paper)
    return found


def test_any_two_axes_filters_and_our_own_names(grid_frame, paper):
    rows = grid_frame(tasks="abc", methods=("probe", "tune"))
    truth = transfer_matrix(rows, "method", "target", over=["source"]).cell("tune", "b").value
    join = "{quantity: value, rows: method, cols: target, over: [source], names: {Tuning: tune, Birds: b}, scale: 100}"
    found = only(rows, paper(join, [("Tuning", "Birds", f"{100 * truth:.6f}")]))
    assert found.status == "match" and found.ours == pytest.approx(100 * truth)
    assert found.seeds == 3 and found.tolerance > 0.001
    one = transfer_matrix(rows, filter={"method": "probe"}).cell("a", "c").value
    found = only(rows, paper("{quantity: value, filter: {method: probe}}", [("a", "c", f"{one:.6f}")]))
    assert found.status == "match"


def test_relative_readings(grid_frame, paper):
    rows = grid_frame(tasks="abc", methods=("probe",))
    truth = transfer_matrix(rows, relative_to="own", how="relative_gain").cell("a", "c").value
    join = "{quantity: value, relative_to: own, how: relative_gain}"
    assert only(rows, paper(join, [("a", "c", f"{truth:.6f}")])).status == "match"
    gone = only(rows, paper("{quantity: value, relative_to: nothing}", [("a", "c", "1")]))
    assert gone.status == "not comparable" and "nothing" in gone.why


def test_what_would_be_averaged_silently_is_not_comparable(grid_frame, paper):
    found = only(grid_frame(tasks="abc"), paper("{quantity: value}", [("a", "c", "0.5")]))
    assert found.status == "not comparable" and "'method' varies" in found.why


def estimators():
    """Accuracies of six models on two targets and the scores of one estimator."""
    rng = np.random.default_rng(1)
    accuracy, score = rng.normal(size=(2, 6, 2))
    names = [f"m{k}" for k in range(6)]
    parts = []
    for values, fixed in ((accuracy, {"metric": "gain"}),
                          (score, {"role": "estimator", "method": "leep", "metric": "score"})):  # fmt: skip
        wide = pd.DataFrame(values, columns=["x", "y"])
        wide.insert(0, "source", names)
        parts.append(import_outcomes(wide, rows="source", fixed=fixed))
    return pd.concat(parts, ignore_index=True), accuracy, score


@pytest.mark.parametrize(
    ("join", "truth"),
    [
        ("kind: weighted_kendall", lambda s, a: stats.weightedtau(s, a).statistic),
        ('kind: weighted_kendall, variant: "y"', lambda s, a: stats.weightedtau(a, s, rank=None).statistic),
        ('kind: weighted_kendall, variant: "rank=None"', lambda s, a: stats.weightedtau(s, a, rank=None).statistic),
        ("kind: pearson", lambda s, a: stats.pearsonr(s, a).statistic),
        ("kind: kendall", lambda s, a: stats.kendalltau(s, a).statistic),
        ("kind: spearman", lambda s, a: stats.spearmanr(s, a).statistic),
        ("kind: regret, variant: top-1", lambda s, a: a.max() - a[s.argmax()]),
    ],
)
def test_correlations_of_every_kind(paper, join, truth):
    frame, accuracy, score = estimators()
    expected = truth(score[:, 1], accuracy[:, 1])
    made = paper(f"{{quantity: correlation, value: gain, {join}}}", [("leep", "y", f"{expected:.4f}")])
    found = only(frame, made)
    assert found.status == "match" and found.ours == pytest.approx(expected)


def test_correlations_that_cannot_be_made_say_why(paper):
    frame, _, _ = estimators()
    join = "{quantity: correlation, value: gain}"
    cells = [("leep", "z", "0.1"), ("logme", "x", "0.1"), ("leep", "x", "")]
    found = {(m.row, m.column): m for m in compare_published(frame, paper(join, cells))}
    assert found["leep", "z"].why == "our study has no target 'z'"
    assert "logme" in found["logme", "x"].why and found["leep", "x"].why == "no number was published"
    frame.loc[frame.method == "leep", "value"] = 1.0
    assert only(frame, paper(join, [("leep", "x", "0.1")])).why == "x is constant"


def runs():
    """Two targets of different difficulty; treatment B was only run on the harder one."""
    rows = [
        {"source": "none", "target": t, "role": "baseline", "baseline": "base", "treatment": "", "value": v}
        for t, v in (("easy", 0.8), ("hard", 0.6))
    ]
    for treatment, targets in (("A", ("easy", "easy")), ("B", ("hard", "hard"))):
        for k, target in enumerate(targets):
            value = {"easy": 0.8, "hard": 0.6}[target] + 0.05 + 0.02 * k
            rows.append({"source": "s", "target": target, "role": "outcome", "baseline": "", "treatment": treatment,
                         "value": value, "layer": str(k)})  # fmt: skip
    return import_outcomes(pd.DataFrame(rows).fillna(""))


def test_a_pooled_difference_is_confounded_and_the_paired_one_is_not(paper):
    join = """{quantity: difference, columns: {A over B: {x: {treatment: A}, y: {treatment: B}},
               A over base: {x: {treatment: A}, y: {baseline: base}}},
               row_filters: {first: {layer: 0}, both: {layer: [0, 1]}}, fixed: [A over base], paired: base}"""
    cells = [(r, c, "0.2") for r in ("first", "both") for c in ("A over B", "A over base")]
    found = {(m.row, m.column): m for m in compare_published(runs(), paper(join, cells))}
    for row in ("first", "both"):
        assert found[row, "A over B"].ours == pytest.approx(0.2) and found[row, "A over B"].status == "match"
        assert found[row, "A over B"].paired == pytest.approx(0.0, abs=1e-9)
    assert found["both", "A over base"].ours == pytest.approx(0.86 - 0.7)
    assert found["both", "A over base"].paired == pytest.approx(0.06)
    assert found["first", "A over base"].paired == pytest.approx(0.05)
    assert found["both", "A over base"].status == "differ"


def test_an_unexplained_column_or_an_empty_filter_is_not_comparable(paper):
    join = "{quantity: difference, columns: {known: {x: {treatment: A}, y: {treatment: C}}}}"
    (found,) = compare_published(runs(), paper(join, [("all", "unknown", "1")]))
    assert "does not say what 'unknown' is" in found.why
    (found,) = compare_published(runs(), paper(join, [("all", "known", "1")]))
    assert found.status == "not comparable" and "treatment='C'" in found.why


def test_differences_of_frames():
    x = pd.DataFrame({"target": ["a", "b"], "value": [1.0, 3.0]})
    y = pd.DataFrame({"target": ["b"], "value": [2.0]})
    base = pd.DataFrame({"target": ["a", "b", "b"], "value": [0.5, 1.0, 3.0]})
    assert pooled_difference(x, y) == 0.0
    assert paired_difference(x, y, base) == pytest.approx((0.5 + 1.0) / 2 - 0.0)
    assert np.isnan(paired_difference(x, y, base[base.target == "b"]))


def test_the_printed_table_puts_what_differs_first(paper, grid_frame):
    rows = grid_frame(tasks="abc", methods=("probe",), seeds=(0,))
    truth = transfer_matrix(rows).values
    cells = [(r, c, f"{truth[i, j] + 0.1 * (i == j):.6f}") for (i, r), (j, c) in itertools.product(
        enumerate("abc"), enumerate("abc"))]  # fmt: skip
    found = compare_published(rows, paper("{quantity: value}", [*cells, ("z", "a", "1")]))
    short, full = published_table(found), published_table(found, every=True)
    assert [r[7].text for r in short.rows] == ["differ"] * 3 + ["not comparable"]
    assert len(full.rows) == 10 and "t: 6 match, 3 differ, 1 not comparable of 10." in full.notes
    assert len(full.records) == 10 and {"published", "ours", "tolerance", "status"} <= set(full.records[0])
    assert "paired" not in full.header


def test_tables_in_the_schema_are_outcomes_too(tmp_path, paper):
    made = paper("{quantity: value}", [("m1", "birds", "71.5"), ("m2", "birds", "")])
    frame = import_published(made.frame.drop(columns=["printed", "file"]).astype({"value": str}).replace("nan", ""),
                             "s", rows="backbone", scale=0.01, fixed={"method": "probe"})  # fmt: skip
    assert list(frame.backbone) == ["m1"] and list(frame.target) == ["birds"]
    assert frame.value.iloc[0] == pytest.approx(0.715) and "unit" not in frame.columns
    opened = open_table(tmp_path / "p" / "t.csv")
    assert list(opened.source) == ["m1"] and set(opened.study) == {"t"}


def test_an_import_file_chooses_rows_and_sets_columns(tmp_path):
    pd.DataFrame({"kind": ["keep", "drop"], "who": ["m1", "m1"], "to": ["x", "x"], "v": [5, 6]}).to_csv(
        tmp_path / "long.csv", index=False
    )
    text = """import: mine
description: words
tables:
  - file: long.csv
    where: {kind: keep}
    columns: {who: source, to: target, kind: ""}
    value: v
    scale: 0.1
    fixed: {method: probe, metric: gain}
families: {m1: one}
analyses: [{kind: matrix}]
published: [p]
"""
    (tmp_path / "mine.yaml").write_text(text)
    made = read_import(tmp_path / "mine.yaml")
    assert made.published == ("p",) and made.study["families"] == {"m1": "one"}
    assert made.study["description"] == "words" and made.study["analyses"] == [{"kind": "matrix"}]
    assert list(made.frame.value) == [0.5] and list(made.frame.metric) == ["gain"]
    (tmp_path / "mine.yaml").write_text(text.replace("kind: keep", "knd: keep"))
    with pytest.raises(HarnessError, match=r"no column 'knd'.*'kind'"):
        read_import(tmp_path / "mine.yaml")


def test_words_that_yaml_takes_for_truth_are_named_as_columns(tmp_path):
    (tmp_path / "t.csv").write_text("source,target,value\na,b,1\n")
    (tmp_path / "m.yaml").write_text("import: m\ntables: [{file: t.csv, columns: {on: target}}]\n")
    with pytest.raises(HarnessError, match="no column 'True'"):
        read_import(tmp_path / "m.yaml")
