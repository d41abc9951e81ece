"""Figures of a fantasy game: of which race each is. All pictures of one kind of fighter lie in one split."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Final

from harness.data.items import Item
from harness.tasks.base import Task, task
from harness.tasks.packaged import DEFAULT_SIZE, Folders, Rule, picture_task

RACES: Final = {
    "undead": "undead",
    "undead-skeletal": "undead",
    "drakes": "drake",
    "dwarves": "dwarf",
    "human-loyalists": "human",
    "human-outlaws": "human",
    "human-magi": "human",
    "elves-wood": "elf",
    "orcs": "orc",
    "goblins": "goblin",
    "nagas": "naga",
    "saurians": "saurian",
    "woses": "tree creature",
    "merfolk": "merfolk",
    "trolls": "troll",
    "monsters": "monster",
}
_EFFECT: Final = re.compile(r"^fire-ant-(?:flame|glow)")
"""Flames that are drawn over a figure, not a figure."""

_FIGHTER: Final = re.compile(r"wose(?:-(?:ancient|elder|sapling|shaman))?|[^-+.]+")


def read_figures(folders: Folders) -> Iterator[Item]:
    """Yield every picture of the wanted folders; the first word of its name is the kind of fighter."""
    from harness.data.pictures import from_file

    base = folders["wesnoth"] / "usr" / "share" / "games" / "wesnoth" / "1.16" / "data" / "core" / "images" / "units"
    for place, race in RACES.items():
        for path in sorted((base / place).rglob("*.png")):
            if _EFFECT.search(path.name):
                continue
            fighter = _FIGHTER.findall(path.name)[0]
            key = path.relative_to(base).as_posix()
            draw = functools.partial(from_file, path)
            yield Item(key, race, f"{race}/{fighter}", draw=draw, caption=f"{race} {fighter}")


FIGURES: Final = Rule("wesnoth_race", ("wesnoth",), read_figures, "pictures of one kind of fighter together")
RULES: Final = (FIGURES,)


@task("wesnoth_race", family="sprites", domain="sprites")
def wesnoth_race(size: int = DEFAULT_SIZE) -> Task:
    """The race of a figure in a fantasy game."""
    return picture_task(FIGURES, size=size)
