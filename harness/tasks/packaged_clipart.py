"""Drawings of the Open Clip Art Library: themes, animals, foods, signs, with the titles their authors gave them.

Many are there in colour and in black and white, or turned and recoloured: files whose names differ in nothing else
are one group. A name that is filed under two classes is left out: its picture has no one label.
"""

from __future__ import annotations

import functools
import hashlib
import html
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from harness.data.items import Item
from harness.tasks.base import Task, task
from harness.tasks.packaged import DEFAULT_SIZE, Folders, Rule, picture_task

THEMES: Final = {
    "animals": "animal",
    "food": "food",
    "plants": "plant",
    "people": "person",
    "transportation/vehicles": "vehicle",
    "transportation/boating": "vehicle",
    "buildings": "building",
    "tools": "tool",
    "office": "office item",
    "computer/hardware": "computer hardware",
    "recreation/music": "music",
    "recreation/sports": "sport",
    "recreation/holiday": "holiday",
    "signs_and_symbols/flags": "flag",
    "electronics": "electronics",
    "shapes/arrows": "arrow",
}
ANIMALS: Final = {
    "animals/birds": "bird",
    "animals/bugs": "insect",
    "animals/mammals": "mammal",
    "animals/fish": "fish",
    "animals/dinosaurs": "dinosaur",
}
FOODS: Final = {
    "food/fruit": "fruit",
    "food/desserts": "dessert",
    "food/beverages": "drink",
    "food/meats_and_eggs": "meat or eggs",
    "food/breads_and_carbs": "bread",
    "food/vegetables": "vegetable",
}
SIGNS: Final = {
    "transportation/roadsigns": "road sign",
    "signs_and_symbols/map_symbols": "map or public information symbol",
    "signs_and_symbols/weather": "weather symbol",
    "signs_and_symbols/clocks": "clock",
    "signs_and_symbols/led": "LED",
    "signs_and_symbols/flags/semaphore": "semaphore flag",
    "shapes/arrows": "arrow",
    "shapes/callouts": "speech bubble",
    "shapes/flowchart": "flowchart shape",
    "shapes/jigsaw": "jigsaw piece",
    "people/smilies": "smiley",
}

UNUSABLE: Final = frozenset(
    {
        "animals/birds/duck_yellow_ii_kurt_cagl_.svg",
        "animals/birds/penguin/tux_didier_fabert_01.svg",
        "electronics/bulb/light_bulb_karl_bartel_01.svg",
        "recreation/sports/badminton_racket_brice_b_01.svg",
        "recreation/sports/football_pitch__andy_bur_01.svg",
        "animals/fish/kallisti-grenade_1_nurbl_01.svg",
    }
)
"""Drawings of which nothing is seen, and a hand grenade among the fish."""

_TITLE: Final = re.compile(r"<dc:title>\s*([^<]+?)\s*</dc:title>")
_VARIANT: Final = re.compile(r"_(?:bw|black|blue|green|orange|red|white|yellow|left|right|up|down|\d)(?=_|$)")


def read_clipart(labels: Mapping[str, str], folders: Folders) -> Iterator[Item]:
    """Yield each drawing of the wanted folders once, by content."""
    from harness.data.pictures import from_svg_trimmed

    base = folders["openclipart"] / "usr" / "share" / "openclipart" / "svg"
    paths = {place: sorted((base / place).rglob("*.svg")) for place in labels}
    classes: dict[str, set[str]] = {}
    for place, found in paths.items():
        for path in found:
            classes.setdefault(path.name, set()).add(labels[place])
    seen: set[str] = set()
    for place, found in paths.items():
        for path in found:
            content = path.read_bytes()
            digest = hashlib.sha256(content).hexdigest()
            key = path.relative_to(base).as_posix()
            if len(classes[path.name]) == 1 and digest not in seen and key not in UNUSABLE:
                seen.add(digest)
                draw = functools.partial(from_svg_trimmed, path)
                yield Item(key, labels[place], series(path), draw=draw, caption=title(content))


def series(path: Path) -> str:
    """Return a drawing's name without what tells variants apart."""
    return _VARIANT.sub("", path.stem.lower()).rstrip("_")


def title(content: bytes) -> str:
    """Return the title in a drawing's metadata, or "" when it has none."""
    found = _TITLE.search(content.decode("utf-8", "replace"))
    return html.unescape(found.group(1)) if found else ""


def _rule(name: str, labels: Mapping[str, str]) -> Rule:
    return Rule(name, ("openclipart",), functools.partial(read_clipart, labels), "variants of one drawing together")


THEME: Final = _rule("clipart_theme", THEMES)
ANIMAL: Final = _rule("clipart_animal", ANIMALS)
FOOD: Final = _rule("clipart_food", FOODS)
SIGN: Final = _rule("clipart_sign", SIGNS)
RULES: Final = (THEME, ANIMAL, FOOD, SIGN)


@task("clipart_theme", family="clip art", domain="clip art")
def clipart_theme(size: int = DEFAULT_SIZE) -> Task:
    """What a drawing is about."""
    return picture_task(THEME, size=size)


@task("clipart_animal", family="clip art", domain="clip art")
def clipart_animal(size: int = DEFAULT_SIZE) -> Task:
    """What kind of animal is drawn."""
    return picture_task(ANIMAL, size=size)


@task("clipart_food", family="clip art", domain="clip art")
def clipart_food(size: int = DEFAULT_SIZE) -> Task:
    """What kind of food is drawn."""
    return picture_task(FOOD, size=size)


@task("clipart_sign", family="clip art", domain="clip art")
def clipart_sign(size: int = DEFAULT_SIZE) -> Task:
    """What kind of sign or symbol is drawn."""
    return picture_task(SIGN, size=size)
