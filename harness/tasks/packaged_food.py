"""Photographs of foods: the pictures of the Indian Food Composition Tables."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator
from typing import Final

from harness.data.items import Item
from harness.tasks.base import Task, task
from harness.tasks.packaged import DEFAULT_SIZE, Folders, Rule, picture_task

FOOD_GROUPS: Final = {
    "A": "cereals and millets",
    "B": "grain legumes",
    "C": "green leafy vegetables",
    "D": "other vegetables",
    "E": "fruits",
    "F": "roots and tubers",
    "G": "spices",
    "H": "nuts and oil seeds",
    "P": "marine fish",
}
"""By the first letter of a food's code; groups with fewer pictures are left out."""


def read_foods(folders: Folders) -> Iterator[Item]:
    """Yield each picture once: the same file stands for several foods, and the first of them names it."""
    from harness.data.pictures import from_file

    seen: set[str] = set()
    for path in sorted((folders["ifct"] / "package" / "assets").glob("*.jpeg")):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        if content not in seen and path.name[0] in FOOD_GROUPS:
            seen.add(content)
            yield Item(path.stem, FOOD_GROUPS[path.name[0]], content, draw=functools.partial(from_file, path))


FOODS: Final = Rule("ifct_food", ("ifct",), read_foods, "equal files together")
RULES: Final = (FOODS,)


@task("ifct_food", family="food photographs", domain="photograph")
def ifct_food(size: int = DEFAULT_SIZE) -> Task:
    """Food groups of photographed foods."""
    return picture_task(FOODS, size=size)
