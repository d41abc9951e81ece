"""Names and tagged values: sources, task sets, checkpoints, parameters that are no numbers."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import pytest

from harness.backbones.base import Backbone, Checkpoint
from harness.study import expand
from harness.study.names import sample_subsets
from harness.tasks.base import Task, TaskSet


def axis(study, name):
    (block,) = (block for block in expand(study).blocks if block.role == "outcome")
    return next(axis for axis in block.axes if axis.name == name)


def test_each_and_all_of_a_task_set(make):
    found = axis(
        make(sources="[{tasks: [ape, bee], as: each}, {tasks: [ape, bee]}, {tasks: [bee, cod], name: wild}]"), "source"
    )
    assert found.labels == ("ape", "bee", "ape + bee", "wild")
    assert isinstance(found.values[0], Task)
    assert isinstance(found.values[2], TaskSet) and [task.name for task in found.values[3].tasks] == ["bee", "cod"]


def test_all_but_the_target_depends_on_the_target(make, cells):
    study = make(sources="[{tasks: [ape, bee, cod], as: all_but_target}]", targets="[ape, bee, dill]")
    (block,) = expand(study).blocks
    seen = {}
    for source, target, *_ in block.rows.tolist():
        value = block.axes[0].values[source]
        seen[block.axes[1].labels[target]] = [task.name for task in value.tasks]
    assert seen == {"ape": ["bee", "cod"], "bee": ["ape", "cod"], "dill": ["ape", "bee", "cod"]}
    assert cells(study, "source", "target") == Counter(("move", "all_but_target", t) for t in ("ape", "bee", "dill"))


def test_all_but_the_target_of_the_target_alone_is_excluded(make):
    (block,) = expand(make(sources="[{tasks: [ape], as: all_but_target}]", targets="[ape, bee]")).blocks
    assert len(block) == 1
    assert [(len(group.rows), group.reason) for group in block.excluded] == [
        (1, "no task is left in the set once the target is taken out")
    ]


def test_all_but_the_target_is_kept_off_the_diagonal(make, cells):
    study = make(
        "pairs: off_diagonal\n", sources="[{tasks: [ape, bee], as: all_but_target}, ape]", targets="[ape, bee]"
    )
    assert set(cells(study, "source", "target")) == {
        ("move", "all_but_target", "ape"), ("move", "all_but_target", "bee"), ("move", "ape", "bee"),
    }  # fmt: skip


def test_all_subsets_and_a_sample_of_them(make):
    tasks = "[ape, bee, cod, dill]"
    found = axis(make(sources=f"[{{tasks: {tasks}, as: {{subsets: {{sizes: [2, 3]}}}}}}]"), "source")
    every = [
        *itertools.combinations(("ape", "bee", "cod", "dill"), 2),
        *itertools.combinations(("ape", "bee", "cod", "dill"), 3),
    ]
    assert found.labels == tuple(" + ".join(names) for names in every)
    sampled = f"[{{tasks: {tasks}, as: {{subsets: {{sizes: [2], sample: 3, seed: 5}}}}}}]"
    once, again = axis(make(sources=sampled), "source"), axis(make(sources=sampled), "source")
    assert once.labels == again.labels and len(set(once.labels)) == 3 and set(once.labels) < set(found.labels)


@pytest.mark.parametrize(("n", "size", "wanted"), [(6, 3, 20), (6, 3, 5), (40, 20, 50), (5, 1, 2)])
def test_sampled_subsets_are_different_and_of_the_size(n, size, wanted):
    found = sample_subsets(n, size, wanted, seed=1)
    assert len(set(found)) == wanted <= math.comb(n, size)
    assert all(len(set(one)) == size and list(one) == sorted(one) and max(one) < n for one in found)
    assert found == sample_subsets(n, size, wanted, seed=1)


def test_every_subset_is_as_likely():
    counts = Counter(one for seed in range(600) for one in sample_subsets(4, 2, 1, seed))
    assert len(counts) == 6 and min(counts.values()) > 60


def test_checkpoints_from_a_hub_a_file_and_the_store(make, tmp_path):
    (tmp_path / "w.safetensors").write_bytes(b"x")
    key = "0123456789abcdef" * 2
    hub, file = "{checkpoint: hub/model, revision: abc}", "{checkpoint: ./w.safetensors, name: mine}"
    found = axis(make(sources=f"[{hub}, {file}, {{artifact: {{key: '{key}'}}}}]"), "source")
    assert found.labels == ("hub/model", "mine", key)
    assert found.values[0] == Checkpoint(name="hub/model", revision="abc")
    assert found.values[1] == Checkpoint(path=str((tmp_path / "w.safetensors").resolve()))
    assert found.values[2] == Checkpoint(artifact=key)


def test_a_checkpoint_has_no_source_training_to_vary(make, cells):
    text = "axes: {source: {steps: [1, 2]}}\n"
    study = make(
        text,
        sources="[{checkpoint: hub/m, revision: a}, ape]",
        targets="[cod]",
        seeds="{source: [0, 1], target: [2], tie: false}",
    )
    assert cells(study, "source", "seed", "source_seed", "source_steps") == Counter(
        [("move", "hub/m", 2, None, None)] + [("move", "ape", 2, seed, steps) for seed in (0, 1) for steps in (1, 2)]
    )


def test_references_with_parameters(make):
    study = make(targets="['grown(age=1)', 'grown(age=2, of=ape)', 'grown(age=3, of=grown(age=4), soil=\"sand\")']")
    labels = axis(study, "target").labels
    assert labels == ("grown(age=1)", "grown(age=2, of=ape)", "grown(age=3, of=grown(age=4), soil=sand)")


def test_a_reference_is_known_by_its_canonical_name(make, cells):
    text = "exclude: [{match: {target: 'grown( age=1,soil=clay )'}, reason: a}]\npairs: [[ape, 'grown(age=2)']]\n"
    study = make(targets="['grown(age=1, soil=clay)', 'grown(age=2)']", text=text.replace("exclude", "# "))
    assert cells(study, "target") == Counter([("move", "grown(age=2)")])
    study = make(
        targets="['grown(age=1, soil=clay)', 'grown(age=2)']",
        text="exclude: [{match: {target: 'grown(age = 1)'}, reason: a}]\n",
    )
    assert set(cells(study, "target")) == {("move", "grown(age=2)")}


def test_backbones_with_options_and_labels(make):
    found = axis(
        make(backbones="[mlp, {backbone: mlp, hidden: 32}, {backbone: mlp, hidden: 16, as: tiny}]"), "backbone"
    )
    assert found.labels == ("mlp", "mlp(hidden=32)", "tiny")
    assert [value.options["hidden"] for value in found.values][1:] == [32, 16]


def test_typed_axes_and_parameters(make):
    text = """
