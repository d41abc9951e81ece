"""The examples of a data set before anything is decoded, and their division into splits that share no group."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from harness.errors import HarnessError

if TYPE_CHECKING:
    from PIL import Image

SplitName = Literal["train", "val", "test"]
SPLITS: Final[tuple[SplitName, ...]] = ("train", "val", "test")

Draw = Callable[[int], "Image.Image"]
"""Gives a picture for a wanted size in pixels; the result may have another size."""


@dataclass(frozen=True, slots=True)
class Item:
    """One example.

    key: names it within its task, for ever; label: its class in words; group: what must lie in one split (the same
    emoji drawn by different hands, the cards of one deck); domain: a style or origin that a task may be restricted to;
    draw: makes the picture, for images; text: the example itself, for texts; caption: what a picture shows, in words;
    split: where the data come with their own splits.
    """

    key: str
    label: str
    group: str
    domain: str = ""
    draw: Draw | None = None
    text: str = ""
    caption: str = ""
    split: SplitName | None = None


@dataclass(frozen=True)
class Shares:
    """How large a part of each class goes to test and to validation; the rest is for training."""

    test: float = 0.25
    val: float = 0.15


STANDARD_SHARES: Final = Shares()


def digest_rank(seed: int, text: str) -> bytes:
    """Return what groups are ranked by: no random number library is involved, so an order is the same for ever."""
    return hashlib.sha256(f"{seed}:{text}".encode()).digest()


def divide(items: Sequence[Item], shares: Shares, seed: int = 0) -> dict[str, SplitName]:
    """Return the split of each group: whole groups, by class where a group has one, in the order of their digests.

    Groups whose items are of several classes are divided among themselves. Every stratum of three groups or more has
    one in each split; smaller ones go to training.
    """
    sizes = Counter(item.group for item in items)
    labels: dict[str, set[str]] = defaultdict(set)
    for item in items:
        labels[item.group].add(item.label)
    strata: dict[str, list[str]] = defaultdict(list)
    for group, found in labels.items():
        strata[next(iter(found)) if len(found) == 1 else ""].append(group)
    splits: dict[str, SplitName] = {}
    for groups in strata.values():
        groups.sort(key=lambda group: digest_rank(seed, group))
        splits.update(_divide_stratum(groups, sizes, shares))
    return splits


def _divide_stratum(groups: Sequence[str], sizes: Mapping[str, int], shares: Shares) -> dict[str, SplitName]:
    """Fill test, then validation; a group that would overshoot a split by more than half of itself is passed on."""
    splits: dict[str, SplitName] = dict.fromkeys(groups, "train")
    total = sum(sizes[group] for group in groups)
    if len(groups) < len(SPLITS):
        return splits
    waiting = list(groups)
    parts: tuple[tuple[SplitName, float, int], ...] = (
        ("test", shares.test, 1 + (shares.val > 0)),
        ("val", shares.val, 1),
    )
    for split, share, reserved in parts:
        held = 0
        for group in tuple(waiting):
            if not share or len(waiting) <= reserved or held >= share * total:
                break
            if held and held + sizes[group] / 2 > share * total:
                continue
            splits[group] = split
            waiting.remove(group)
            held += sizes[group]
    return splits


def check_groups(items: Iterable[Item], splits: Mapping[str, SplitName]) -> None:
    """Raise HarnessError when two items have one key (or an item's own split contradicts its group's)."""
    seen: set[str] = set()
    for item in items:
        if item.key in seen:
            raise HarnessError(f"two examples have the key {item.key!r}")
        seen.add(item.key)
        if item.split is not None and splits.get(item.group, item.split) != item.split:
            raise HarnessError(f"group {item.group!r} lies in two splits")


def items_digest(items: Iterable[Item], splits: Mapping[str, SplitName]) -> str:
    """Return the sha256 over key, class, group, domain, split, text and caption of all items, sorted by key."""
    digest = hashlib.sha256()
    for item in sorted(items, key=lambda item: item.key):
        split = item.split or splits[item.group]
        fields = (item.key, item.label, item.group, item.domain, split, item.text, item.caption)
        digest.update("\x1f".join(fields).encode("utf-8", "surrogatepass") + b"\x1e")
    return digest.hexdigest()
