"""Every parameter of every built-in recipe reaches the one stage, and the one argument, that it is meant for."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch

from harness.backbones.base import Untrained
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
from harness.tasks.base import Split, Task, TaskSet
from harness.tasks.derived import merge
from harness.training.data import sample
from harness.training.rules import CheckpointRule, Numerics
from harness.training.settings import Budget, Optimiser
from tests.training.places import Place, run_stages
from tests.training.toys import cloud

NET = Mlp(hidden=6)
RECIPES: tuple[RecipeEntry[Any], ...] = (fine_tune, from_scratch, linear_probe, probe_path, knn, source_accuracy)

TRAINING: Mapping[str, Any] = {
    "shots": 3,
    "steps": 17,
    "epochs": 4,
    "batch_size": 9,
    "optimiser": "adam",
    "lr": 0.321,
    "momentum": 0.45,
    "weight_decay": 0.067,
    "schedule": "constant",
    "clip": 0.89,
}
OWN: Mapping[str, Any] = {"head": "kept", "l2": 0.5, "k": 2, "strengths": (0.1, 0.2), "select_on": "test"}
AUGMENT = "augment"
"""Tested in test_augment.py: only pictures can be changed."""
LENGTH_AND_RATES = ("flops", "milestones", "decay", "bias_lr", "decay_biases", "evaluate_every")
"""Tested in test_layer_transfer.py."""
PREDICTIONS = ("keep_predictions", "metrics")
"""Tested in tests/training/test_predictions.py."""
NUMERICS = Numerics(precision="float64")
RULE = CheckpointRule(keep="best", every=3)


def trial(**more: Any) -> Trial:
    given = {"source": cloud("a"), "target": cloud("x"), "backbone": NET, "seed": 5, "source_seed": 8, **more}
    return Trial(**given)


def reached(terminal: Stage) -> dict[str, Stage]:
    """All stages behind a terminal one, by key."""
    found: dict[str, Stage] = {}
    waiting: list[Any] = [terminal]
    while waiting:
        stage = waiting.pop()
        found[stage.key] = stage
        waiting.extend(stage.inputs)
    return found


def of_kind(terminal: Stage, *kinds: str) -> list[Stage]:
    return [stage for stage in reached(terminal).values() if stage.kind.name in kinds]


def trained_as(values: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a training stage that these parameters ask for."""
    names = ("lr", "momentum", "weight_decay", "schedule", "clip")
    return {
        "budget": Budget(values["steps"], values["epochs"], values["batch_size"]),
        "optimiser": Optimiser(values["optimiser"], *(values[name] for name in names)),
        "shots": values["shots"],
    }


def defaults(recipe: RecipeEntry[Any], prefix: str) -> dict[str, Any]:
    return {name: recipe.parameters[prefix + name].default for name in TRAINING}


@pytest.mark.parametrize("changed", [*TRAINING, None])
@pytest.mark.parametrize("recipe", [recipe for recipe in RECIPES if "source_lr" in recipe.parameters], ids=repr)
def test_source_parameters_reach_the_source_training_and_nothing_else(
    recipe: RecipeEntry[Any], changed: str | None
) -> None:
    given = {} if changed is None else {changed: TRAINING[changed]}
    described = recipe(trial(), **{f"source_{name}": value for name, value in given.items()})
    (source,) = of_kind(described, "train")
    expected = trained_as({**defaults(recipe, "source_"), **given})
    assert {name: source.arguments[name] for name in expected} == expected
    assert (source.arguments["task"], source.arguments["seed"]) == (cloud("a"), 8)
    plain = recipe(trial())
    for one, other in zip(of_kind(described, "adapt", "evaluate"), of_kind(plain, "adapt", "evaluate"), strict=True):
        own = {name: value for name, value in one.arguments.items() if not isinstance(value, Stage)}
        assert own == {name: other.arguments[name] for name in own}
    assert (described.key == plain.key) is (changed is None)


