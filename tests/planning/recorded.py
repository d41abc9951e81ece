"""Records of stages that never ran, for tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class File:
    nbytes: int = 10


@dataclass
class Done:
    status: str = "ok"
    flags: tuple[str, ...] = ()
    value: str | None = None
    artifact: File | None = field(default_factory=File)
    code: str = ""
    kind: str = ""


class Recorded:
    """Done stages by key, asked for in the way of a store."""

    def __init__(self, done: Mapping[str, Done] | None = None) -> None:
        self.done = dict(done or {})

    def status(self, key: str, /) -> str | None:
        return self.done[key].status if key in self.done else None

    def flags(self, key: str, /) -> tuple[str, ...]:
        return self.done[key].flags if key in self.done else ()

    def value(self, key: str, /) -> str | None:
        return self.done[key].value if key in self.done else None

    def artifact(self, key: str, /) -> File | None:
        return self.done[key].artifact if key in self.done else None

    def code(self, key: str, /) -> str | None:
        return self.done[key].code if key in self.done else None

    def kind(self, key: str, /) -> str | None:
        return self.done[key].kind if key in self.done else None
