"""Loading as a whole: what a study holds, restrictions, problems told together and without echoes."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from harness.study import Problem, StudyError, expand, load_study

PLUGIN = Path(__file__).resolve().parent / "samples" / "sample_plugin.py"


def test_what_a_study_holds(make):
    text = """
description: all of it
baselines: {own: {source: none}, scratch: {method: afresh}}
estimators: [closeness, {estimator: closeness, k: 3, as: near}]
analyses:
  - {kind: matrix, rows: source, cols: target, facet: method, relative_to: own, filter: {seed: [0, 1], target: bee}}
  - {kind: correlation, x: closeness, y: accuracy, per: target, over: [seed]}
execution: {workers: 2, resources: {train: {gpus: 0.5}}, memory_limit: 8GiB, time_limit: 60, retention: {train: cache}}
on_untrained_source: run
on_failure: stop
"""
    study = make(text, seeds="[0, 1]")
    assert (study.name, study.description, study.path.name) == ("example", "all of it", "example.yaml")
    assert study.baselines == ("own", "scratch")
    assert [(recipe.label, recipe.entry.name) for recipe in study.estimators] == [
        ("closeness", "closeness"),
        ("near", "closeness"),
    ]
    assert [analysis.kind for analysis in study.analyses] == ["matrix", "correlation"]
    assert study.analyses[0].relative_to == "own"
    assert study.execution.workers == 2 and study.execution.resources["train"].gpus == 0.5
    assert (study.on_untrained_source, study.on_failure) == ("run", "stop")
    assert study.plugins == ("harness_plugin_sample_plugin",) and study.plugin_files == (str(PLUGIN),)
    assert len(study.grids) == 1 and study.only == ()


def test_defaults(make):
    study = make()
    assert (study.on_untrained_source, study.on_failure, study.description) == ("skip", "continue", "")
    assert study.execution.workers is None and study.analyses == () and study.baselines == ()


def test_the_resolved_study_is_plain_data(make):
    study = make(
        "params: {lr: 1e-3, steps: '${seeds.0}'}\n", seeds="[7]", sets=("params.shots=on_all", "params.shots=5")
    )
    resolved = study.resolved()
    assert json.loads(json.dumps(resolved)) == resolved
    assert resolved["params"] == {"lr": 0.001, "steps": 7, "shots": 5}
    assert "extends" not in resolved


def test_expansion_is_made_once(make):
    study = make()
    assert expand(study) is expand(study)


def test_plugins_and_checkpoints_lie_beside_the_file_that_names_them(tmp_path, monkeypatch):
    folder = tmp_path / "lib"
    folder.mkdir()
    (folder / "beside_plugin.py").write_text(
        "from harness.methods.base import method\n\n"
        "@method('beside')\ndef beside(trial):\n    raise NotImplementedError\n"
    )
    (folder / "w.safetensors").write_bytes(b"")
    (folder / "base.yaml").write_text(
        "study: base\nplugins: [./beside_plugin.py]\nsources: [{checkpoint: w.safetensors}]\nbackbones: [mlp]\n"
    )
    (tmp_path / "top.yaml").write_text(
        "extends: lib/base.yaml\nstudy: top\nmethods: [beside]\ntargets: [digits_upright]\n"
    )
    monkeypatch.chdir(tmp_path)
    study = load_study("top.yaml")
    assert study.plugin_files == (str((folder / "beside_plugin.py").resolve()),)
    assert study.grids[0].sources[0].value.path == str((folder / "w.safetensors").resolve())


# --- --only -----------------------------------------------------------------------------------------------------------

ALL = "axes: {shots: [1, 5], source: {steps: [10, 20]}}\nbaselines: {own: {source: none}, scratch: {method: afresh}}\n"


def test_only_restricts_the_grid(make, cells):
    study = make(ALL, only=("source=ape", "shots=5", "target=bee,cod", "source.steps=20"))
    found = cells(study, "source", "target", "shots", "source_steps")
    assert found == Counter([("move", "ape", "bee", 5, 20), ("move", "ape", "cod", 5, 20)])
    assert cells(study, "target", "shots", role="baseline") == Counter(
        [(method, target, 5) for method in ("move", "afresh") for target in ("bee", "cod")]
    )
    assert study.only == ("source=ape", "shots=5", "target=bee,cod", "source.steps=20")


def test_only_takes_several_values_of_one_axis_together(make, cells):
    study = make(only=("source=ape", "source=bee", "target=cod"))
    assert {row[1] for row in cells(study, "source")} == {"ape", "bee"}


def test_only_of_a_method_keeps_the_baselines_that_stand_for_it(make, cells):
    study = make(ALL, methods="[move, probe]", only=("method=probe",))
    assert {row[0] for row in cells(study, "source")} == {"probe"}
    assert {row[0] for row in cells(study, "target", role="baseline")} == {"probe", "afresh"}


def test_only_knows_references_with_commas(make, cells):
    study = make(
        targets="['grown(age=1, soil=sand)', 'grown(age=2)', bee]", only=("target=grown(age=1, soil=sand),bee",)
    )
    assert {row[1] for row in cells(study, "target")} == {"grown(age=1, soil=sand)", "bee"}


def test_only_does_not_apply_to_an_axis_that_a_method_lacks(make, cells):
    study = make("axes: {lr: [0.1, 0.2]}\n", methods="[move, probe]", only=("lr=0.1",))
    assert {(row[0], row[1]) for row in cells(study, "lr")} == {("move", 0.1), ("probe", None)}


@pytest.mark.parametrize(
    ("only", "sentence"),
    [
        ("sauce=ape", "--only sauce=ape: unknown axis 'sauce' (did you mean 'source'?)"),
        ("source=apes", "--only source=apes: the axis 'source' has no value 'apes' (did you mean 'ape'?)"),
        ("shots=3", "--only shots=3: the axis 'shots' has no value 3 (known: 1, 5)"),
        ("source", "--only source: the grid is restricted by axis=value or axis=value,value"),
        ("source=", "--only source=: the grid is restricted by axis=value or axis=value,value"),
    ],
)
def test_a_restriction_to_what_there_is_not(make, only, sentence):
    with pytest.raises(StudyError) as caught:
        make(ALL, only=(only,))
    assert str(caught.value) == sentence


def test_a_restriction_that_leaves_nothing(make):
    with pytest.raises(StudyError, match="the study has no trial"):
        make("pairs: off_diagonal\n", only=("source=bee", "target=bee"))


# --- problems ---------------------------------------------------------------------------------------------------------


def test_problems_of_set_values_are_named_by_them(make):
    with pytest.raises(StudyError) as caught:
        make(sets=("params.stepz=5", "targets=[bee, codd]", "seeds=[1_0]"))
    assert sorted(map(str, caught.value.problems)) == [
        "--set params.stepz=5: no method or estimator here has a parameter 'stepz' (did you mean 'steps'?)",
        "--set seeds=[1_0]: an entry of seeds must be a whole number, not '1_0' (write 10)",
        "--set targets=[bee, codd]: unknown task 'codd' (did you mean 'cod'?)",
    ]


def test_problems_are_sorted_by_line_and_told_once():
    one, two = Problem("a.yaml", 5, "x"), Problem("a.yaml", 2, "y")
    error = StudyError([one, two, one])
    assert error.problems == [two, one] and str(error) == "a.yaml:2: y\na.yaml:5: x"


def test_what_follows_from_a_problem_is_not_told(refused):
    text = """
