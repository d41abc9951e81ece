"""What a registered function may be asked for: its parameters, read from its signature.

Tasks, backbones, methods and estimators are plain functions. Their parameters (names, types, defaults) are their
signature and nothing else, so that a study file, an error message and a schema all say the same.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from harness.errors import HarnessError

Scope = Literal["source", "target"]

SOURCE_PREFIX: Final = "source_"

REQUIRED: Final = inspect.Parameter.empty
"""The default of a parameter that has none."""


@dataclass(frozen=True)
class Parameter:
    """One parameter of a registered function.

    `keyword` is the argument of the Python function; `name` is what a study file calls it. They differ only for
    parameters that act on the source stage: keyword `source_steps`, name `steps`, scope `source`.
    """

    keyword: str
    name: str
    annotation: Any
    default: Any = field(default=REQUIRED)
    scope: Scope = "target"

    @property
    def required(self) -> bool:
        """Whether the parameter must be given."""
        return self.default is REQUIRED


def parameters_of(
    function: Callable[..., Any], *, keyword_only: bool = False, scoped: bool = False
) -> Mapping[str, Parameter]:
    """Return the parameters of `function` by keyword, in the order of its signature.

    keyword_only: leave out what may be passed by position (a recipe's `trial`).
    scoped: read the prefix `source_` as the source scope.
    Raises HarnessError when an annotation is missing or names something that its module does not import.
    """
    hints = _hints(function)
    found: dict[str, Parameter] = {}
    for parameter in inspect.signature(function).parameters.values():
        if keyword_only and parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            continue
        keyword = parameter.name
        if keyword not in hints:
            raise HarnessError(f"{_where(function)}: parameter {keyword!r} has no type annotation")
        of_source = scoped and keyword.startswith(SOURCE_PREFIX)
        found[keyword] = Parameter(
            keyword=keyword,
            name=keyword.removeprefix(SOURCE_PREFIX) if of_source else keyword,
            annotation=hints[keyword],
            default=parameter.default,
            scope="source" if of_source else "target",
        )
    return found


def summary_of(function: Callable[..., Any]) -> str:
    """Return the first line of the function's docstring, or an empty string."""
    text = inspect.getdoc(function) or ""
    return text.splitlines()[0] if text else ""


def _hints(function: Callable[..., Any]) -> Mapping[str, Any]:
    try:
        return typing.get_type_hints(function)
    except NameError as error:
        raise HarnessError(
            f"{_where(function)}: {error}; a type used in its signature must be imported where the module is imported"
        ) from error


def _where(function: Callable[..., Any]) -> str:
    return f"{function.__module__}.{getattr(function, '__qualname__', function)}"
