"""The decorator that registers an estimator's recipe: a score computed without training on the target.

Most scores are plain functions of arrays and get their recipe from `harness.estimators.scorers.scorer`; this is for
those whose stages are their own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Concatenate, ParamSpec

from harness.graph import Stage
from harness.methods.base import RecipeEntry, Trial
from harness.registry import ESTIMATORS

P = ParamSpec("P")


class EstimatorEntry(RecipeEntry[P]):
    """A registered estimator; its stage returns measurements, like a method's."""


def estimator(
    name: str, *, reads: tuple[str, ...]
) -> Callable[[Callable[Concatenate[Trial, P], Stage]], EstimatorEntry[P]]:
    """Register a recipe `(trial, *, parameters...) -> Stage` under `name`.

    reads: the axes of the trial that the score depends on; a study crosses only these.
    """

    def register(recipe: Callable[Concatenate[Trial, P], Stage]) -> EstimatorEntry[P]:
        entry = EstimatorEntry(name, recipe, reads)
        ESTIMATORS.register(name, entry, recipe.__module__)
        return entry

    return register
