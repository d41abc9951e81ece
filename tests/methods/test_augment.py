"""How pictures are changed: from the study's words to the one training that they are meant for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import harness
from harness.backbones.small import Mlp
from harness.errors import HarnessError
from harness.estimators.knn import knn
from harness.estimators.source_accuracy import source_accuracy
from harness.graph import Stage
from harness.methods.base import RecipeEntry, Trial
from harness.methods.fine_tune import fine_tune
from harness.methods.from_scratch import from_scratch
from harness.methods.linear_probe import linear_probe
from harness.methods.probe_path import probe_path
from harness.registry import TASKS
from harness.store import Store
from tests.training.toys import cloud

NAMES = ("random_crop", "horizontal_flip")
OF_SOURCES: tuple[RecipeEntry[Any], ...] = (fine_tune, linear_probe, probe_path, knn, source_accuracy)


def trial(**more: Any) -> Trial:
    given = {"source": TASKS.get("digits_flip")(), "target": TASKS.get("digits_upright")(), "backbone": Mlp(hidden=6)}
    return Trial(**{**given, **more})


def trainings(terminal: Stage) -> dict[str, tuple[str, ...]]:
    """What each training behind a stage changes its pictures by: {kind: names}."""
    found, waiting = {}, [terminal]
    while waiting:
        stage = waiting.pop()
        if "augment" in stage.arguments:
            found[stage.kind.name] = stage.arguments["augment"]
        waiting.extend(stage.inputs)  # type: ignore[arg-type]  # only stages here
    return found


@pytest.mark.parametrize("recipe", OF_SOURCES, ids=repr)
def test_the_sources_training_is_one_for_all_methods(recipe: RecipeEntry[Any]) -> None:
    described = recipe(trial(), source_augment=NAMES)
    assert trainings(described)["train"] == NAMES
    assert trainings(described).get("adapt", ()) == ()
    keys = []
    for one in (recipe, fine_tune):
        waiting = [one(trial(), source_augment=NAMES)]
        while waiting:
            stage = waiting.pop()
            if stage.kind.name == "train":
                keys.append(stage.key)
            waiting.extend(stage.inputs)
    assert len(set(keys)) == 1
    assert recipe(trial(), source_augment=()).key == recipe(trial()).key != described.key


def test_the_targets_training_is_changed_by_the_targets_words() -> None:
    assert trainings(fine_tune(trial(), augment=NAMES)) == {"adapt": NAMES, "train": ()}
    assert trainings(from_scratch(trial(), augment=NAMES)) == {"train": NAMES}
    alone = fine_tune(trial(source=None), augment=NAMES)
    assert alone.key == from_scratch(trial(), augment=NAMES).key, "the same baseline"


def test_what_has_no_pictures_is_refused_when_planning() -> None:
    points = {"source": cloud("a"), "target": cloud("x")}
    for recipe, given in (
        (fine_tune, {"augment": NAMES}),
        (fine_tune, {"source_augment": NAMES}),
        (from_scratch, {"augment": NAMES}),
        (linear_probe, {"source_augment": NAMES}),
    ):
        with pytest.raises(HarnessError, match=r"augment changes pictures; [ax] has inputs of shape \(5,\)"):
            recipe(trial(**points), **given)
    with pytest.raises(HarnessError, match="names a change twice"):
        from_scratch(trial(), augment=("brightness", "brightness"))


STUDY = """\
study: changed
sources: [digits_flip]
targets: [digits_upright]
backbones: [{backbone: mlp, hidden: 8}]
methods: [fine_tune]
on_untrained_source: run
params: {steps: 6, shots: 3, source: {steps: 6, augment: [brightness]}}
axes:
  augment: [[], [random_crop, horizontal_flip]]
"""


def test_a_study_says_it_and_every_training_row_says_how_long_it_waited(tmp_path: Path) -> None:
    path = tmp_path / "changed.yaml"
    path.write_text(STUDY, encoding="utf-8")
    summary = harness.run(path, tmp_path / "results", in_process=True, progress="none")
    assert (summary.done, summary.failed) == (2, 0)
    records = Store.open(tmp_path / "results").records()
    waits = {kind: [] for kind in records.column("kind")}
    for kind, wait in zip(records.column("kind"), records.column("data_wait"), strict=True):
        waits[kind].append(wait)
    assert len(waits["train"]) == 1 and len(waits["adapt"]) == 2
    assert all(0 <= wait <= 1 for kind in ("train", "adapt") for wait in waits[kind])
    assert waits["evaluate"] == [None, None], "what trains nothing waits for nothing"
    again = harness.run(path, tmp_path / "results", in_process=True, progress="none")
    assert again.stages_run == 0


@pytest.mark.parametrize("written", ["[rotation]", "flip", "[brightness, 3]"])
def test_an_unknown_change_is_one_sentence(tmp_path: Path, written: str) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(STUDY.replace("[brightness]", written), encoding="utf-8")
    with pytest.raises(HarnessError, match="augment"):
        harness.load_study(path)
