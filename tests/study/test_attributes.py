"""What a study's tasks say about themselves, where a run records it, and how a report gets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import harness
from harness.api import recorded_study
from harness.study import load_study, task_attributes

ROOT = Path(__file__).resolve().parents[2]
STUDY = """\
study: tiny
sources: [digits_flip, {tasks: [digits_noise, digits_upright], as: all_but_target, name: rest}, untrained, none]
targets: [digits_upright, "half(of=digits_upright, split=3, side=a)"]
backbones: [mlp]
methods: [noop]
baselines: {other: {source: digits_invert}}
analyses: [{kind: matrix, name: all, same: {family: both}}]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(STUDY, encoding="utf-8")
    return path


def test_every_task_in_any_role_is_there(file: Path) -> None:
    found = task_attributes(load_study(file))
    tasks, sets = found["task_attributes"], found["task_sets"]
    half = "half(of=digits_upright, split=3, side=a)"
    assert set(tasks) == {"digits_flip", "digits_noise", "digits_upright", "digits_invert", half}
    assert tasks["digits_flip"]["family"] == "digits" and tasks["digits_flip"]["domain"] == "flip"
    assert (tasks[half]["split"], tasks[half]["side"], tasks[half]["of"]) == (3, "a", "digits_upright")
    assert sets == {"rest": {"tasks": ["digits_noise", "digits_upright"], "but_target": True}}
    assert json.loads(json.dumps(found)) == found


def test_names_are_the_labels_of_columns(file: Path, tmp_path: Path) -> None:
    study = load_study(file)
    planned = harness.plan(study, tmp_path / "results").trial_columns()
    found = task_attributes(study)
    known = {*found["task_attributes"], *found["task_sets"], "untrained", "none", None}
    assert {*planned["source"], *planned["target"]} <= known


@pytest.mark.parametrize("name", ["vision20", "text10"])
def test_the_studies_that_ask_for_families_have_them(name: str) -> None:
    study = load_study(ROOT / "studies" / name / "linear_probe.yaml")
    tasks = task_attributes(study)["task_attributes"]
    asked = [analysis.same for analysis in study.analyses if analysis.same]
    assert asked and all("family" in same for same in asked)
    families = [attributes.get("family") for attributes in tasks.values()]
    assert None not in families and len(set(families)) < len(families)


@pytest.mark.slow
def test_a_run_records_them_and_a_report_by_name_or_file_uses_them(file: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    harness.run(file, results, in_process=True, progress="none")
    recorded = recorded_study("tiny", results)
    assert recorded["study"] == "tiny"
    assert {k: recorded[k] for k in ("task_attributes", "task_sets")} == task_attributes(load_study(file))
    for given in ("tiny", file):
        paths = harness.report(given, results)
        assert paths.problems == ()
        assert any(table.name == "all-without-cells-of-one-family.csv" for table in paths.tables)
    page = paths.html.read_text(encoding="utf-8")
    assert "Shared examples" in page and "Where the time went" in page