pairs: [[bea, cod]]
axes: {shots: []}
exclude:
  - {match: {source: bea}, reason: it is misspelt above}
  - {match: {shots: 3}, reason: the axis is broken}
analyses: [{kind: matrix, facet: shots, filter: {source: bea}}]
"""
    assert refused(text, sources="[ape, bea]") == [
        "unknown task 'bea' (did you mean 'bee'?)",
        "the axis 'shots' is empty",
    ]


def test_a_rule_that_one_of_its_grids_needs_is_no_problem(make, refused):
    text = """
axes: {shots: [1, 5]}
exclude: [{match: {source: dill}, reason: bitter}]
overrides: [{match: {shots: 5}, set: {steps: 3}}]
grids: [{sources: [ape]}, {sources: [dill, bee]}, {methods: [probe]}]
"""
    make(text)
    (sentence,) = refused(text.replace("dill, bee", "bee"))
    assert sentence.startswith("the axis 'source' has no value 'dill'")


def test_an_override_that_only_excluded_cells_match_has_no_effect(refused):
    text = "exclude: [{match: {target: cod}, reason: x}]\noverrides: [{match: {target: cod}, set: {steps: 3}}]\n"
    assert refused(text) == ["this override matches no cell"]


def test_an_override_for_a_method_that_lacks_the_parameter_changes_nothing(refused):
    text = "overrides: [{match: {method: probe}, set: {steps: 3}}]\n"
    assert refused(text, methods="[move, probe]") == ["overriding 'steps' changes nothing"]


def test_a_broken_plugin_is_one_sentence(make, tmp_path):
    (tmp_path / "broken_plugin.py").write_text("import nowhere_to_be_found\n")
    with pytest.raises(StudyError) as caught:
        make(plugins="[./broken_plugin.py]", sources="[none]", targets="[digits_upright]", methods="[linear_probe]")
    (problem,) = caught.value.problems
    assert "broken_plugin.py fails to import: ModuleNotFoundError" in problem.message and problem.line == 2


def test_too_many_cells_are_refused_not_attempted(refused):
    numbers = ", ".join(map(str, range(1, 2000)))
    text = f"axes: {{shots: [{numbers}], steps: [{numbers}], lr: [{numbers}]}}\n"
    assert refused(text) == ["this grid has 31,952,023,996 cells, too many to hold"]