@pytest.mark.parametrize("changed", [*TRAINING, None])
@pytest.mark.parametrize(("recipe", "kind"), [(fine_tune, "adapt"), (from_scratch, "train")], ids=["tune", "scratch"])
def test_target_parameters_reach_the_target_training(recipe: RecipeEntry[Any], kind: str, changed: str | None) -> None:
    given = {} if changed is None else {changed: TRAINING[changed]}
    described = recipe(trial(), **given)
    (target,) = of_kind(described, kind)
    expected = trained_as({**defaults(recipe, ""), **given})
    assert {name: target.arguments[name] for name in expected} == expected
    assert (target.arguments["task"], target.arguments["seed"]) == (cloud("x"), 5)
    if recipe is fine_tune:
        (source,) = of_kind(described, "train")
        (same,) = of_kind(recipe(trial()), "train")
        assert source.key == same.key, "the source is not trained again"


@pytest.mark.parametrize("recipe", RECIPES, ids=repr)
def test_rules_and_numerics_reach_every_stage_that_takes_them(recipe: RecipeEntry[Any]) -> None:
    described = recipe(trial(numerics=NUMERICS, checkpoint=RULE))
    for stage in reached(described).values():
        if "numerics" in stage.arguments:
            assert stage.arguments["numerics"] == NUMERICS, stage.kind.name
        if "rule" in stage.arguments:
            assert stage.arguments["rule"] == RULE, stage.kind.name
        if "backbone" in stage.arguments and stage.arguments["backbone"] is not None:
            assert stage.arguments["backbone"] == NET
    trainings = of_kind(described, "train", "adapt")
    assert trainings and all({"numerics", "rule"} <= set(stage.arguments) for stage in trainings)


@pytest.mark.parametrize(
    ("recipe", "kind", "name"),
    [
        (fine_tune, "adapt", "head"),
        (linear_probe, "fit_probe", "l2"),
        (linear_probe, "fit_probe", "shots"),
        (probe_path, "fit_probe_path", "strengths"),
        (probe_path, "fit_probe_path", "shots"),
        (knn, "knn_score", "k"),
        (knn, "knn_score", "shots"),
    ],
    ids=str,
)
def test_a_recipes_own_parameters_reach_its_own_stage(recipe: RecipeEntry[Any], kind: str, name: str) -> None:
    value = {**TRAINING, **OWN}[name]
    (stage,) = of_kind(recipe(trial(), **{name: value}), kind)
    assert stage.arguments[name] == value
    (plain,) = of_kind(recipe(trial()), kind)
    assert plain.arguments[name] == recipe.parameters[name].default != value
    assert plain.arguments["seed" if "seed" in plain.arguments else "task"] in (5, cloud("x"))


def test_every_parameter_is_tested_above() -> None:
    known = {name.removeprefix("source_") for recipe in RECIPES for name in recipe.parameters}
    assert known == {*TRAINING, *OWN, AUGMENT, *LENGTH_AND_RATES, *PREDICTIONS}


# --- nothing is learnt from what is measured --------------------------------------------------------------------------

FITTING = ("train", "adapt", "fit_probe", "fit_probe_path", "knn_score")


def learnt_from(stage: Stage) -> set[tuple[str, str]]:
    """(task, split) pairs whose labels a fitting stage reads."""
    task = stage.arguments["task"].name
    if "splits" in stage.arguments:
        return {(task, split) for split in stage.arguments["splits"]}
    features = stage.arguments["features"]
    features = features if isinstance(features, tuple) else (features,)
    return {(one.arguments["task"].name, one.arguments["split"]) for one in features}


@pytest.mark.parametrize("source", [cloud("a"), TaskSet((cloud("a"), cloud("b"))), Untrained(), None], ids=str)
@pytest.mark.parametrize("recipe", RECIPES, ids=repr)
@pytest.mark.parametrize(
    ("fit", "evaluated"), [(("train",), ("test",)), (("train",), ("val",)), (("train", "val"), ("test",))]
)
def test_no_recipe_learns_from_a_split_that_it_is_measured_on(
    recipe: RecipeEntry[Any], source: Any, fit: tuple[str, ...], evaluated: tuple[str, ...]
) -> None:
    """A candidate of a search is measured on validation and never reads test; a refit never measures what it read."""
    if recipe is source_accuracy and not isinstance(source, (Task, TaskSet)):
        with pytest.raises(HarnessError):
            recipe(trial(source=source))
        return
    described = recipe(trial(source=source, fit_splits=fit, eval_splits=evaluated))
    read = set().union(*(learnt_from(stage) for stage in of_kind(described, *FITTING)))
    target = {split for task, split in read if task == "x"}
    assert target <= set(fit) and not target & set(evaluated)
    assert {split for task, split in read if task != "x"} <= {"train"}, "of a source only its training split"
    if recipe in (fine_tune, from_scratch, linear_probe):
        measured = described.arguments.get("splits") or tuple(
            one.arguments["split"] for one in described.arguments["features"]
        )
        assert measured == evaluated
        assert target == set(fit)
    splits = {
        split
        for stage in reached(described).values()
        for split in (stage.arguments.get("split"), *(stage.arguments.get("splits") or ()))
    }
    if evaluated == ("val",) and recipe is not source_accuracy:
        assert "test" not in splits, "a candidate's test score is not even computed"


