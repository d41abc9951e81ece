"""Scores of ensembles in studies: a set of tasks as source stands for one network of each, as in the method `ensemble`.

MS-LEEP, E-LEEP, IoU-EEP and SoftIoU-EEP read the members' predictions; OSBORN reads in addition their features of the
target's and of their own source's examples, and standardises its terms over the pool that ensembles are drawn from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from harness.errors import HarnessError
from harness.estimators.base import EstimatorEntry
from harness.estimators.ensemble_stages import cohesion_terms, estimate_ensemble, score_ensemble, source_terms_of
from harness.estimators.ensembles import ENSEMBLE_SCORES
from harness.estimators.osborn import Given
from harness.estimators.recipes import common_parameters, keyword, register, source_training
from harness.estimators.source_predictions import predictions_of
from harness.graph import Stage
from harness.methods.base import Trial
from harness.methods.ensemble import member_trials
from harness.methods.features import features_of
from harness.methods.sources import source_weights
from harness.methods.views import as_seen
from harness.tasks.base import Task, TaskSet
from harness.training.features import extract_features

OWN: Final = {
    "most": keyword("most", int, 1000),
    "given": keyword("given", Given, "target"),
    "pool": keyword("pool", TaskSet),
}
"""OSBORN's own parameters: examples a side that are transported, direction of the task term, and the pool."""


def register_ensemble(name: str) -> EstimatorEntry[Any]:
    """Register one of the scores that are made of predictions alone."""

    def recipe(trial: Trial, **given: Any) -> Stage:
        _of_classes(name, trial)
        trial = as_seen(trial)
        shots = given.get("shots", "all")
        return estimate_ensemble.bind(
            name=name,
            task=trial.target,
            members=tuple(_predictions(own, given, name) for own in member_trials(trial)),
            shots=shots,
            seed=trial.seed if shots != "all" else 0,
        )

    return register(name, recipe, common_parameters(), ENSEMBLE_SCORES[name])


def osborn_recipe(trial: Trial, **given: Any) -> Stage:
    """OSBORN's score of the ensemble of one network for each task of the source; and its three terms, by themselves.

    pool: the tasks whose networks ensembles are drawn from, over which the terms are standardised; a network that was
    trained on the target's own data leaves it.  most: examples a side that are transported.  given: what the task term
    is conditioned on.
    """
    _of_classes("osborn", trial)
    trial = as_seen(trial)
    members = [own.source for own in member_trials(trial)]
    drawn_from: TaskSet = given["pool"]
    others = tuple(task for task in drawn_from.tasks if not _same_data(task, trial.target))
    networks = member_trials(as_seen(replace(trial, source=TaskSet(others))))
    places = [own.source for own in networks]
    missing = [task for task in members if task not in places]
    if missing:
        raise HarnessError(f"osborn: {missing[0]} is not in the pool that its terms are standardised over")
    shots = given.get("shots", "all")
    return score_ensemble.bind(
        task=trial.target,
        members=tuple(places.index(task) for task in members),
        terms=tuple(_terms(own, given) for own in networks),
        cohesion=cohesion_terms.bind(
            task=trial.target,
            predictions=tuple(_predictions(own, given, "osborn") for own in networks),
            shots=shots,
            seed=trial.seed if shots != "all" else 0,
        ),
    )


def _same_data(task: Task, target: Task) -> bool:
    """Whether two tasks are one, or parts of one that differ in the number of examples only."""
    return task.name == target.name or task.attributes.get("of", task.name) == target.attributes.get("of", target.name)


def _predictions(trial: Trial, given: Mapping[str, Any], name: str) -> Stage:
    return predictions_of(trial, source_weights(trial, source_training(given)), "train", name)


def _terms(trial: Trial, given: Mapping[str, Any]) -> Stage:
    """Describe the domain and the task term of one network of the pool."""
    weights = source_weights(trial, source_training(given))
    assert isinstance(trial.source, Task)
    of_source = extract_features.bind(
        task=trial.source, split="train", weights=weights, backbone=trial.backbone, numerics=trial.numerics
    )
    return source_terms_of.bind(
        task=trial.target,
        features=features_of(trial, weights, "train"),
        source_features=of_source,
        most=given.get("most", OWN["most"].default),
        given=given.get("given", OWN["given"].default),
        shots=given.get("shots", "all"),
        seed=trial.seed,
    )


def _of_classes(name: str, trial: Trial) -> None:
    if trial.target.targets != "class":
        raise HarnessError(f"{name} scores tasks of one class an example, which {trial.target.name} is not")


for _name in ENSEMBLE_SCORES:
    register_ensemble(_name)
register("osborn", osborn_recipe, common_parameters() | OWN, osborn_recipe)
