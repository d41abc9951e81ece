"""Between a single call and a batch: a call seen as a batch of one, and a batch run call by call."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, TypeVar

from harness.graph import BatchContext, StageContext

T = TypeVar("T")


class Alone:
    """The batch context of one call by itself."""

    def __init__(self, ctx: StageContext) -> None:
        self._ctx = ctx

    @property
    def device(self) -> str:
        """The call's device."""
        return self._ctx.device

    @property
    def threads(self) -> int:
        """The call's cores."""
        return self._ctx.threads

    @property
    def micro_batches(self) -> int:
        """The call's micro-batches."""
        return self._ctx.micro_batches

    @property
    def members(self) -> Sequence[StageContext]:
        """The one context."""
        return (self._ctx,)

    def should_stop(self) -> bool:
        """As the call's context says."""
        return self._ctx.should_stop()

    def cached(self, key: Hashable, make: Callable[[], T], nbytes: int | None = None) -> T:
        """As the call's context does."""
        return self._ctx.cached(key, make, nbytes)


def one_by_one(
    function: Callable[..., T], members: Sequence[Mapping[str, Any]], ctx: BatchContext
) -> list[T | Exception]:
    """Call `function` for each member; one that fails leaves its exception. Padding is not computed again."""
    results: list[T | Exception] = []
    for place, (arguments, own) in enumerate(zip(members, ctx.members, strict=True)):
        if place and arguments is members[place - 1]:
            results.append(results[-1])
            continue
        try:
            results.append(function(**arguments, ctx=own))
        except Exception as error:
            results.append(error)
    return results


def without_padding(members: Sequence[object]) -> int:
    """Return how many members stand for themselves; those after them are copies that only fill the batch up."""
    own = len(members)
    while own > 1 and members[own - 1] is members[own - 2]:
        own -= 1
    return own


def only(results: Sequence[T | Exception]) -> T:
    """Return the result of a batch of one, or raise what it left."""
    (result,) = results
    if isinstance(result, Exception):
        raise result
    return result
