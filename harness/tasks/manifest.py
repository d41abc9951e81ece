"""Makes the manifests of the packaged tasks: ``python -m harness.tasks.manifest [TASK ...]``.

Reads the fetched packages and writes one JSON file a task beside `harness.data.manifest`. To be run after a rule was
changed on purpose; whatever changes in a file is a change of the task's identity.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from harness.data import manifest as manifests
from harness.data.catalogue import package
from harness.data.items import Item
from harness.data.manifest import Manifest
from harness.errors import HarnessError, suggest
from harness.tasks.packaged import DEFAULT_SIZE, Rule, class_names, fit_of, read_items

if TYPE_CHECKING:
    from torch import Tensor

PREFIX = "packaged_"

SAME_DIFFERENCE = 0.3
"""Mean absolute difference, of 255, between small versions up to which two pictures count as the same one."""

MOST_COMPARED = 20_000
"""Larger sets of pictures are not compared."""


def rules() -> dict[str, Rule]:
    """Return the rules of all packaged tasks by name."""
    package = importlib.import_module("harness.tasks")
    found: dict[str, Rule] = {}
    for module in pkgutil.iter_modules(package.__path__):
        if module.name.startswith(PREFIX):
            loaded = importlib.import_module(f"harness.tasks.{module.name}")
            found |= {rule.name: rule for rule in loaded.RULES}
    return dict(sorted(found.items()))


def rule(name: str) -> Rule:
    """Return one rule. Raises HarnessError with the nearest name when there is none."""
    known = rules()
    if name not in known:
        raise HarnessError(f"{name!r} is not a packaged task{suggest(name, known)}")
    return known[name]


def make_manifest(rule: Rule) -> tuple[Manifest, list[str]]:
    """Make the manifest of a rule from its data, and sentences on equal examples of different classes.

    Groups that share an example are joined, unless the data come with splits of their own.
    """
    items, _ = read_items(rule)
    free = [item for item in items if item.split is None and item.group not in rule.groups]
    same = list(same_examples(rule, free))
    joined = unite([(first.group, second.group) for first, second in same])
    items, splits = read_items(rule, joined)
    sums = {name: package(name).sha256 for name in rule.packages}
    names = class_names(rule, items)
    made = manifests.summarise(rule.name, rule.version, sums, rule.split_by, names, items, splits, joined)
    doubts = [
        f"{first.key} ({first.label}) and {second.key} ({second.label}) are the same"
        for first, second in same
        if first.label != second.label
    ]
    return made, doubts


def same_examples(rule: Rule, items: Sequence[Item]) -> Iterator[tuple[Item, Item]]:
    """Yield the pairs of examples that cannot be told apart."""
    from harness.data import leakage

    if rule.kind == "text":
        first: dict[str, Item] = {}
        for item in items:
            yield first.setdefault(leakage.plain(item.text), item), item
    elif items and len(items) <= MOST_COMPARED:
        prints = leakage.fingerprints(_drawn(rule, items))
        for pair, exact in leakage.picture_pairs(prints, prints):
            if pair.learned < pair.tested and (exact or pair.difference <= SAME_DIFFERENCE):
                yield items[pair.learned], items[pair.tested]


def _drawn(rule: Rule, items: Sequence[Item]) -> Tensor:
    """Return pictures [n, 3, s, s] from 0 to 1."""
    import numpy as np
    import torch

    fit = fit_of(rule)
    pictures = np.empty((len(items), 3, DEFAULT_SIZE, DEFAULT_SIZE), np.uint8)
    for index, item in enumerate(items):
        if item.draw is None:
            raise HarnessError(f"{item.key} is no picture")
        pictures[index] = np.asarray(fit(item.draw(DEFAULT_SIZE), DEFAULT_SIZE).convert("RGB")).transpose(2, 0, 1)
    return torch.from_numpy(pictures).float().div_(255)


def unite(pairs: Sequence[tuple[str, str]]) -> list[list[str]]:
    """Return the sets of names that pairs tie together, each sorted, of two names or more."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            name = parent[name]
        return name

    for one, other in pairs:
        first, second = sorted((root(one), root(other)))
        parent[second] = first
    sets: dict[str, list[str]] = {}
    for name in sorted(parent):
        sets.setdefault(root(name), []).append(name)
    return [names for names in sets.values() if len(names) > 1]


def main(arguments: Sequence[str]) -> int:
    """Write the manifests of the named tasks (default: of all)."""
    for name in arguments or rules():
        made, doubts = make_manifest(rule(name))
        manifests.FOLDER.mkdir(exist_ok=True)
        (manifests.FOLDER / f"{name}.json").write_text(made.as_json(), encoding="utf-8")
        sizes = {split: sum(counts) for split, counts in made.class_sizes().items()}
        sys.stdout.write(f"{name}: {len(made.classes)} classes, {sizes}, {len(made.joined)} sets of joined groups\n")
        sys.stdout.writelines(f"  {doubt}\n" for doubt in doubts)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except HarnessError as error:
        sys.exit(str(error))
