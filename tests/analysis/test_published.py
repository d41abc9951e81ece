"""Published tables: read strictly, recomputed exactly, averages checked against their own cells."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.import_files import derive, read_import
from analysis.published import COLUMNS, load_paper, papers, read_published
from analysis.published_averages import averages_table, check_averages
from analysis.published_comparison import compare_published, published_table, seed_half_width
from harness.errors import HarnessError

ROOT = Path(__file__).parents[2]
PUBLISHED, IMPORTS = ROOT / "results" / "published", ROOT / "studies" / "published"


def compared(name, paper=None):
    made = read_import(IMPORTS / f"{name}.yaml")
    return compare_published(made.frame, load_paper(PUBLISHED / (paper or name)))


def counts(found, table):
    return Counter(m.status for m in found if m.table == table)


def write(folder, rows, yaml="tables: {t: {quantity: value}}", **more):
    """A paper of one table in ``folder``."""
    base = {"paper": "p", "table": "t", "unit": "%", "tolerance": "0.5", "provenance": "paper"}
    folder.mkdir(exist_ok=True)
    pd.DataFrame([{**base, **more, **r} for r in rows]).to_csv(folder / "t.csv", index=False)
    (folder / "paper.yaml").write_text(yaml)
    return load_paper(folder)


def test_every_paper_reads_and_cites():
    found = papers(PUBLISHED)
    assert {"yosinski2014", "tll", "modelspider", "etran", "sfda", "fusionbench", "atlas"} <= set(found)
    for name in found:
        paper = load_paper(PUBLISHED / name)
        assert len(paper.citation) > 40 and set(paper.frame["paper"]) == {name}
        assert set(paper.joins) == set(paper.frame["table"]) or set(paper.frame["table"]) > set(paper.joins)
        assert list(paper.frame.columns[: len(COLUMNS)]) == list(COLUMNS)


def test_table_1_of_yosinski_and_its_paired_reading():
    found = {(m.row, m.column): m for m in compared("yosinski2014")}
    printed = {"1-7": (1.6, 1.4), "3-7": (1.8, 1.4), "5-7": (2.1, 1.7)}
    paired = {"1-7": (0.97, 0.00), "3-7": (1.17, 0.06), "5-7": (1.16, 0.15)}
    for layers in printed:
        for k, column in enumerate(("over base", "over BnB+")):
            one = found[layers, column]
            assert one.status == "match" and round(one.ours, 1) == printed[layers][k]
            assert one.paired == pytest.approx(paired[layers][k], abs=0.006)
    assert "paired" in published_table(list(found.values()), every=True).header


def test_figure_2_lines():
    from analysis import lines

    frame = read_import(IMPORTS / "yosinski2014.yaml").frame
    drawn = lines(frame, "layers", by="treatment", over=["source", "target"], filter={"group": "random halves"})
    table = drawn.matrix.frame().round(5)
    assert list(table.loc["AnB"]) == pytest.approx([0.62818, 0.62385, 0.61892, 0.59978, 0.57800, 0.58065, 0.54249],
                                                   abs=2e-5)  # fmt: skip
    assert table.loc["BnB+", "7"] == pytest.approx(0.62662, abs=1e-5)
    assert list(drawn.matrix.count[list(drawn.matrix.row_labels).index("AnB")]) == [8] * 7
    assert any("Unbalanced" in w for w in drawn.matrix.warnings)


def test_tll_correlations_that_follow_and_those_that_do_not():
    found = compared("tll")
    assert counts(found, "accuracy") == {"match": 80}
    for table in ("weighted_tau", "pearson"):
        assert counts(found, table) == {"match": 20, "differ": 12}
        off = [m for m in found if m.table == table and m.status == "differ"]
        assert sum(m.column in ("Aircraft", "OxfordIIITPets") for m in off) == 8
        assert all(m.why != "no cause is known" for m in off)


def test_model_spider_ranks_by_accuracy_only():
    found = [m for m in compared("modelspider") if m.table == "weighted_tau" and m.column != "Mean"]
    scored = [m for m in found if m.row != "Moder Spider (Ours)"]
    assert len(scored) == 72 and counts(scored, "weighted_tau") == {"match": 69, "differ": 3}
    assert {m.column for m in scored if m.status == "differ"} == {"Aircraft"}
    unscored = [m for m in found if m.row == "Moder Spider (Ours)"]
    assert (
        {m.status for m in unscored} == {"not comparable"} and "no estimator" in unscored[0].why.lower()
    ) or unscored


def test_etran_from_the_two_parts_of_its_score():
    (one,) = compared("etran")
    assert one.status == "match" and one.ours == pytest.approx(0.8998, abs=5e-5)


def test_sfda_correlations_cannot_be_recomputed():
    found = compared("sfda_supervised", "sfda")
    assert counts(found, "accuracy_supervised") == {"match": 121}
    assert counts(found, "weighted_tau") == {"not comparable": 55}


def test_the_known_wrong_averages_are_found():
    checks = [c for name in papers(PUBLISHED) for c in check_averages(load_paper(PUBLISHED / name).frame)]
    odd = [c for c in checks if c.verdict in ("rounding", "does not follow")]
    known = [c for c in odd if c.note == "known before"]
    assert len(known) == 23 and len(odd) == 29
    assert all(abs(c.published - c.mean) <= 0.0101 for c in odd if c not in known)
    worst = max(odd, key=lambda c: abs(c.published - c.mean))
    assert worst.table == "table8_relative" and worst.published - worst.mean == pytest.approx(3.7225)
    assert sum(c.verdict == "follows" for c in checks) > 250
    table = averages_table(checks)
    assert len(table.rows) == 29 and "283 follows" in table.notes[0]


@pytest.mark.parametrize(
    ("printed", "cells", "verdict"),
    [
        ("50.0", ["49.9", "50.1"], "follows"), ("50.1", ["49.9", "50.1"], "rounding"),
        ("51.0", ["49.9", "50.1"], "does not follow"), ("50", ["49", "52"], "follows"), ("50.0", [], "not checkable"),
    ],
)  # fmt: skip
def test_verdicts_on_averages(tmp_path, printed, cells, verdict):
    rows = [{"row": "r", "column": f"c{k}", "value": v, "average_of": ""} for k, v in enumerate(cells)]
    paper = write(tmp_path / "p", [*rows, {"row": "r", "column": "mean", "value": printed, "average_of": "*"}])
    (check,) = check_averages(paper.frame)
    assert check.verdict == verdict


def test_an_average_of_missing_cells_is_not_checkable(tmp_path):
    rows = [{"row": "r", "column": "a", "value": "1.0", "average_of": ""},
            {"row": "r", "column": "mean", "value": "1.0", "average_of": "a|b"}]  # fmt: skip
    assert check_averages(write(tmp_path / "p", rows).frame)[0].verdict == "not checkable"


CELLS = [("a", "x", "50"), ("a", "y", "61"), ("b", "x", "55"), ("c", "x", "1")]


@pytest.fixture
def ours(frame):
    """Two seeds: 50 +- 1 on (a, x); one seed 60 on (a, y); (b, x) failed."""
    rows = [
        {"source": "a", "target": "x", "seed": 0, "value": 0.49},
        {"source": "a", "target": "x", "seed": 1, "value": 0.51},
        {"source": "a", "target": "y", "value": 0.60},
        {"source": "b", "target": "x", "value": None, "status": "oom", "reason": "out of memory"},
    ]  # fmt: skip
    return frame(rows)


def test_the_tolerance_is_rounding_plus_seed_variance(tmp_path, ours):
    rows = [{"row": r, "column": c, "value": v} for r, c, v in CELLS]
    paper = write(tmp_path / "p", rows, "tables: {t: {quantity: value, scale: 100}}")
    found = {(m.row, m.column): m for m in compare_published(ours, paper)}
    both = found["a", "x"]
    assert both.status == "match" and both.seeds == 2
    assert both.tolerance == pytest.approx(0.5 + 100 * seed_half_width(0.02 / np.sqrt(2), 2))
    assert seed_half_width(0.02 / np.sqrt(2), 2) == pytest.approx(12.706 * 0.01, rel=1e-3)
    assert found["a", "y"].status == "differ" and found["a", "y"].why == "no cause is known"
    assert found["b", "x"].status == "not comparable" and "out of memory" in found["b", "x"].why
    assert found["c", "x"].why == "our study has no source 'c'"
    table = published_table(list(found.values()))
    assert table.rows[0][7].text == "differ" and len(table.rows) == 3
    assert "t: 1 match, 1 differ, 2 not comparable of 4." in table.notes


def test_one_seed_without_published_tolerance_proves_nothing(tmp_path, ours):
    paper = write(tmp_path / "p", [{"row": "a", "column": "y", "value": "99", "tolerance": ""}],
                  "tables: {t: {quantity: value, scale: 100}}")  # fmt: skip
    (one,) = compare_published(ours, paper)
    assert one.status == "not comparable" and "one seed" in one.why


def test_published_averages_are_compared_with_our_mean(tmp_path, ours):
    rows = [{"row": "a", "column": "mean", "value": "55", "average_of": "x|y"},
            {"row": "b", "column": "mean", "value": "55", "average_of": "x|y"}]  # fmt: skip
    rows += [{"row": r, "column": c, "value": "1", "average_of": ""} for r in "ab" for c in "xy"]
    found = {(m.row, m.column): m for m in compare_published(ours, write(
        tmp_path / "p", rows, "tables: {t: {quantity: value, scale: 100}}"))}  # fmt: skip
    assert found["a", "mean"].ours == pytest.approx(55.0) and found["a", "mean"].status == "match"
    assert found["b", "mean"].why == "our mean would lack 2 of 2 cells"


@pytest.mark.parametrize(
    ("rows", "yaml", "words"),
    [
        ([{"row": "a", "column": "x", "value": "1", "provenance": "memory"}], "{}", "provenance 'memory'"),
        ([{"row": "a", "column": "x", "value": "1"}] * 2, "{}", "two values for 'a', 'x'"),
        ([{"row": "a", "column": "x", "value": "one"}], "{}", "'one', which is no number"),
        ([{"row": "a", "column": "x", "value": "1"}], "tables: {t: {quantity: valu}}", "quantity 'valu'.*'value'"),
        ([{"row": "a", "column": "x", "value": "1"}], "tables: {t: {rowz: a}}", "key 'rowz'.*'rows'"),
        ([{"row": "a", "column": "x", "value": "1"}], "- a", "must hold a mapping"),
        ([{"row": "a", "column": "x", "value": "1"}], "a: [", "not valid YAML"),
        ([{"row": "a", "column": "x", "value": "1"}], "tables: {t: 3}", "must be a mapping"),
    ],
)
def test_wrong_tables_are_refused(tmp_path, rows, yaml, words):
    with pytest.raises(HarnessError, match=words):
        write(tmp_path / "p", rows, yaml)


def test_missing_things_are_named(tmp_path, ours):
    with pytest.raises(HarnessError, match="no published tables"):
        load_paper(PUBLISHED / "tl")
    paper = write(tmp_path / "p", [{"row": "a", "column": "x", "value": "1"}], "citation: x")
    with pytest.raises(HarnessError, match="does not say how"):
        compare_published(ours, paper)
    (tmp_path / "bad.csv").write_text("paper,table\n")
    with pytest.raises(HarnessError, match="no column 'row'"):
        read_published(tmp_path / "bad.csv")


def test_import_files_are_read_strictly(tmp_path):
    file = tmp_path / "x.yaml"
    for text, words in (
        ("study: x", "no key 'import'"), ("import: x", "names no tables"),
        ("import: x\ntabels: []", "'tabels'.*'tables'"),
        ("import: x\ntables: [{files: a}]", "'files'.*'file'"), ("import: x\ntables: [{}]", "names no file"),
        ("import: [", "not valid YAML"), ("import: x\ntables: [{file: none.csv}]", "cannot be read"),
    ):  # fmt: skip
        file.write_text(text)
        with pytest.raises(HarnessError, match=words):
            read_import(file)
    with pytest.raises(HarnessError, match="cannot be read"):
        read_import(tmp_path / "none.yaml")


def test_derived_scores():
    frame = read_import(IMPORTS / "etran.yaml").frame
    parts = frame[frame.method.isin(["ETran-lda", "ETran-energy"])]
    made = derive(parts, {"method": "sum", "weights": {"ETran-lda": 1.0}}).set_index("source").value
    lda = parts[parts.method == "ETran-lda"].set_index("source").value
    assert np.allclose(made, ((lda - lda.min()) / (lda.max() - lda.min()))[made.index])
    raw = derive(parts, {"method": "sum", "weights": {"ETran-lda": 2.0}, "normalise": "none"}).set_index("source").value
    assert np.allclose(raw, 2 * lda[raw.index])
    with pytest.raises(HarnessError, match="from 'nope', which has no score"):
        derive(parts, {"method": "s", "weights": {"nope": 1.0}})
