"""The Python interface: the same as the command line, as functions."""

from __future__ import annotations

from pathlib import Path

import pytest

import analysis
import harness

STUDY = """\
study: tiny
sources: [digits_flip, digits_noise]
targets: [digits_upright]
backbones: [mlp]
methods: [noop]
seeds: [0, 1]
analyses: [{kind: matrix, name: all, rows: source, cols: target}]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study that was run, its file under two names."""
    folder = tmp_path_factory.mktemp("api")
    (folder / "tiny.yaml").write_text(STUDY, encoding="utf-8")
    study = harness.load_study(folder / "tiny.yaml")
    results = folder / "results"
    assert harness.plan(study, results).stages_needed == 4
    assert harness.status(study, results)["pending"] == 4
    summary = harness.run(study, results, in_process=True, progress="none")
    assert (summary.done, summary.failed, summary.stages_run) == (4, 0, 4)
    return folder


def test_a_path_does_as_well_as_a_study(folder: Path) -> None:
    assert harness.plan(folder / "tiny.yaml", folder / "results").stages_needed == 0
    again = harness.run(str(folder / "tiny.yaml"), str(folder / "results"), progress="none")
    assert (again.done, again.stages_run) == (4, 0)


def test_what_was_run_is_known_by_name(folder: Path) -> None:
    results = folder / "results"
    assert harness.status("tiny", results)["done"] == 4
    assert harness.export("tiny", folder / "out.csv", results) == 4
    frame = analysis.load_outcomes(results, "tiny")
    assert sorted(frame["source"].unique()) == ["digits_flip", "digits_noise"]
    view = harness.show(frame["trial_id"].iloc[0], results)
    assert view.state == "done" and view.rows[0].value == frame["value"].iloc[0]


def test_a_study_with_one_source_more_needs_only_its_cells(folder: Path) -> None:
    wider = harness.load_study(
        folder / "tiny.yaml", sets=["sources=[digits_flip, digits_noise, digits_invert]"], only=["seed=0"]
    )
    plan = harness.plan(wider, folder / "results")
    assert (plan.trials, plan.stages_done, plan.stages_needed) == (3, 2, 1)


@pytest.mark.slow
def test_a_report_needs_no_file(folder: Path) -> None:
    from_name = harness.report("tiny", folder / "results")
    assert from_name.html.is_file()


def test_a_name_that_nobody_knows(folder: Path) -> None:
    with pytest.raises(harness.HarnessError, match="did you mean 'tiny'"):
        harness.export("tinny", folder / "out.csv", folder / "results")
    with pytest.raises(harness.HarnessError, match="no results"):
        harness.export("tiny", folder / "out.csv", folder / "nowhere")


def test_the_schema_describes_a_study() -> None:
    import json

    import jsonschema
    import yaml

    from harness.api import schema

    described = json.loads(schema())
    jsonschema.Draft202012Validator.check_schema(described)
    jsonschema.validate(yaml.safe_load(STUDY), described)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**yaml.safe_load(STUDY), "sorces": []}, described)
