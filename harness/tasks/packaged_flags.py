"""Flags of countries in two shapes: on which continent a country lies. One country lies in one split."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from typing import Final, Literal

from harness.data.items import Item
from harness.tasks.base import Task, task
from harness.tasks.packaged import DEFAULT_SIZE, Folders, Rule, picture_task

CONTINENTS: Final = {
    "Africa": "Africa",
    "Asia": "Asia",
    "Europe": "Europe",
    "North America": "the Americas",
    "Oceania": "Oceania",
    "South America": "the Americas",
}


BORROWED: Final = frozenset(
    {f"rectangle/{code}" for code in ("bl", "bq", "gf", "gp", "mf", "pm", "re", "sh", "wf", "yt")}
)
"""Flags that are drawn as the flag of a country on another continent (France, the Netherlands, the United Kingdom)."""


def read_flags(folders: Folders) -> Iterator[Item]:
    """Yield each country's flag as a rectangle and as a disc."""
    from harness.data.pictures import from_file

    rectangles, discs = folders["flag_icons"] / "package", folders["circle_flags"] / "package" / "flags"
    for country in json.loads((rectangles / "country.json").read_text(encoding="utf-8")):
        continent = CONTINENTS.get(country.get("continent", ""))
        if continent is None:
            continue
        code, caption = country["code"], f"flag of {country['name']}"
        for shape, path in (("rectangle", rectangles / country["flag_4x3"]), ("disc", discs / f"{code}.svg")):
            if path.is_file() and f"{shape}/{code}" not in BORROWED:
                draw = functools.partial(from_file, path)
                yield Item(f"{shape}/{code}", continent, code, shape, draw=draw, caption=caption)


FLAGS: Final = Rule("flag_continent", ("flag_icons", "circle_flags"), read_flags, "one country in both shapes together")
RULES: Final = (FLAGS,)


@task("flag_continent", family="flags")
def flag_continent(shape: Literal["all", "rectangle", "disc"] = "all", size: int = DEFAULT_SIZE) -> Task:
    """On which continent the country of a flag lies."""
    return picture_task(FLAGS, shape, size)
