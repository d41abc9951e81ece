"""A vision-language model without any prompt: by the names of the classes alone, or by a linear map on its features."""

from __future__ import annotations

from typing import Literal

from harness.graph import Stage
from harness.methods.base import Trial, method
from harness.methods.prompt_recipes import pictures_of, texts_of
from harness.training.probe import evaluate_probe, fit_probe
from harness.training.prompt_settings import PHOTO
from harness.training.prompt_stages import evaluate_zero_shot


@method("zero_shot", reads=("target", "backbone"))
def zero_shot(trial: Trial, *, template: str = PHOTO) -> Stage:
    """Take the class whose name, put into the sentence `template`, lies nearest to the picture; learns nothing."""
    (texts,) = texts_of(trial, (trial.target,), template)
    return evaluate_zero_shot.bind(
        task=trial.target, images=pictures_of(trial, (trial.target,), trial.eval_splits), texts=texts
    )


@method("clip_probe", reads=("target", "backbone", "seed"))
def clip_probe(trial: Trial, *, shots: int | Literal["all"] = "all", l2: float = 0.01) -> Stage:
    """Fit a logistic regression on the model's unit embeddings of pictures to its optimum; reads no text.

    l2: weight of half the squared weights beside the mean loss (scikit-learn's C = 1 / (n l2)).
    """
    probe = fit_probe.bind(
        task=trial.target,
        features=pictures_of(trial, (trial.target,), trial.fit_splits),
        shots=shots,
        l2=l2,
        seed=trial.seed,
    )
    return evaluate_probe.bind(
        task=trial.target, probe=probe, features=pictures_of(trial, (trial.target,), trial.eval_splits)
    )
