"""The Python interface: the same as the command line, as functions."""

from __future__ import annotations

from pathlib import Path

import pytest

import analysis
import harness

ROOT = Path(__file__).resolve().parents[1]
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


def test_names_are_exported_lazily_and_all_of_them_exist() -> None:
    import subprocess
    import sys

    code = "import sys, harness\nprint(sorted(n for n in sys.modules if n.startswith('harness.')))\nprint(dir(harness))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    loaded, names = done.stdout.splitlines()
    assert loaded == "[]"
    for name in harness.__all__:
        assert repr(name) in names and getattr(harness, name) is not None
    with pytest.raises(AttributeError, match="module 'harness' has no attribute 'nothing'"):
        harness.nothing  # noqa: B018  # asking is the point


@pytest.mark.parametrize(("results", "known"), [("results", ["tiny"]), ("nowhere", [])])
def test_which_studies_results_know(folder: Path, results: str, known: list[str]) -> None:
    from harness.api import known_studies

    assert known_studies(folder / results) == known == known_studies(str(folder / results))


def test_a_study_is_named_by_itself_its_file_or_its_name(folder: Path) -> None:
    from harness.api import study_name

    study = harness.load_study(folder / "tiny.yaml")
    given = (study, folder / "tiny.yaml", str(folder / "tiny.yaml"), "tiny")
    assert [study_name(one) for one in given] == ["tiny"] * 4


def test_status_counts_every_state_and_no_candidates(folder: Path) -> None:
    from harness.store import AttemptRow, Group, StageRecord, Store

    results = folder / "by_hand"
    store = Store.open(results, create=True)
    names = ["done", "failed", "skipped", "diverged", "pending", "excluded", "tried"]
    keys = {name: str(number) * 32 for number, name in enumerate(names)}
    store.write_trials(
        "mixed",
        {
            "trial_id": names,
            "role": ["outcome"] * 6 + ["candidate"],
            "key": [None if name == "excluded" else keys[name] for name in names],
            "reason": ["no" if name == "excluded" else None for name in names],
        },
    )
    records = [StageRecord(keys["done"], "e"), StageRecord(keys["tried"], "e")]
    attempts = [
        AttemptRow(keys["failed"], "e", "a1", "timeout", "slow"),
        AttemptRow(keys["skipped"], "e", "a2", "skipped", "source failed"),
    ]
    store.commit(Group([*records, StageRecord(keys["diverged"], "e", status="diverged")], attempts=attempts))
    assert harness.status("mixed", results) == dict.fromkeys(names[:6], 1)


def test_an_excluded_cell_of_a_study_not_run_yet_is_counted(folder: Path, tmp_path: Path) -> None:
    text = STUDY + "exclude: [{match: {source: digits_noise, seed: 1}, reason: never}]\n"
    (tmp_path / "tiny.yaml").write_text(text, encoding="utf-8")
    counts = harness.status(tmp_path / "tiny.yaml", tmp_path / "results")
    assert (counts["pending"], counts["excluded"], sum(counts.values())) == (3, 1, 4)
    assert not (tmp_path / "results").exists(), "asking writes nothing"


def test_a_report_of_outcomes_without_their_text_asks_for_the_file(tmp_path: Path) -> None:
    from harness.store import Store

    Store.open(tmp_path, create=True).write_trials("bare", {"trial_id": ["t"], "key": ["0" * 32]})
    with pytest.raises(harness.HarnessError, match="does not hold the text of study 'bare': give its file"):
        harness.report("bare", tmp_path)


def test_check_and_plan_write_nothing(folder: Path, tmp_path: Path) -> None:
    study = harness.load_study(folder / "tiny.yaml")
    (item,) = harness.check(study, tmp_path / "results")
    assert (item.stage, item.method, item.backbone, item.error) == ("noop_outcome", "noop", "mlp", None)
    assert harness.plan(study, tmp_path / "results").stages_needed == 4
    assert list(tmp_path.iterdir()) == []


def test_run_holds_to_the_lock_that_prepare_wrote(folder: Path, tmp_path: Path) -> None:
    import json

    study = harness.load_study(folder / "tiny.yaml")
    lock = harness.prepare(study, tmp_path)
    assert lock == tmp_path / "tiny" / "study.lock.json"
    content = json.loads(lock.read_text(encoding="utf-8"))
    assert sorted(content["tasks"]) == ["digits_flip", "digits_noise", "digits_upright"]
    del content["tasks"]["digits_noise"]
    lock.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(harness.HarnessError, match="'digits_noise' is not in"):
        harness.run(study, tmp_path, in_process=True, progress="none")
    assert not (tmp_path / "store").exists(), "refused before a store was made"
