"""Plans made straight from stages, a store to run them into, and ways to look at what came of it."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from harness.execution import RunOptions, RunSummary, execute
from harness.graph import Choice, Node, Stage
from harness.graph.code import CodeDigest
from harness.registry import load_plugins
from harness.store import AttemptRow, Store

HERE = Path(__file__).resolve().parent
toys: Any = sys.modules[load_plugins(["toys.py"], HERE)[0]]


@dataclass
class ToyPlan:
    """What execution reads of a plan."""

    terminals: dict[str, Node]
    study: Any
    past: dict[str, Any] = field(default_factory=dict)
    stale: list[Any] = field(default_factory=list)
    demand: Any = field(default_factory=lambda: SimpleNamespace(withdrawn=frozenset()))
    code: str = "c0de"

    @property
    def blocks(self) -> list[Any]:
        return [SimpleNamespace(terminals=list(self.terminals.values()))]

    def code_of(self, stage: Stage) -> CodeDigest:
        return CodeDigest({"toys": self.code})


def toy_plan(terminals: Iterable[Node], **study: Any) -> ToyPlan:
    settings = {
        "on_untrained_source": "skip",
        "on_failure": "continue",
        "plugins": (toys.__name__,),
        "execution": SimpleNamespace(resources={}, retention={}),
        "grids": (),
        "resolved": lambda: {"study": "toy"},
    }
    return ToyPlan({node.key: node for node in terminals}, SimpleNamespace(**{**settings, **study}))


@dataclass
class Lab:
    """A results folder in which toy plans are run."""

    results: Path
    defaults: dict[str, Any]

    @property
    def store(self) -> Store:
        return Store.open(self.results, create=True)

    def run(self, terminals: Iterable[Node], study: dict[str, Any] | None = None, **options: Any) -> RunSummary:
        settings = {"progress": "none", "compact": False, **self.defaults, **options}
        return execute(toy_plan(terminals, **(study or {})), self.store, RunOptions(**settings))

    def value(self, node: Node) -> float | None:
        """The one number measured by a stage, or None."""
        rows = self.store.measurements(node.key)
        assert len(rows) <= 1
        return rows[0].value if rows else None

    def values(self, nodes: Iterable[Node]) -> list[float | None]:
        return [self.value(node) for node in nodes]

    def attempts(self, node: Node | None = None) -> list[AttemptRow]:
        return self.store.attempts(None if node is None else [node.key])

    def statuses(self, node: Node) -> list[str]:
        return [row.status for row in self.attempts(node)]


def chains(count: int = 6, sources: int = 2) -> list[Stage]:
    """Terminals of source -> transient adaptation -> score, with ``count`` adaptations for each source."""
    bases = [toys.base.bind(seed=seed) for seed in range(sources)]
    return [
        toys.score.bind(net=toys.tune.bind(init=net, lr=0.1 * (i + 1), seed=i)) for net in bases for i in range(count)
    ]


def tuned_choice(lrs: Iterable[float], seed: int = 0) -> tuple[Choice, list[Stage]]:
    """A selection among adaptations by their validation score, and the test scores it chooses from."""
    net = toys.base.bind(seed=seed)
    nets = [toys.tune.bind(init=net, lr=lr, seed=seed) for lr in lrs]
    scores = [toys.score.bind(net=one, split="val") for one in nets]
    tests = [toys.score.bind(net=one, split="test") for one in nets]
    return Choice(toys.pick.bind(scores=tuple(scores)), tests), tests