@pytest.mark.parametrize(("shots", "seed"), [(1, 0), (3, 0), (3, 4)])
def test_all_methods_and_sources_learn_from_the_same_examples(shots: int, seed: int) -> None:
    """Draw positions instead of data: the target's inputs are numbered."""
    numbered = replace(cloud("x", width=1), load=functools.partial(load_numbered, "x"), data={"numbered": True})
    chosen = set()
    for source, recipe in itertools.product(
        (cloud("a", width=1), cloud("b", width=1), Untrained(), None), (fine_tune, linear_probe, knn, from_scratch)
    ):
        described = recipe(trial(source=source, target=numbered, seed=seed), shots=shots)
        for stage in of_kind(described, "adapt", "train", "fit_probe", "knn_score"):
            if stage.arguments["task"] != numbered:
                continue
            given = (stage.arguments["shots"], stage.arguments["seed"])
            assert given == (shots, seed)
            drawn = sample(numbered, ("train",), *given, Place())
            chosen.add(tuple(drawn.inputs.flatten().int().tolist()))
    assert len(chosen) == 1
    (places,) = chosen
    assert len(set(places)) == 3 * shots
    labels = numbered.split("train").labels
    assert labels[list(places)].bincount().tolist() == [shots] * 3


def load_numbered(name: str, split: str) -> Split:
    whole = cloud(name, width=1).split(split)
    return Split(torch.arange(float(len(whole))).unsqueeze(1), whole.labels)


# --- seeds and sources ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", [fine_tune, linear_probe, probe_path, knn], ids=repr)
def test_each_seed_moves_its_own_stages_only(recipe: RecipeEntry[Any]) -> None:
    base, target, source = (recipe(trial(**more)) for more in ({}, {"seed": 6}, {"source_seed": 9}))
    keys = [{stage.key for stage in of_kind(one, "train", "extract_features")} for one in (base, target, source)]
    assert keys[0] == keys[1], "the target's seed trains no source and extracts no features again"
    assert keys[0].isdisjoint(keys[2])
    assert len({base.key, target.key, source.key}) == 3


@pytest.mark.parametrize("recipe", [fine_tune, linear_probe, probe_path, knn, source_accuracy], ids=repr)
@pytest.mark.parametrize("source", [cloud("a"), TaskSet((cloud("b"), cloud("a")))], ids=str)
def test_averaged_seeds_are_the_single_ones_in_their_order(recipe: RecipeEntry[Any], source: Any) -> None:
    (average,) = of_kind(recipe(trial(source=source, source_seed=(4, 2, 9))), "average_weights")
    singles = [of_kind(recipe(trial(source=source, source_seed=seed)), "train")[0] for seed in (4, 2, 9)]
    assert [one.key for one in average.inputs] == [one.key for one in singles]
    task = source if isinstance(source, Task) else merge(source)
    assert {one.arguments["task"] for one in average.inputs} == {task}  # type: ignore[union-attr]  # stages


def test_an_untrained_source_is_the_same_body_for_every_number_of_classes() -> None:
    nets = []
    for classes in (2, 3):
        described = fine_tune(trial(source=Untrained(), target=cloud(f"x{classes}", classes=classes)))
        (begun,) = of_kind(described, "initialise")
        nets.append(run_stages([begun])[begun.key].tensors)
    body = [name for name in nets[0] if not name.startswith("head.")]
    assert body and all(torch.equal(nets[0][name], nets[1][name]) for name in body)
