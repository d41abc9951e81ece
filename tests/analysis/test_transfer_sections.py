"""Sections on gains, agreement and groups, by the way that a study asks for them; and the file of groups."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.figures import style
from analysis.reporting import report
from analysis.sections import ReportData, section
from analysis.storing import store_outcomes
from harness.task_groups import groups_digest, read_groups
from tests.analysis.blocks import gains_frame, planted

NAMES = [f"t{k}" for k in range(8)]
BLOCKS = (4, 4)


@pytest.fixture
def data(frame, trials_of):
    gains, _ = planted(BLOCKS, 0.1, 0.01, 0)
    parts = []
    for k, method in enumerate(("coop", "vpt")):
        own = np.vstack([gains + planted((8,), 0.0, 0.01, 10 + k)[0], np.full((1, 8), 0.2)])
        parts.append(gains_frame(frame, own, NAMES, method, sets=["all eight"]))
    rows = pd.concat(parts, ignore_index=True)
    study = {"study": "demo", "targets": NAMES, "methods": ["coop", "vpt"], "baselines": {"own": {"source": "none"}}}
    return ReportData(rows, trials_of(rows), study)


def made(data, **analysis):
    found = section(data, analysis)
    with style():
        for drawing in found.drawings:
            assert drawing.make().get_size_inches().min() > 1
    return found


def test_gains_have_a_drawing_and_a_table_for_each_method(data):
    found = made(data, kind="gains", name="help", facet="method", relative_to="own")
    assert found.problem == "" and [d.name for d in found.drawings] == ["help-method-coop", "help-method-vpt"]
    table = found.tables[0][1]
    labels = [row[0].text for row in table.rows]
    assert len(labels) == 18 and labels[8] == "set all eight" and labels[-1] == "all"
    assert table.rows[8][1].text == "+20.0" and table.rows[8][3].text == "8 of 8"
    assert "8 cells of a task with itself left out" in table.notes[0]


def test_gains_compare_a_row_with_others(data):
    found = made(data, kind="gains", name="help", relative_to="own", filter={"method": "coop"}, x="all eight", y="t*")
    (sentence,) = [n for n in found.notes if "minus the mean" in n]
    assert "'all eight' minus the mean of the 8 rows 't*'" in sentence and "0 of these rows are as good" in sentence


def test_agreement_sets_every_two_methods_against_each_other(data):
    found = made(data, kind="agreement", name="agree", facet="method", relative_to="own")
    assert found.problem == "" and [row[0].text for row in found.tables[0][1].rows] == [
        "coop, vpt", "noise ceiling of coop", "noise ceiling of vpt",
    ]  # fmt: skip
    assert made(data, kind="agreement", relative_to="own").problem.endswith("needs 'facet'.")


def test_groups_of_all_methods_and_of_each_are_files(data, tmp_path):
    found = section(data, {"kind": "groups", "name": "groups", "facet": "method", "relative_to": "own"})
    assert found.problem == ""
    assert list(found.files) == [f"groups/groups{s}.yaml" for s in ("", "-method-coop", "-method-vpt")]
    _, block = planted(BLOCKS, 0.1, 0.01, 0)
    wanted = {frozenset(n for n, b in zip(NAMES, block, strict=True) if b == k) for k in (0, 1)}
    for name, text in found.files.items():
        path = tmp_path / name.replace("/", "-")
        path.write_text(text, encoding="utf-8")
        kept = read_groups(path)
        assert {frozenset(group) for group in kept.groups} == wanted
        assert kept.digest == groups_digest([sorted(group) for group in wanted])
        assert kept.digest[:12] in " ".join(found.notes)
    assert any("coop and of vpt: adjusted Rand index 1.00" in note for note in found.notes)


def test_groups_without_facet_and_by_spectral_clustering(data):
    found = made(data, kind="groups", name="groups", filter={"method": "coop"}, relative_to="own", linkage="spectral",
                 groups=2)  # fmt: skip
    assert found.problem == "" and list(found.files) == ["groups/groups.yaml"]
    assert "a given number" in found.notes[-1] and "number_of_groups_by: given" in found.files["groups/groups.yaml"]


def test_a_report_writes_the_file_and_takes_it_away_with_the_analysis(data, tmp_path):
    study = data.study | {"analyses": [{"kind": "groups", "name": "groups", "filter": {"method": "coop"},
                                        "relative_to": "own"}]}  # fmt: skip
    store_outcomes(data.frame, tmp_path, study)
    page = report(study, tmp_path)
    assert page.problems == () and read_groups(page.folder / "groups" / "groups.yaml").groups
    report(study | {"analyses": [{"kind": "table", "over": ["source"]}]}, tmp_path)
    assert not (page.folder / "groups" / "groups.yaml").exists()


@pytest.mark.parametrize(
    ("cell", "value"),
    [("raw", 0.7), ("absolute_gain", 0.2), ("relative_gain", 0.4), ("relative_error_reduction", 0.4)],
)
def test_a_cell_is_what_the_study_says(data, cell, value):
    """The set gains .2 over a baseline of .5: as it is, as a difference, as a share of it and of what it lacks."""
    found = made(data, kind="matrix", name="m", filter={"method": "coop"}, relative_to="own", cell=cell)
    records = found.tables[0][1].records
    assert [float(r["value"]) for r in records if r["source"] == "all eight"] == [pytest.approx(value)] * 8


def test_a_cell_that_is_relative_needs_a_baseline(data):
    found = section(data, {"kind": "matrix", "filter": {"method": "coop"}, "cell": "absolute_gain"})
    assert "needs relative_to" in found.problem
    wrong = section(data, {"kind": "matrix", "filter": {"method": "coop"}, "relative_to": "own", "cell": "gain"})
    assert "A cell cannot be 'gain'" in wrong.problem


def test_a_correlation_can_be_of_gains(data):
    """Raw values of two targets differ by their difficulty, gains do not: pooled over cells only gains are alike."""
    rows = data.frame.copy()
    hard = (rows["target"].isin(NAMES[:4])) & (rows["method"] == "vpt")
    rows.loc[hard, "value"] -= 0.4
    shifted = ReportData(rows, data.trials, data.study)
    both = {"kind": "correlation", "x": "method=coop", "y": "method=vpt"}
    raw, gains = (made(shifted, **both, **more) for more in ({}, {"relative_to": "own"}))
    assert raw.problem == gains.problem == ""

    def pooled(found):
        return next(row for row in found.tables[0][1].rows if row[0].text == "pooled over cells")

    assert float(pooled(gains)[4].text) > float(pooled(raw)[4].text) + 0.2
