"""The graph of stages behind a study's trials, and how much of it the trials share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from harness.graph import Choice, Node, Stage

Counts = tuple[int, ...]


class Graph:
    """Every node that some trial names, once a key, inputs before consumers."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self._kinds: dict[str, int] = {}
        self._counts: dict[str, Counts] = {}
        self._interned: dict[Counts, Counts] = {}
        self._naive: Counter[Counts] = Counter()

    def add(self, node: Node) -> Node:
        """Add a node with all it depends on; return the node that stands for its key."""
        known = self.nodes.get(node.key)
        if known is not None:
            return known
        for needed in node.inputs:
            self.add(needed)
        if isinstance(node, Choice):
            for option in node.options:
                self.add(option)
        self.nodes[node.key] = node
        return node

    def add_trial(self, terminal: Node) -> None:
        """Add a trial's terminal node, and count what this trial would compute on its own."""
        self.add(terminal)
        self._naive[self._closure_counts(terminal)] += 1

    def naive_counts(self) -> dict[str, int]:
        """Stage calls by kind if every trial computed all it needs for itself."""
        totals: Counter[str] = Counter()
        names = list(self._kinds)
        for counts, trials in self._naive.items():
            for name, count in zip(names, counts, strict=False):
                totals[name] += count * trials
        return dict(totals)

    def stages(self) -> Iterator[Stage]:
        """All described calls, inputs first; choices left out."""
        return (node for node in self.nodes.values() if isinstance(node, Stage))

    def _closure_counts(self, node: Node) -> Counts:
        known = self._counts.get(node.key)
        if known is None:
            inputs = closure_inputs(node)
            if isinstance(node, Stage) and len(inputs) <= 1:
                below = self._closure_counts(inputs[0]) if inputs else ()
                counts = self._plus(below, [node.kind.name])
            else:
                members = (item for item in closure(node) if isinstance(item, Stage))
                counts = self._plus((), [item.kind.name for item in members])
            known = self._counts[node.key] = self._interned.setdefault(counts, counts)
        return known

    def _plus(self, counts: Counts, kinds: Iterable[str]) -> Counts:
        total = list(counts)
        for kind in kinds:
            position = self._kinds.setdefault(kind, len(self._kinds))
            total.extend([0] * (position + 1 - len(total)))
            total[position] += 1
        return tuple(total)


def closure_inputs(node: Node) -> tuple[Node, ...]:
    """What a node depends on, with the first option standing for a choice not yet made."""
    return (node.selector, node.options[0]) if isinstance(node, Choice) else node.inputs


def closure(node: Node) -> list[Node]:
    """Return the node and all it depends on, once each."""
    found: dict[str, Node] = {}
    waiting = [node]
    while waiting:
        current = waiting.pop()
        if current.key not in found:
            found[current.key] = current
            waiting.extend(closure_inputs(current))
    return list(found.values())