axes:
  teacher: {type: backbone, values: [mlp, {backbone: mlp, hidden: 16, as: tiny}]}
  helpers: {type: task_set, values: [[ape], [ape, bee]]}
  widths: [[1], [2, 3]]
params: {cold: true, name: on}
"""
    (block,) = expand(make(text, methods="[taught]")).blocks
    axes = {axis.name: axis for axis in block.axes}
    assert axes["teacher"].labels == ("mlp", "tiny") and all(isinstance(v, Backbone) for v in axes["teacher"].values)
    assert axes["helpers"].labels == ("ape", "ape + bee") and all(
        isinstance(v, TaskSet) for v in axes["helpers"].values
    )
    assert axes["widths"].values == ((1,), (2, 3)) and axes["widths"].labels == ("[1]", "[2, 3]")
    assert dict(block.settings[0].params) == {"cold": True, "name": "on"}
    assert len(block) == 4 * 2 * 2 * 2


def test_a_parameter_that_wants_a_backbone_takes_a_name(make):
    (block,) = expand(make("params: {teacher: mlp(hidden=32), helpers: [ape, bee]}\n", methods="[taught]")).blocks
    settings = block.settings[0]
    assert settings.params["teacher"].options["hidden"] == 32 and settings.labels["teacher"] == "mlp(hidden=32)"
    assert settings.labels["helpers"] == "ape + bee"


def test_a_needed_parameter_must_be_given(refused):
    assert refused(methods="[taught]") == ["'taught' needs the parameter 'teacher', under params or axes"]


def test_task_sets_are_matched_by_their_label(make, cells):
    study = make(
        "exclude: [{match: {source: ape + bee}, reason: a}]\n", sources="[{tasks: [ape, bee]}, cod]", targets="[dill]"
    )
    assert cells(study, "source") == Counter([("move", "cod")])
