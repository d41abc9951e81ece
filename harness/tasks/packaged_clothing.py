"""Photographs of clothes: Fashion-MNIST."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Final

from harness.data.items import Item, Shares, SplitName
from harness.tasks.base import Task, task
from harness.tasks.packaged import DEFAULT_SIZE, Folders, Rule, picture_task

CLOTHES: Final = (
    "T-shirt", "trousers", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip
PARTS: Final[tuple[tuple[str, SplitName | None], ...]] = (("train", None), ("t10k", "test"))


def read_fashion(folders: Folders) -> Iterator[Item]:
    """Yield the 60,000 pictures for training, of which a part becomes validation, and the 10,000 for test."""
    from harness.data.arrays import read_idx
    from harness.data.pictures import from_array

    base = folders["fashion_mnist"] / "usr" / "share" / "datasets" / "fashion-mnist"
    for part, split in PARTS:
        pictures = read_idx(base / f"{part}-images-idx3-ubyte.gz")
        labels = read_idx(base / f"{part}-labels-idx1-ubyte.gz")
        for number, (picture, label) in enumerate(zip(pictures, labels.tolist(), strict=True)):
            key = f"{part}/{number:05d}"
            yield Item(key, CLOTHES[label], key, draw=functools.partial(from_array, picture), split=split)


FASHION: Final = Rule(
    "fashion_mnist",
    ("fashion_mnist",),
    read_fashion,
    "the archive's own test split; validation by digest within class",
    classes=CLOTHES,
    shares=Shares(test=0, val=1 / 6),
)
RULES: Final = (FASHION,)


@task("fashion_mnist", family="clothing", domain="fashion_mnist")
def fashion_mnist(size: int = DEFAULT_SIZE) -> Task:
    """Photographs of clothes."""
    return picture_task(FASHION, size=size)
