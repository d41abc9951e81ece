"""Candidates of a ``tune:`` section: a product, a list, or a random draw."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from harness.errors import HarnessError, suggest
from harness.study.document import KeyPath
from harness.study.labels import key_of
from harness.study.schema import RandomSearch, TuneSection
from harness.study.structure import Reporter, shown

MOST_CANDIDATES = 100_000
_DISTRIBUTIONS = ("uniform", "log_uniform", "int_uniform", "choice")
_DIGITS = 6
"""Significant digits of a drawn float: enough for any search, and the same on every machine."""


@dataclass(frozen=True)
class TuneRule:
    """How one recipe's parameters are chosen within a cell.

    candidates: keyword -> value, coerced to the recipe's annotations, in order. per: axes for each of which one choice
    is made (None: all). seeds: choose for each seed or once by the mean. metric: None is the task's own.
    """

    candidates: tuple[Mapping[str, Any], ...]
    scope: Literal["source", "target"] = "target"
    per: tuple[str, ...] | None = None
    seeds: Literal["each", "mean"] = "each"
    metric: str | None = None
    refit: Literal["none", "train+val"] = "none"
    audit: bool = False


Candidate = Mapping[str, tuple[Any, KeyPath]]
"""Parameter name as written -> value and where it stands."""


class SpaceError(HarnessError):
    """A distribution that cannot be drawn from."""


def list_candidates(section: TuneSection, path: KeyPath, reporter: Reporter) -> list[Candidate]:
    """Return the candidates of a ``tune:`` section that stands at ``path``; problems go to ``reporter``."""
    if section.grid is not None:
        return _product(section.grid, (*path, "grid"), reporter)
    if section.list_ is not None:
        return _listed(section.list_, (*path, "list"), reporter)
    assert section.random is not None
    return _drawn(section.random, (*path, "random"), reporter)


def _product(grid: Mapping[str, Any], path: KeyPath, reporter: Reporter) -> list[Candidate]:
    if not grid:
        reporter.add(path, "tune.grid is empty")
    columns: dict[str, list[tuple[Any, KeyPath]]] = {}
    for name, values in grid.items():
        at = (*path, name)
        if not isinstance(values, list):
            reporter.add(at, f"tune.grid.{name} must be a list, not {shown(values)}")
        elif not values:
            reporter.add(at, f"tune.grid.{name} is empty")
        elif twice := first_repeated(values):
            reporter.add((*at, twice[0]), f"{shown(twice[1])} stands twice in tune.grid.{name}")
        else:
            columns[name] = [(value, (*at, index)) for index, value in enumerate(values)]
    if math.prod(map(len, columns.values())) > MOST_CANDIDATES:
        reporter.add(path, f"tune.grid has more than {MOST_CANDIDATES:,} candidates")
        return []
    return [dict(zip(columns, values, strict=True)) for values in itertools.product(*columns.values())]


def _listed(items: Sequence[Mapping[str, Any]], path: KeyPath, reporter: Reporter) -> list[Candidate]:
    if twice := first_repeated(items):
        reporter.add((*path, twice[0]), "this candidate stands twice in tune.list")
    for index, item in enumerate(items):
        if not item:
            reporter.add((*path, index), "this candidate of tune.list sets nothing")
    return [
        {name: (value, (*path, index, name)) for name, value in item.items()}
        for index, item in enumerate(items)
        if item
    ]


def _drawn(search: RandomSearch, path: KeyPath, reporter: Reporter) -> list[Candidate]:
    if not search.space:
        reporter.add((*path, "space"), "tune.random.space is empty")
    columns: dict[str, list[Any]] = {}
    for name, distribution in search.space.items():
        try:
            columns[name] = draw(name, distribution, search.n, search.seed)
        except SpaceError as error:
            reporter.add((*path, "space", name), f"tune.random.space.{name} {error}")
    if not columns:
        return []
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    unique = {tuple(key_of(value) for value in row.values()): row for row in reversed(rows)}
    kept = reversed(unique.values())
    return [{name: (value, (*path, "space", name)) for name, value in row.items()} for row in kept]


def draw(name: str, distribution: Any, n: int, seed: int) -> list[Any]:
    """Draw ``n`` values of one parameter; the draw depends on nothing but its name, its distribution and ``seed``.

    Raises SpaceError, whose sentence follows the parameter's name.
    """
    if not isinstance(distribution, Mapping) or len(distribution) != 1:
        raise SpaceError(f"must be one of {', '.join(f'{{{kind}: [...]}}' for kind in _DISTRIBUTIONS)}")
    kind, limits = next(iter(distribution.items()))
    if kind not in _DISTRIBUTIONS:
        raise SpaceError(f"has no distribution {kind!r}{suggest(kind, _DISTRIBUTIONS)}")
    digest = hashlib.sha256(name.encode()).digest()
    generator = np.random.default_rng([seed, int.from_bytes(digest[:8], "big")])
    if kind == "choice":
        if not isinstance(limits, list) or not limits:
            raise SpaceError("needs a list of values to choose from")
        return [limits[index] for index in generator.integers(len(limits), size=n).tolist()]
    low, high = _limits(kind, limits)
    if kind == "int_uniform":
        whole: list[int] = generator.integers(low, high, size=n, endpoint=True).tolist()
        return list(whole)
    if kind == "log_uniform":
        return [_rounded(value, low, high) for value in np.exp(generator.uniform(math.log(low), math.log(high), n))]
    return [_rounded(value, low, high) for value in generator.uniform(low, high, n)]


def _limits(kind: str, limits: Any) -> tuple[Any, Any]:
    wanted = int if kind == "int_uniform" else (int, float)
    numbers = isinstance(limits, list) and all(isinstance(x, wanted) and not isinstance(x, bool) for x in limits)
    if not numbers or len(limits) != 2:
        raise SpaceError(f"needs two {'whole ' if kind == 'int_uniform' else ''}numbers [low, high]")
    low, high = limits
    if not low < high:
        raise SpaceError(f"needs low < high, not [{low}, {high}]")
    if kind == "log_uniform" and low <= 0:
        raise SpaceError(f"needs low > 0 for a logarithm, not {low}")
    return low, high


def _rounded(value: float, low: float, high: float) -> float:
    return min(max(float(f"{value:.{_DIGITS}g}"), float(low)), float(high))


def first_repeated(values: Sequence[Any]) -> tuple[int, Any] | None:
    """Return (position, value) of the first value that stood before, or None."""
    seen = set()
    for index, value in enumerate(values):
        key = key_of(value)
        if key in seen:
            return index, value
        seen.add(key)
    return None
