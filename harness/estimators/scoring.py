"""Scoring in one call: one estimator, many on shared sums, or one over a zoo of networks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, get_args

from harness.estimators.inputs import Inputs, Need
from harness.estimators.scorers import SCORERS, Scorer

Wanted = str | tuple[str, Mapping[str, Any]]
"""An estimator's name, or its name and options."""

INPUTS: Final[tuple[str, ...]] = (*get_args(Need), "device")


def score(name: str, inputs: Inputs | None = None, /, **given: Any) -> float:
    """Return the score of one network on one target.

    name: see :func:`estimators`.  Inputs are given by keyword (see :class:`Inputs`), or as one object; other keywords
    are the estimator's options.  Raises HarnessError, in one sentence, for anything that does not fit.

        score("logme", features=features, labels=labels)
        score("leep", source_probabilities=probabilities, labels=labels, variant="released")
    """
    found = SCORERS.get(name)
    arrays, options = _parted(inputs, given)
    return found(arrays, **options)


def scores(wanted: Iterable[Wanted], inputs: Inputs | None = None, /, **given: Any) -> dict[str, float]:
    """Return many scores of one network on one target, by label; sums that several need are worked out once.

    wanted: names, or pairs of a name and its options. The label of a pair is `name(option=value, ...)`.  given: inputs
    by keyword, unless given as one object, and options that all of them take.
    """
    pairs = [(item, {}) if isinstance(item, str) else (item[0], dict(item[1])) for item in wanted]
    found: list[tuple[str, Scorer, dict[str, Any]]] = []
    for name, options in pairs:
        found.append((label_of(name, options), SCORERS.get(name), options))
    arrays, rest = _parted(inputs, given)
    return {label: scorer(arrays, **options, **rest) for label, scorer, options in found}


def label_of(name: str, options: Mapping[str, Any]) -> str:
    """Return `name(option=value, ...)`, or the name alone without options."""
    told = ", ".join(f"{key}={value}" for key, value in options.items())
    return f"{name}({told})" if told else name


def estimators() -> dict[str, Scorer]:
    """Return every estimator by name: what it needs, its direction, options, cost and paper."""
    return {entry.name: entry.value for entry in SCORERS.items()}


def _parted(inputs: Inputs | None, given: Mapping[str, Any]) -> tuple[Inputs, dict[str, Any]]:
    options = {name: value for name, value in given.items() if name not in INPUTS}
    if inputs is not None:
        # An input beside the object would be overlooked; as an option it is refused by name.
        return inputs, dict(given)
    return Inputs(**{name: value for name, value in given.items() if name in INPUTS}), options
