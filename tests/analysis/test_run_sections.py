"""Sections on shared examples and on time, in a report made from a store."""

from __future__ import annotations

import json

import pytest

from analysis import report
from analysis.run_sections import run_sections
from analysis.sections import ReportData
from harness.store import Group, MeasurementRow, StageRecord, Store

STUDY = {
    "study": "demo",
    "analyses": [{"kind": "matrix", "name": "all", "same": {"family": "both"}}],
    "task_attributes": {"a": {"family": "x"}, "b": {"family": "x"}, "c": {}},
}


def make_store(root, seconds=2.0):
    store = Store.open(root, create=True)
    group, trials = Group(), []
    for k, (source, target) in enumerate((s, t) for s in "abc" for t in "abc"):
        one = StageRecord(f"{k:032x}", "evaluate", seconds=seconds, device="cpu")
        group.records.append(one)
        group.measurements.append(MeasurementRow(one.key, one.attempt, target, "test", "accuracy", 0.5 + k / 50, 100))
        trials.append({"trial_id": f"t{k}", "role": "outcome", "source": source, "target": target, "method": "probe",
                       "seed": "0", "params": "{}", "key": one.key, "plan": "p"})  # fmt: skip
    store.write_trials("demo", {name: [t[name] for t in trials] for name in trials[0]})
    store.commit(group)
    return root


@pytest.fixture
def results(tmp_path):
    return make_store(tmp_path / "results")


def page(results, study=STUDY):
    return report(study, results).html.read_text(encoding="utf-8")


def test_unchecked_studies_say_which_command_checks(results):
    text = page(results)
    assert "harness data leakage demo" in text and "Where the time went" in text
    table = (results / "demo" / "tables" / "where-the-time-went.csv").read_text()
    assert "evaluation,evaluate,9,18.0,100.0%" in table


def test_what_was_found_is_told_and_marked(results):
    (results / "demo").mkdir()
    found = [{"source": "c", "target": "a", "split": "test", "exact": 4, "near": 1, "of": 100}]
    (results / "demo" / "leakage.json").write_text(json.dumps(found))
    text = page(results)
    assert "c</th>" in text and "5.00%" in text and "‡" in text and "harness data leakage" not in text
    assert "‡" in (results / "demo" / "tables" / "all.md").read_text()
    assert (results / "demo" / "leakage.json").is_file()
    assert (results / "demo" / "tables" / "all-without-cells-of-one-family-summary.md").is_file()
    (results / "demo" / "leakage.json").write_text(json.dumps([{**found[0], "exact": 0, "near": 0}]))
    assert "1 pairs of source and target compared: no test example is shared." in page(results)


def test_imported_outcomes_have_neither_and_untimed_ones_no_time(results, tmp_path):
    assert "Shared examples" not in page(results, {**STUDY, "imported_from": "x.yaml"})
    untimed = make_store(tmp_path / "untimed", seconds=None)
    text = page(untimed)
    assert "Where the time went" not in text and "Shared examples" in text


def test_sections_are_in_this_order(results):
    import analysis

    frames = analysis.load_outcomes(results, "demo"), analysis.load_trials(results, "demo")
    found = run_sections(ReportData(*frames, STUDY), results)
    assert [part.name for part in found] == ["shared-examples", "where-the-time-went"]
    assert run_sections(ReportData(*frames, {**STUDY, "imported_from": "x"}), results) == []
