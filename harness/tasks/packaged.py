"""Tasks whose data are carried inside registry packages: what all families share.

A family's module gives a `Rule` for each task: which packages it reads, how examples and labels are found in them,
and what may not be divided between splits. `picture_task` and `text_task` make tasks of rules; they read only the
committed manifest. The data themselves are read when a split is loaded, and must agree with the manifest.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from harness.data import manifest as manifests
from harness.data.catalogue import package
from harness.data.fetch import require
from harness.data.items import STANDARD_SHARES, Item, Shares, SplitName, check_groups, divide, items_digest
from harness.data.manifest import Manifest
from harness.errors import HarnessError
from harness.tasks.base import Split, Task

if TYPE_CHECKING:
    from PIL import Image

    from harness.data.decoded import Decoded

Folders = Mapping[str, Path]
"""Where the packages of a rule are unpacked, by name."""

Joined = Sequence[Sequence[str]]
"""Names of groups that are one."""

DEFAULT_SIZE: Final = 96
SMALLEST: Final = 8
LARGEST: Final = 1024


@dataclass(frozen=True)
class Rule:
    """How a task is read from packages.

    read: all examples; a function of a module, or a `functools.partial` of one. classes: their names in the order of
    the labels (default: sorted). split_by: what is never divided between splits, in words. groups: splits of whole
    groups where they are not left to chance. version: raised when the rule gives other examples.
    background: what pictures with transparency are laid on.
    """

    name: str
    packages: tuple[str, ...]
    read: Callable[[Folders], Iterable[Item]]
    split_by: str
    kind: Literal["image", "text"] = "image"
    classes: tuple[str, ...] = ()
    groups: Mapping[str, SplitName] = field(default_factory=dict)
    shares: Shares = STANDARD_SHARES
    version: int = 1
    background: tuple[int, int, int] = (255, 255, 255)

    def licences(self) -> str:
        """The licences of the packages, each once."""
        return "; ".join(dict.fromkeys(package(name).licence for name in self.packages)) or "BSD-3-Clause"


def picture_task(rule: Rule, domain: str = "all", size: int = DEFAULT_SIZE) -> Task:
    """Make a task of pictures [3, size, size] from 0 to 1; `domain` restricts it to one domain of the manifest.

    Raises HarnessError for a size or domain that cannot be.
    """
    if not SMALLEST <= size <= LARGEST:
        raise HarnessError(f"task {rule.name!r}: size must be {SMALLEST} to {LARGEST} pixels, not {size}")
    known = manifests.load(rule.name)
    transform = {"size": size, "background": list(rule.background), "decoding": _decoding_version()}
    load = functools.partial(load_pictures, rule, domain, size)
    return _task(rule, known, domain, (3, size, size), {"transform": transform}, load)


def text_task(rule: Rule, domain: str = "all") -> Task:
    """Make a task of texts; `domain` restricts it to one domain of the manifest."""
    return _task(rule, manifests.load(rule.name), domain, (), {}, functools.partial(load_texts, rule, domain))


def read_items(rule: Rule, joined: Joined = ()) -> tuple[list[Item], dict[str, SplitName]]:
    """Return all examples of a rule, sorted by key, and the split of each group; `joined` groups are made one.

    Raises HarnessError when a package is not on this machine or gives two examples of one key.
    """
    items = sorted(rule.read({name: require(name) for name in rule.packages}), key=lambda item: item.key)
    first = {name: names[0] for names in joined for name in names}
    items = [replace(item, group=first.get(item.group, item.group)) for item in items] if joined else items
    free = [item for item in items if item.split is None and item.group not in rule.groups]
    splits: dict[str, SplitName] = {**divide(free, rule.shares), **rule.groups}
    splits |= {item.group: item.split for item in items if item.split is not None}
    check_groups(items, splits)
    return items, splits


def class_names(rule: Rule, items: Iterable[Item]) -> tuple[str, ...]:
    """Return the names of the classes in the order of their labels."""
    return rule.classes or tuple(sorted({item.label for item in items}))


def checked_items(rule: Rule) -> tuple[list[Item], dict[str, SplitName]]:
    """Return the examples of a rule after comparing them with the manifest. Raises HarnessError when they differ."""
    known = manifests.load(rule.name)
    items, splits = read_items(rule, known.joined)
    if items_digest(items, splits) != known.items:
        raise HarnessError(
            f"task {rule.name!r}: the {len(items):,} examples that were read are not those of its manifest; "
            "run `harness data verify`, or after a change of the rule `python -m harness.tasks.manifest`"
        )
    return items, splits


def labelled(rule: Rule, split: str) -> list[tuple[Item, int]]:
    """Return the examples of one split, each with its label, sorted by key."""
    items, splits = checked_items(rule)
    place = {name: label for label, name in enumerate(manifests.load(rule.name).classes)}
    return [(item, place[item.label]) for item in items if (item.split or splits[item.group]) == split]


def decoded_split(rule: Rule, size: int, split: str) -> Decoded:
    """Return one split of a rule's pictures on disk, all domains together, decoding it on first use."""
    from harness.data.decoded import decoded

    known = manifests.load(rule.name)
    spec = {"manifest": known.digest, "size": size, "background": rule.background, "decoding": _decoding_version()}
    digest = hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()
    return decoded(f"{rule.name}-{size}", digest, split, functools.partial(labelled, rule, split), size, fit_of(rule))


