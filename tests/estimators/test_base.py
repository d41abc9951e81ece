"""Estimators are registered like methods, with what they read."""

from __future__ import annotations

import pytest

from harness.errors import HarnessError
from harness.estimators.base import EstimatorEntry, estimator
from harness.graph import Stage
from harness.methods.base import Trial
from harness.methods.noop import noop
from harness.registry import ESTIMATORS
from tests.training.toys import cloud


def test_an_estimator_of_ones_own_is_registered() -> None:
    @estimator("lucky", reads=("source", "target"))
    def lucky(trial: Trial, *, number: int = 7, source_number: int = 3) -> Stage:
        """Guess."""
        return noop(trial, index=number)

    try:
        entry = ESTIMATORS.get("lucky")
        assert isinstance(entry, EstimatorEntry) and entry is lucky
        assert entry.reads == ("source", "target") and entry.summary == "Guess."
        assert [known.scope for known in entry.parameters.values()] == ["target", "source"]
        from harness.backbones.small import Mlp

        trial = Trial(cloud("a"), cloud("x"), Mlp())
        assert entry(trial).key == noop(trial, index=7).key
    finally:
        ESTIMATORS._entries.pop("lucky")


def test_the_built_in_ones_are_found() -> None:
    assert {"knn", "source_accuracy"} <= set(ESTIMATORS.names())


def test_reading_an_axis_that_no_trial_has_is_refused() -> None:
    with pytest.raises(HarnessError, match=r"did you mean 'backbone'\?"):
        estimator("wrong", reads=("backbones",))(lambda trial: trial)  # type: ignore[arg-type]  # never called
