"""What a trial is, and the decorator that registers a transfer method.

A method is a recipe: it turns a trial into stages that are described, not run. Its keyword-only arguments are its
parameters; those named `source_...` act on the source stage.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Concatenate, Final, Generic, ParamSpec

from harness.backbones.base import Backbone, Checkpoint, Untrained
from harness.errors import HarnessError, suggest
from harness.graph import Stage
from harness.registry import METHODS
from harness.signatures import Parameter, parameters_of, summary_of
from harness.tasks.base import Task, TaskSet
from harness.training.rules import KEEP_LAST, STANDARD_NUMERICS, CheckpointRule, Numerics

__all__ = [
    "TRIAL_AXES",
    "CheckpointRule",
    "MethodEntry",
    "Numerics",
    "RecipeEntry",
    "Source",
    "Trial",
    "method",
]

Source = Task | TaskSet | Checkpoint | Untrained | None

TRIAL_AXES: Final = ("source", "target", "backbone", "seed", "source_seed")
"""The axes of a trial that a recipe may read."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One cell of the grid, as a recipe sees it.

    seed acts on the target stage, source_seed on the source; a tuple of source seeds means the average of the weights
    trained with each. fit_splits: what the target stage may learn from. eval_splits: where the outcome is measured.
    """

    source: Source
    target: Task
    backbone: Backbone
    seed: int = 0
    source_seed: int | tuple[int, ...] = 0
    numerics: Numerics = STANDARD_NUMERICS
    checkpoint: CheckpointRule = KEEP_LAST
    fit_splits: tuple[str, ...] = ("train",)
    eval_splits: tuple[str, ...] = ("test",)


P = ParamSpec("P")


class RecipeEntry(Generic[P]):
    """A registered recipe: called with a trial and its parameters it gives the terminal stage.

    parameters: by keyword of the function, each with its name in a study file, annotation, default and scope.
    reads: the trial's axes that the recipe depends on; a study crosses no other.
    """

    def __init__(self, name: str, recipe: Callable[Concatenate[Trial, P], Stage], reads: tuple[str, ...]) -> None:
        unknown = [axis for axis in reads if axis not in TRIAL_AXES]
        if unknown:
            raise HarnessError(f"{name!r} reads {unknown[0]!r}, which no trial has{suggest(unknown[0], TRIAL_AXES)}")
        self.name = name
        self.recipe = recipe
        self.reads = reads
        self.parameters: Mapping[str, Parameter] = parameters_of(recipe, keyword_only=True, scoped=True)
        self.summary = summary_of(recipe)
        functools.update_wrapper(self, recipe)

    def __call__(self, trial: Trial, *args: P.args, **kwargs: P.kwargs) -> Stage:
        """Describe the trial's stages; the last one is returned."""
        return self.recipe(trial, *args, **kwargs)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"


class MethodEntry(RecipeEntry[P]):
    """A registered transfer method."""


def method(
    name: str, *, reads: tuple[str, ...] = TRIAL_AXES
) -> Callable[[Callable[Concatenate[Trial, P], Stage]], MethodEntry[P]]:
    """Register a recipe `(trial, *, parameters...) -> Stage` under `name`.

    reads: the axes of the trial that it depends on; all unless told. Cells that differ in others are one trial.
    """

    def register(recipe: Callable[Concatenate[Trial, P], Stage]) -> MethodEntry[P]:
        entry = MethodEntry(name, recipe, reads)
        METHODS.register(name, entry, recipe.__module__)
        return entry

    return register
