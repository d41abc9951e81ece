"""Sources that are groups of a file: each target's own group, random groups beside them, and what is refused."""

from __future__ import annotations

import pytest
import yaml

from harness.study import expand
from harness.study.attributes import task_attributes
from harness.task_groups import groups_digest, random_groups

GROUPS = [["ape", "bee"], ["cod", "dill"]]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "groups.yaml"
    path.write_text(yaml.safe_dump({"groups": GROUPS, "digest": groups_digest(GROUPS)}))
    return path


def trained_on(study):
    """(source, target) -> names of the tasks behind it."""
    found = {}
    for block in expand(study).blocks:
        sources, targets = (next(a for a in block.axes if a.name == name) for name in ("source", "target"))
        for source, target, *_ in block.rows.tolist():
            value = sources.values[source]
            names = tuple(task.name for task in value.tasks)
            found[sources.labels[source], targets.labels[target]] = names
    return found


def test_a_target_is_given_its_own_group(make, file):
    study = make(sources="[{groups: groups.yaml}]", targets="[ape, bee, dill]")
    assert trained_on(study) == {
        ("groups", "ape"): ("ape", "bee"), ("groups", "bee"): ("ape", "bee"), ("groups", "dill"): ("cod", "dill"),
    }  # fmt: skip


def test_random_groups_are_a_source_for_each_draw(make, file):
    study = make(
        sources="[{groups: groups.yaml, name: mine}, {groups: groups.yaml, name: any, random: {draws: 2, seed: 3}}]",
        targets="[ape, bee, cod, dill]",
    )
    found = trained_on(study)
    assert {source for source, _ in found} == {"mine", "any 1", "any 2"}
    for draw in range(2):
        dealt = random_groups(tuple(map(tuple, GROUPS)), draw, 3)
        for group in dealt:
            assert all(found[f"any {draw + 1}", task] == group for task in group)


def test_a_target_in_no_group_is_left_out_with_the_reason(make, file):
    (block,) = expand(make(sources="[{groups: groups.yaml}]", targets="[ape, grown(age=3)]")).blocks
    assert len(block) == 1
    assert [(len(one.rows), one.reason) for one in block.excluded] == [(1, "the target is in no group")]


def test_the_study_keeps_the_groups_and_their_digest(make, file):
    study = make(sources="[{groups: groups.yaml}]", targets="[ape]")
    kept = task_attributes(study)["task_sets"]["groups"]
    assert kept["groups"] == GROUPS and kept["digest"] == groups_digest(GROUPS) and not kept["but_target"]


def test_pairs_ask_of_the_group_of_the_target_only(make, file):
    """ape and bee are animals; that cod and dill are of two families must not matter to ape."""
    study = make("pairs: {same: [family]}\n", sources="[{groups: groups.yaml}]", targets="[ape, bee, cod, dill]")
    attributes = task_attributes(study)["task_attributes"]
    agree = {t for g in GROUPS for t in g if len({attributes[name]["family"] for name in g}) == 1}
    assert {target for _, target in trained_on(study)} == agree


def test_what_is_wrong_with_the_file_is_said_at_its_line(refused, file):
    assert refused(sources="[{groups: other.yaml}]") == [
        "there is no file of groups 'other.yaml': `harness report` of the study that suggests them writes it"
    ]
    file.write_text(yaml.safe_dump({"groups": [["ape", "unknown_task"]]}))
    assert any("unknown_task" in message for message in refused(sources="[{groups: groups.yaml}]"))


def test_groups_are_no_baseline(refused, file):
    text = "baselines: {together: {source: {groups: groups.yaml}}}\n"
    assert refused(text) == ["the baseline 'together' must have one source"]
