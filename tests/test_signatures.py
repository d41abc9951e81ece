"""Parameters as a function's signature states them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import pytest

from harness.errors import HarnessError
from harness.registry import METHODS
from harness.signatures import REQUIRED, Parameter, parameters_of, summary_of

if TYPE_CHECKING:
    from decimal import Decimal


def recipe(
    trial: object,
    extra: int = 3,
    *,
    steps: int = 200,
    source_steps: float = 0.5,
    shots: int | Literal["all"],
    source_: str = "x",
    resource_steps: int = 1,
) -> None:
    """First line.

    Second paragraph.
    """


def test_parameters_by_keyword_in_order() -> None:
    found = parameters_of(recipe)
    assert list(found) == ["trial", "extra", "steps", "source_steps", "shots", "source_", "resource_steps"]
    assert found["extra"] == Parameter("extra", "extra", int, 3, "target")
    assert found["source_steps"] == Parameter("source_steps", "source_steps", float, 0.5, "target")
    assert found["shots"].annotation == int | Literal["all"]


def test_what_may_be_passed_by_position_can_be_left_out() -> None:
    assert list(parameters_of(recipe, keyword_only=True)) == [
        "steps", "source_steps", "shots", "source_", "resource_steps",
    ]  # fmt: skip


def test_the_prefix_source_is_a_scope_only_when_asked_and_only_at_the_beginning() -> None:
    found = parameters_of(recipe, keyword_only=True, scoped=True)
    assert {keyword: (one.name, one.scope) for keyword, one in found.items()} == {
        "steps": ("steps", "target"),
        "source_steps": ("steps", "source"),
        "shots": ("shots", "target"),
        "source_": ("", "source"),
        "resource_steps": ("resource_steps", "target"),
    }


@pytest.mark.parametrize(("name", "required"), [("trial", True), ("shots", True), ("extra", False), ("steps", False)])
def test_without_a_default_it_must_be_given(name: str, required: bool) -> None:
    found = parameters_of(recipe)[name]
    assert found.required is required
    assert (found.default is REQUIRED) is required


def test_a_default_of_none_is_a_default() -> None:
    def function(*, depth: int | None = None) -> None: ...

    assert not parameters_of(function)["depth"].required


def test_a_parameter_without_annotation_is_named_with_its_function() -> None:
    def careless(*, steps=1) -> None: ...  # type: ignore[no-untyped-def]  # that is the point

    with pytest.raises(HarnessError, match=r"careless: parameter 'steps' has no type annotation"):
        parameters_of(careless)


def test_a_type_that_is_imported_for_checkers_only_is_named() -> None:
    def lazy(*, price: Decimal) -> None: ...

    with pytest.raises(HarnessError, match=r"lazy: name 'Decimal' is not defined; .* must be imported where"):
        parameters_of(lazy)


def one_line() -> None:
    """Only this."""


def indented() -> None:
    """
    On the second line.
    """


def silent() -> None: ...


@pytest.mark.parametrize(
    ("function", "summary"),
    [(recipe, "First line."), (one_line, "Only this."), (indented, "On the second line."), (silent, "")],
)
def test_the_summary_is_the_first_line(function: Callable[..., Any], summary: str) -> None:
    assert summary_of(function) == summary


@pytest.mark.parametrize("name", METHODS.names())
def test_every_method_of_ours_says_what_its_python_signature_says(name: str) -> None:
    entry = METHODS.get(name)
    signature = inspect.signature(entry.recipe)
    keywords = [p for p in signature.parameters.values() if p.kind is inspect.Parameter.KEYWORD_ONLY]
    assert list(entry.parameters) == [parameter.name for parameter in keywords]
    assert [one.default for one in entry.parameters.values()] == [parameter.default for parameter in keywords]
    assert entry.summary and "\n" not in entry.summary
