"""What a worker keeps in memory between stages: loaded data, backbones, artifacts; bounded in bytes."""

from __future__ import annotations

import dataclasses
import sys
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from typing import Any, TypeVar

T = TypeVar("T")


def nbytes_of(value: Any, depth: int = 4) -> int:
    """Estimate the bytes that a value holds: tensors, arrays, modules, and containers of them."""
    own = getattr(value, "nbytes", None)
    if isinstance(own, int):
        return own
    if depth == 0:
        return sys.getsizeof(value)
    if isinstance(value, Mapping):
        return sum(nbytes_of(item, depth - 1) for item in value.values()) + 64
    if isinstance(value, (list, tuple, set, frozenset)):
        return sum(nbytes_of(item, depth - 1) for item in value) + 64
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return sum(nbytes_of(getattr(value, item.name), depth - 1) for item in dataclasses.fields(value)) + 64
    state = getattr(value, "state_dict", None)
    if callable(state):
        return nbytes_of(state(), depth - 1)
    return sys.getsizeof(value)


class MemoryCache:
    """A least-recently-used cache under a limit in bytes. An entry larger than the limit is not kept."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self._entries: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._dropped: list[Hashable] = []

    def get(self, key: Hashable) -> Any | None:
        """Return the entry of ``key``, now the most recently used, or None."""
        found = self._entries.get(key)
        if found is None:
            return None
        self._entries.move_to_end(key)
        return found[0]

    def put(self, key: Hashable, value: Any, nbytes: int) -> bool:
        """Keep ``value``, dropping the least recently used until all fits; say whether it was kept."""
        self.drop(key)
        if nbytes > self.limit:
            return False
        while self.used + nbytes > self.limit:
            self.drop(next(iter(self._entries)))
        self._entries[key] = (value, nbytes)
        self.used += nbytes
        return True

    def drop(self, key: Hashable) -> None:
        """Forget ``key`` if it is there."""
        found = self._entries.pop(key, None)
        if found is not None:
            self.used -= found[1]
            self._dropped.append(key)

    def clear(self) -> None:
        """Forget everything."""
        for key in list(self._entries):
            self.drop(key)

    def take_dropped(self) -> list[Hashable]:
        """Return the keys dropped since the last call."""
        dropped, self._dropped = self._dropped, []
        return dropped

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def cached(self, key: Hashable, make: Callable[[], T], nbytes: int | None = None) -> T:
        """Return the entry of ``key``, made by ``make`` when it is not there."""
        found = self._entries.get(key)
        if found is not None:
            self._entries.move_to_end(key)
            kept: T = found[0]
            return kept
        made = make()
        self.put(key, made, nbytes_of(made) if nbytes is None else nbytes)
        return made
