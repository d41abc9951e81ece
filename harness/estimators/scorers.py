"""What a score is: a function of inputs with a name, what it needs, and which way is better.

A user's own score is a file with one function:

    from harness.estimators import Inputs, scorer

    @scorer("spread", needs=("features", "labels"))
    def score(inputs: Inputs, *, power: float = 2.0) -> float:
        '''Mean distance of examples from the mean of their class.'''
        ...

It can then be called by `harness.estimators.score("spread", ...)`, and named under `estimators:` in a study, where its
keyword-only arguments are its parameters.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from harness.errors import HarnessError, suggest
from harness.estimators.inputs import Inputs, Need
from harness.graph.canonical import Mismatch, compile_annotation, describe
from harness.registry import Registry
from harness.signatures import Parameter, parameters_of, summary_of

Variant = Literal["exact", "released"]
"""exact: the mathematics as published. released: what the widely used code computes, where that differs."""

Function = Callable[..., float]

NEEDS: Final[tuple[str, ...]] = get_args(Need)


@dataclass(frozen=True)
class Scorer:
    """A score by name.

    needs: which inputs it reads.  classes: the fewest classes that it is defined for.  real_targets: whether it also
    scores tasks whose labels are real targets.  cost: of its own part, beside the shared sums.  options: its
    keyword-only arguments.
    """

    name: str
    function: Function
    needs: tuple[Need, ...]
    higher_is_better: bool
    classes: int
    real_targets: bool
    cost: str
    paper: str
    options: Mapping[str, Parameter]
    version: int = 1

    @property
    def summary(self) -> str:
        """The first line of the function's docstring."""
        return summary_of(self.function)

    def __call__(self, inputs: Inputs, **options: Any) -> float:
        """Score; the same as the function, but for clear errors.

        Raises HarnessError for an unknown or unsuitable option, a missing input, too few classes, and a result that is
        no finite number.
        """
        from numpy.linalg import LinAlgError

        given = coerced(self.name, self.options, options)
        self.require(inputs)
        try:
            value = float(self.function(inputs, **given))
        except LinAlgError as error:
            raise HarnessError(f"{self.name} cannot be computed on these features: {error}") from error
        if not math.isfinite(value):
            raise HarnessError(f"{self.name} has no finite value on these inputs ({value})")
        return value

    def require(self, inputs: Inputs) -> None:
        """Raise HarnessError when something that the score needs is not given, or there are too few classes."""
        for need in self.needs:
            if not inputs.has(need):
                raise HarnessError(f"{self.name} needs {need}, which is not among the inputs")
        if "labels" not in self.needs:
            return
        classes = inputs.classes
        if classes is None and not self.real_targets:
            raise HarnessError(f"{self.name} needs labels that are classes: one integer an example")
        if classes is not None and classes < self.classes:
            raise HarnessError(f"{self.name} compares classes and needs {self.classes} of them, not {classes}")


def coerced(name: str, known: Mapping[str, Parameter], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options as their annotations want them; raises HarnessError for one unknown or unsuitable."""
    result = {}
    for key, value in options.items():
        if key not in known:
            raise HarnessError(f"{name} has no option {key!r}{suggest(key, known)}")
        annotation = known[key].annotation
        try:
            result[key] = compile_annotation(annotation)(value)[0]
        except Mismatch:
            raise HarnessError(f"{name}: {key} must be {describe(annotation)}, not {value!r}") from None
    return result


SCORERS: Registry[Scorer] = Registry("estimator", "harness.estimators")


def scorer(
    name: str,
    *,
    needs: tuple[Need, ...],
    higher_is_better: bool = True,
    classes: int = 1,
    real_targets: bool = False,
    cost: str = "",
    paper: str = "",
    in_studies: bool = True,
    version: int = 1,
) -> Callable[[Function], Scorer]:
    """Register a function `(inputs, *, options...) -> float` as a score, for calls and for studies.

    Of a score that is better when lower, studies store minus the score, so that every table reads one way.
    version: raised when the same inputs and options give another number.  in_studies: False leaves the recipe to the
    caller.  Raises HarnessError when it needs something that no inputs have.
    """
    for need in needs:
        if need not in NEEDS:
            raise HarnessError(f"{name!r} needs {need!r}, which no inputs have{suggest(need, NEEDS)}")

    def register(function: Function) -> Scorer:
        options = parameters_of(function, keyword_only=True)
        made = Scorer(name, function, needs, higher_is_better, classes, real_targets, cost, paper, options, version)
        SCORERS.register(name, made, function.__module__)
        if in_studies:
            from harness.estimators.recipes import register_recipe

            register_recipe(made)
        return made

    return register
