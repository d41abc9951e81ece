"""Recipes are registered with the parameters of their signature."""

from __future__ import annotations

from typing import Literal

import pytest

from harness.errors import HarnessError
from harness.graph import Stage
from harness.methods.base import TRIAL_AXES, MethodEntry, RecipeEntry, Trial, method
from harness.registry import ESTIMATORS, METHODS
from harness.signatures import REQUIRED, parameters_of, summary_of
from harness.tasks.base import Task


def example(trial: Trial, *, rank: int, lr: float = 0.1, source_lr: float = 0.2, teacher: Task | None = None) -> Stage:
    """An example.

    Its second paragraph.
    """
    raise NotImplementedError


def test_parameters_are_the_keyword_only_arguments() -> None:
    known = parameters_of(example, keyword_only=True, scoped=True)
    assert list(known) == ["rank", "lr", "source_lr", "teacher"]
    assert known["rank"].required and known["rank"].default is REQUIRED
    assert (known["lr"].name, known["lr"].scope, known["lr"].default) == ("lr", "target", 0.1)
    assert (known["source_lr"].keyword, known["source_lr"].name, known["source_lr"].scope) == (
        "source_lr",
        "lr",
        "source",
    )
    assert known["teacher"].annotation == (Task | None)
    assert summary_of(example) == "An example." and summary_of(lambda: None) == ""


def test_a_type_that_is_not_imported_is_one_sentence() -> None:
    def recipe(trial: Trial, *, n: int = 0) -> Stage:
        raise NotImplementedError

    recipe.__annotations__["n"] = "Unheard"
    with pytest.raises(HarnessError, match="must be imported where the module is imported"):
        parameters_of(recipe)


def test_a_method_is_found_by_its_name() -> None:
    entry = method("an_example", reads=("target", "seed"))(example)
    try:
        assert METHODS.get("an_example") is entry
        assert isinstance(entry, MethodEntry) and entry.reads == ("target", "seed")
        assert entry.recipe is example and entry.summary == "An example."
    finally:
        METHODS._entries.pop("an_example")


def test_reading_an_axis_that_no_trial_has_is_refused() -> None:
    with pytest.raises(HarnessError, match=r"'x' reads 'sorce', which no trial has \(did you mean 'source'\?\)"):
        method("x", reads=("sorce",))(example)


def test_built_in_recipes_share_names_types_and_defaults() -> None:
    """A parameter that two recipes have means the same in both: else no stage would be shared."""
    seen: dict[str, tuple[object, object]] = {}
    entries: list[RecipeEntry] = [item.value for registry in (METHODS, ESTIMATORS) for item in registry.items()]
    built_in = [entry for entry in entries if entry.recipe.__module__ in OURS]
    assert {entry.name for entry in built_in} >= {"fine_tune", "linear_probe", "from_scratch", "knn"}
    for entry in built_in:
        assert set(entry.reads) <= set(TRIAL_AXES) and entry.summary
        for keyword, known in entry.parameters.items():
            assert seen.setdefault(keyword, (known.annotation, known.default)) == (known.annotation, known.default)
    for keyword, meaning in seen.items():
        plain = keyword.removeprefix("source_")
        if keyword != plain and plain in seen:
            assert seen[plain] == meaning, f"{keyword} and {plain} differ: a baseline could not be a source"


OURS = (
    "harness.methods.fine_tune",
    "harness.methods.linear_probe",
    "harness.methods.from_scratch",
    "harness.estimators.knn",
    "harness.estimators.source_accuracy",
)


def test_literal_types_survive() -> None:
    known = METHODS.get("fine_tune").parameters
    assert known["shots"].annotation == (int | Literal["all"])
    assert known["optimiser"].annotation == Literal["sgd", "adam"]
