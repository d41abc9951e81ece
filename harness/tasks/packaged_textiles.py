"""Simulated photographs of fabrics with and without defects."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Final

from harness.data.items import Item
from harness.tasks.base import Task, task
from harness.tasks.packaged import DEFAULT_SIZE, Folders, Rule, picture_task

DEFECTS: Final = {
    "nominal": "fabric without defect",
    "local": "fabric with a local defect",
    "global": "fabric with a defect of the weave",
}


def read_fabrics(folders: Folders) -> Iterator[Item]:
    """Yield the 2,000 pictures."""
    from harness.data.pictures import from_file

    base = folders["textiles"] / "conformal_clip_data" / "data" / "textile_images" / "simulated"
    for place, label in DEFECTS.items():
        for path in sorted((base / place).glob("*.jpg")):
            key = f"{place}/{path.stem}"
            yield Item(key, label, key, draw=functools.partial(from_file, path))


FABRICS: Final = Rule(
    "textile_defect", ("textiles",), read_fabrics, "each picture by itself", classes=tuple(DEFECTS.values())
)
RULES: Final = (FABRICS,)


@task("textile_defect", family="textiles", domain="simulated")
def textile_defect(size: int = DEFAULT_SIZE) -> Task:
    """Whether and how a fabric is flawed."""
    return picture_task(FABRICS, size=size)
