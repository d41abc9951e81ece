"""Places where stages run in tests: in this process, with a saved state that tests can look at and a switch to stop."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from harness.graph import Stage, derive_seed

CACHE: dict[Hashable, Any] = {}


class SavedState:
    """A checkpoint in memory."""

    def __init__(self) -> None:
        self.saved: tuple[dict[str, Tensor], dict[str, Any]] | None = None

    def save(self, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
        self.saved = {name: tensor.clone() for name, tensor in tensors.items()}, dict(header)

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        return self.saved


class Place:
    """A stage's context. `stop_after`: how often `should_stop` says no before it says yes."""

    device = "cpu"
    threads = 1
    loaders = 0
    scratch = Path("unused")
    deadline = None
    attempt = 0
    world = None

    def __init__(self, micro_batches: int = 1, stop_after: int | None = None) -> None:
        self.micro_batches = micro_batches
        self.checkpoint = SavedState()
        self.flags: list[str] = []
        self.waits: list[float] = []
        self.curves: dict[str, list[tuple[int, float]]] = {}
        self.stop_after = stop_after

    def generator(self, purpose: str, seed: int, *serves: str | int) -> torch.Generator:
        return torch.Generator().manual_seed(derive_seed(seed, purpose, *serves))

    def should_stop(self) -> bool:
        if self.stop_after is None:
            return False
        self.stop_after -= 1
        return self.stop_after < 0

    def progress(self, done: int, total: int) -> None:
        assert 0 < done <= total

    def curve(self, name: str, step: int, value: float) -> None:
        self.curves.setdefault(name, []).append((step, value))

    def flag(self, name: str) -> None:
        self.flags.append(name)

    def waited(self, share: float) -> None:
        self.waits.append(share)

    def cached(self, key: Hashable, make: Callable[[], Any], nbytes: int | None = None) -> Any:
        if key not in CACHE:
            CACHE[key] = make()
        return CACHE[key]


class Together:
    """A batch's context."""

    device = "cpu"
    threads = 1

    def __init__(self, members: Sequence[Place]) -> None:
        self.members = members
        self.micro_batches = members[0].micro_batches

    def should_stop(self) -> bool:
        return self.members[0].should_stop()

    def cached(self, key: Hashable, make: Callable[[], Any], nbytes: int | None = None) -> Any:
        return self.members[0].cached(key, make, nbytes)


def arguments_of(stage: Stage, results: Mapping[str, Any]) -> dict[str, Any]:
    """The stage's arguments with what its inputs gave."""

    def filled(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(filled(item) for item in value)
        return results[value.key] if isinstance(value, Stage) else value

    return {name: filled(value) for name, value in stage.arguments.items()}


def run_batch(stages: Sequence[Stage], results: Mapping[str, Any], places: Sequence[Place] | None = None) -> list[Any]:
    """Run calls of one kind as its batched form wants: filled up to the declared width with the last."""
    rule = stages[0].kind.batch
    assert rule is not None
    members = [arguments_of(stage, results) for stage in stages]
    contexts = list(places or [Place() for _ in stages])
    missing = rule.width - len(members)
    members += members[-1:] * missing
    contexts += [Place() for _ in range(missing)]
    return list(rule.function(members, Together(contexts)))[: len(stages)]


def run_stages(terminals: Iterable[Stage]) -> dict[str, Any]:
    """Run described stages and all that they need, one at a time; return results by key."""
    results: dict[str, Any] = {}

    def visit(stage: Stage) -> None:
        if stage.key in results:
            return
        for needed in stage.inputs:
            assert isinstance(needed, Stage)
            visit(needed)
        arguments = arguments_of(stage, results)
        results[stage.key] = stage.kind(**arguments, **({"ctx": Place()} if stage.kind.takes_context else {}))

    for terminal in terminals:
        visit(terminal)
    return results


def same_bits(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    """Whether two sets of tensors are equal to the last bit."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