def load_pictures(rule: Rule, domain: str, size: int, split: str) -> Split:
    """Load one split: pictures read when they are asked for, and their labels."""
    import torch

    from harness.tasks.inputs import Pictures

    stored = decoded_split(rule, size, split)
    chosen = [position for position, found in enumerate(stored.domains) if domain in ("all", found)]
    pictures = Pictures(stored.pictures, chosen, size)
    labels = torch.tensor([stored.labels[position] for position in chosen], dtype=torch.int64)
    return Split(pictures, labels)


def load_texts(rule: Rule, domain: str, split: str) -> Split:
    """Load one split of texts and their labels."""
    import torch

    from harness.tasks.inputs import Texts

    chosen = [(item, label) for item, label in labelled(rule, split) if domain in ("all", item.domain)]
    labels = torch.tensor([label for _, label in chosen], dtype=torch.int64)
    return Split(Texts([item.text for item, _ in chosen]), labels)


def captions(rule: Rule, split: str, size: int = DEFAULT_SIZE) -> Sequence[str]:
    """Return what the pictures of a split show, in words, in the order in which they are loaded; "" where unknown."""
    return decoded_split(rule, size, split).captions


def fit_of(rule: Rule) -> Callable[[Image.Image, int], Image.Image]:
    """Return what brings a rule's drawn pictures to their size."""
    from harness.data.pictures import square

    return functools.partial(square, background=rule.background)


def _decoding_version() -> int:
    from harness.data.pictures import DECODING_VERSION

    return DECODING_VERSION


def _task(
    rule: Rule,
    known: Manifest,
    domain: str,
    shape: tuple[int, ...],
    more: Mapping[str, Any],
    load: Callable[[str], Split],
) -> Task:
    class_sizes = known.class_sizes(None if domain == "all" else domain)
    attributes: dict[str, str | int] = {"kind": rule.kind, "licence": rule.licences()}
    if len(known.domains) > 1:
        attributes["domain"] = domain
    return Task(
        name=rule.name,
        n_classes=len(known.classes),
        class_names=known.classes,
        input_shape=shape,
        sizes={split: sum(counts) for split, counts in class_sizes.items()},
        class_sizes=class_sizes,
        data={
            "provider": "packaged",
            "packages": dict(known.packages),
            "rule": known.rule,
            "split": known.split,
            "items": known.items,
            "domain": domain,
            **more,
        },
        load=load,
        attributes=attributes,
        code=(__name__,),
    )
