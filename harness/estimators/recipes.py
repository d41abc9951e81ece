"""From a score to the recipe that a study crosses: which stages its inputs come from."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, Literal

from harness.backbones.base import Backbone
from harness.errors import HarnessError
from harness.estimators.base import EstimatorEntry
from harness.estimators.scorers import Scorer
from harness.estimators.source_predictions import predictions_of
from harness.estimators.stages import SEED, estimate, scoring_of
from harness.graph import Stage
from harness.methods.base import TRIAL_AXES, Trial
from harness.methods.features import features_of
from harness.methods.linear_probe import linear_probe
from harness.methods.sources import Training, source_weights, training
from harness.methods.views import as_seen
from harness.registry import ESTIMATORS
from harness.signatures import SOURCE_PREFIX, Parameter
from harness.tasks.base import Split, Task, TaskSet
from harness.tasks.derived import merge
from harness.tasks.inputs import Texts
from harness.training.features import extract_features
from harness.training.views import seen_by

SOURCE_PARAMETERS: Final[Mapping[str, Parameter]] = {
    keyword: known for keyword, known in linear_probe.parameters.items() if known.scope == "source"
}
"""How a source is trained: a linear probe's parameters, so that with equal settings scores and probes share sources."""

ENCODER: Final = "encoder"

REFERENCE: Final = "reference"
"""The task whose examples stand for the source's, where the source is a published network and not a task."""


def register_recipe(scorer: Scorer) -> EstimatorEntry[Any]:
    """Register a score as an estimator of studies, under its own name.

    Its parameters are the score's options but for the seed, `shots` of the target, and the training of the source.
    Raises HarnessError when an option has the name of one of these, and for a score of the model itself.
    """
    if "model" in scorer.needs:
        raise HarnessError(
            f"estimator {scorer.name!r} needs the model, so that it wants a recipe of its own for studies"
        )

    def recipe(trial: Trial, **given: Any) -> Stage:
        return describe(scorer, trial, given)

    return register(scorer.name, recipe, _parameters(scorer), scorer.function)


def register(
    name: str,
    recipe: Callable[..., Stage],
    parameters: Mapping[str, inspect.Parameter],
    documented: Callable[..., Any],
) -> EstimatorEntry[Any]:
    """Register a recipe `(trial, **given)` as an estimator with these keyword parameters.

    documented: the function whose docstring and module are the estimator's.
    """
    first = inspect.Parameter("trial", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Trial)
    signature = inspect.Signature([first, *parameters.values()], return_annotation=Stage)
    annotations = {name: one.annotation for name, one in signature.parameters.items()} | {"return": Stage}
    recipe.__name__ = recipe.__qualname__ = name
    recipe.__module__ = documented.__module__
    recipe.__doc__ = inspect.getdoc(documented)
    recipe.__annotations__ = annotations
    recipe.__signature__ = signature  # type: ignore[attr-defined]  # what inspect.signature looks for first
    entry = EstimatorEntry[Any](name, recipe, TRIAL_AXES)
    ESTIMATORS.register(name, entry, recipe.__module__)
    return entry


def keyword(name: str, annotation: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    """Return a parameter that is given by name; without a default it must be given."""
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)


def common_parameters() -> dict[str, inspect.Parameter]:
    """What every estimator that looks at the target's examples is asked: how many, and how sources are trained."""
    sources = {name: keyword(name, one.annotation, one.default) for name, one in SOURCE_PARAMETERS.items()}
    return {"shots": keyword("shots", int | Literal["all"], "all")} | sources


def _parameters(scorer: Scorer) -> dict[str, inspect.Parameter]:
    own = {name: keyword(name, one.annotation, one.default) for name, one in scorer.options.items() if name != SEED}
    common = common_parameters()
    if "label_embeddings" in scorer.needs:
        common[ENCODER] = keyword(ENCODER, Backbone)
    if "source_features" in scorer.needs:
        common[REFERENCE] = keyword(REFERENCE, Task | None, None)
    taken = sorted(own.keys() & common.keys()) + [name for name in own if name.startswith(SOURCE_PREFIX)]
    if taken:
        raise HarnessError(f"estimator {scorer.name!r} cannot have an option {taken[0]!r}: studies use this name")
    return own | common


def describe(scorer: Scorer, trial: Trial, given: Mapping[str, Any]) -> Stage:
    """Describe the stages of one score of one trial.

    Raises HarnessError when the target or the source is not of the kind that the score reads.
    """
    if trial.target.targets != "class" and not scorer.real_targets:
        raise HarnessError(f"{scorer.name} scores tasks of one class an example, which {trial.target.name} is not")
    trial = as_seen(trial)
    shots = given.get("shots", "all")
    weights = source_weights(trial, source_training(given))
    inputs: dict[str, Stage] = {}
    if {"source_probabilities", "source_logits"} & set(scorer.needs):
        inputs["predictions"] = predictions_of(trial, weights, "train", scorer.name)
    if "features" in scorer.needs or not inputs:
        inputs["features"] = features_of(trial, weights, "train")
    if "source_features" in scorer.needs:
        inputs["source_features"] = _of_source(scorer, trial, weights, given.get(REFERENCE))
    if "label_embeddings" in scorer.needs:
        inputs["label_features"] = label_features(trial.target, given[ENCODER])
    options = {name: value for name, value in given.items() if name in scorer.options}
    # Without anything drawn the score is the same for every seed: one stage.
    draws = shots != "all" or SEED in scorer.options
    return estimate.bind(
        scoring=scoring_of(scorer, options),
        task=trial.target,
        shots=shots,
        seed=trial.seed if draws else 0,
        **inputs,
    )


def source_training(given: Mapping[str, Any]) -> Training:
    """Gather how sources are trained from the parameters that an estimator was given."""
    values = {known.name: given.get(keyword, known.default) for keyword, known in SOURCE_PARAMETERS.items()}
    return training(**values)


def _of_source(scorer: Scorer, trial: Trial, weights: Stage | None, reference: Task | None) -> Stage:
    """Features of the source's own examples: of its training split with labels, of its validation split without."""
    source = trial.source if reference is None else seen_by(reference, trial.backbone)
    if not isinstance(source, (Task, TaskSet)):
        raise HarnessError(
            f"{scorer.name} needs a source that is a task, whose examples it reads, not {source or 'none'}: "
            f"name another task as {REFERENCE}"
        )
    task = source if isinstance(source, Task) else merge(source)
    return features_of(replace(trial, target=task), weights, "train" if "source_labels" in scorer.needs else "val")


def label_features(task: Task, encoder: Backbone) -> Stage:
    """Describe the features [C, D2] that a pre-trained text encoder gives the names of a task's classes."""
    names = Task(
        name=f"class names of {task.name}",
        n_classes=task.n_classes,
        class_names=task.class_names,
        input_shape=(),
        sizes={"train": task.n_classes},
        data={"class_names": list(task.class_names)},
        load=functools.partial(load_names, task.class_names),
        code=(__name__,),
    )
    return extract_features.bind(task=seen_by(names, encoder), split="train", backbone=encoder)


def load_names(names: tuple[str, ...], split: str) -> Split:
    """Load the names of classes as texts, one an example."""
    import torch

    return Split(Texts(names), torch.arange(len(names)))
