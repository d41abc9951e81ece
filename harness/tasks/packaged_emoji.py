"""Emoji in seven drawing styles: what kind of thing each shows. One emoji lies in one split in all styles."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal

from harness.data.items import Draw, Item
from harness.tasks.base import Task, task
from harness.tasks.packaged import DEFAULT_SIZE, Folders, Rule, picture_task, text_task

Style = Literal["all", "google", "twitter", "facebook", "apple", "openmoji_colour", "openmoji_line", "fluent_3d"]

Entry = Mapping[str, Any]
"""What the table of emoji says of one."""

EMPTY: Final = frozenset({"openmoji_line/1F195"})
"""Pictures on which nothing is drawn."""

SHEET_STYLES: Final = ("google", "twitter", "facebook", "apple")
SIDE: Final = 32
CELL: Final = SIDE + 2
"""Cells of a sheet have a border of one pixel."""

PACKAGES: Final = ("emoji", "openmoji", "fluent_emoji_3d")

FACES: Final = {
    "face-smiling": "smiling face",
    "face-affection": "affectionate face",
    "face-neutral-skeptical": "neutral or sceptical face",
    "face-concerned": "worried or sad face",
    "face-negative": "angry or evil face",
    "face-unwell": "ill face",
    "face-tongue": "face with tongue",
    "face-sleepy": "sleepy face",
    "cat-face": "cat face",
    "face-costume": "costume face",
}
NATURE: Final = {
    "animal-mammal": "mammal",
    "animal-bird": "bird",
    "animal-marine": "sea animal",
    "animal-bug": "insect",
    "animal-reptile": "reptile",
    "plant-flower": "flower",
    "plant-other": "plant",
}
FOOD: Final = {
    "food-fruit": "fruit",
    "food-vegetable": "vegetable",
    "food-prepared": "prepared meal",
    "food-asian": "Asian dish",
    "food-sweet": "dessert",
    "drink": "drink",
    "dishware": "dishware",
}
TRAVEL: Final = {
    "transport-ground": "ground vehicle",
    "transport-air": "aircraft",
    "transport-water": "boat",
    "place-building": "building",
    "place-geographic": "landscape",
    "sky & weather": "sky or weather",
    "time": "clock",
    "place-other": "scene",
}
OBJECTS: Final = {
    "clothing": "clothing",
    "tool": "tool",
    "household": "household item",
    "office": "office item",
    "book-paper": "book or paper",
    "light & video": "camera or light",
    "computer": "computer",
    "mail": "mail",
    "musical-instrument": "musical instrument",
    "money": "money",
    "medical": "medical item",
    "science": "science item",
}
SYMBOLS: Final = {
    "alphanum": "letters or numbers",
    "geometric": "geometric shape",
    "av-symbol": "media button",
    "arrow": "arrow",
    "transport-sign": "transport sign",
    "warning": "prohibition sign",
    "religion": "religious symbol",
    "zodiac": "zodiac sign",
    "heart": "heart",
}
ACTIVITIES: Final = {
    "sport": "sport",
    "game": "game",
    "event": "celebration",
    "arts & crafts": "arts and crafts",
    "award-medal": "medal",
}
SKETCH_GROUPS: Final = {
    "animals-nature": "animal or plant",
    "food-drink": "food or drink",
    "travel-places": "vehicle or place",
    "activities": "sport or activity",
    "objects": "object",
    "symbols": "symbol",
    "smileys-emotion": "face or emotion",
}
"""Flags are left out: as line drawings they are all the same rectangle."""
TEXT_GROUPS: Final = {**SKETCH_GROUPS, "flags": "flag", "people-body": "person or body"}


def read_emoji(labels: Mapping[str, str], folders: Folders) -> Iterator[Item]:
    """Yield every emoji of the wanted subcategories in every style that draws it."""
    table: list[Entry] = json.loads((folders["emoji"] / "package" / "emoji.json").read_text(encoding="utf-8"))
    wanted = [entry for entry in table if entry["subcategory"] in labels]
    for style, entry, draw in _drawings(folders, wanted):
        code, label = entry["unified"], labels[entry["subcategory"]]
        if f"{style}/{code}" not in EMPTY:
            yield Item(f"{style}/{code}", label, code, style, draw=draw, caption=entry["name"].lower())


def _drawings(folders: Folders, wanted: list[Entry]) -> Iterator[tuple[str, Entry, Draw]]:
    """Yield style, emoji and how to draw it."""
    from harness.data.pictures import from_file, sheet_cell

    for style in SHEET_STYLES:
        sheet = folders["emoji"] / "package" / "img" / style / "sheets" / "32.png"
        for entry in wanted:
            if entry[f"has_img_{style}"]:
                left, top = entry["sheet_x"] * CELL + 1, entry["sheet_y"] * CELL + 1
                yield style, entry, functools.partial(sheet_cell, sheet, left, top, SIDE)
    files = {
        "openmoji_colour": folders["openmoji"] / "package" / "color" / "svg",
        "openmoji_line": folders["openmoji"] / "package" / "black" / "svg",
        "fluent_3d": folders["fluent_emoji_3d"] / "package" / "assets",
    }
    for style, folder in files.items():
        for entry in wanted:
            path = _file_of(folder, entry)
            if path is not None:
                yield style, entry, functools.partial(from_file, path)


def _file_of(folder: Path, entry: Entry) -> Path | None:
    """Return the file of an emoji, which may be named with or without its variation selector."""
    for code in (entry["unified"], entry["non_qualified"]):
        if code:
            for name in (f"{code}.svg", f"{code.lower().replace('-', '_')}.webp", f"{code.lower()}.webp"):
                if (folder / name).is_file():
                    return folder / name
    return None


def read_sketches(folders: Folders) -> Iterator[Item]:
    """Yield the line drawings of OpenMoji in the seven groups that are wanted."""
    from harness.data.pictures import from_file

    base = folders["openmoji"] / "package"
    for entry in json.loads((base / "data" / "openmoji.json").read_text(encoding="utf-8")):
        path = base / "black" / "svg" / f"{entry['hexcode']}.svg"
        drawn = path.is_file() and f"openmoji_line/{entry['hexcode']}" not in EMPTY
        if drawn and entry["group"] in SKETCH_GROUPS:
            yield Item(
                entry["hexcode"],
                SKETCH_GROUPS[entry["group"]],
                entry["hexcode"],
                draw=functools.partial(from_file, path),
                caption=entry["annotation"],
            )


def read_names(folders: Folders) -> Iterator[Item]:
    """Yield name and tags of each emoji of OpenMoji, once for all skin tones."""
    path = folders["openmoji"] / "package" / "data" / "openmoji.json"
    for entry in json.loads(path.read_text(encoding="utf-8")):
        if entry["skintone"] == "" and entry["group"] in TEXT_GROUPS:
            text = f"{entry['annotation']}, {entry['tags']}"
            yield Item(entry["hexcode"], TEXT_GROUPS[entry["group"]], entry["tags"] or entry["hexcode"], text=text)


def _rule(name: str, labels: Mapping[str, str]) -> Rule:
    return Rule(name, PACKAGES, functools.partial(read_emoji, labels), "the same emoji in all styles together")


FACE: Final = _rule("emoji_face", FACES)
NATURE_RULE: Final = _rule("emoji_nature", NATURE)
FOOD_RULE: Final = _rule("emoji_food", FOOD)
TRAVEL_RULE: Final = _rule("emoji_travel", TRAVEL)
OBJECT: Final = _rule("emoji_object", OBJECTS)
SYMBOL: Final = _rule("emoji_symbol", SYMBOLS)
ACTIVITY: Final = _rule("emoji_activity", ACTIVITIES)
SKETCH: Final = Rule("openmoji_sketch", ("openmoji",), read_sketches, "each emoji by itself")
NAMES: Final = Rule("emoji_text_group", ("openmoji",), read_names, "emoji with the same tags together", kind="text")
RULES: Final = (FACE, NATURE_RULE, FOOD_RULE, TRAVEL_RULE, OBJECT, SYMBOL, ACTIVITY, SKETCH, NAMES)


@task("emoji_face", family="emoji")
def emoji_face(style: Style = "all", size: int = DEFAULT_SIZE) -> Task:
    """What face an emoji makes."""
    return picture_task(FACE, style, size)


@task("emoji_nature", family="emoji")
def emoji_nature(style: Style = "all", size: int = DEFAULT_SIZE) -> Task:
    """What kind of animal or plant an emoji shows."""
    return picture_task(NATURE_RULE, style, size)


@task("emoji_food", family="emoji")
def emoji_food(style: Style = "all", size: int = DEFAULT_SIZE) -> Task:
    """What kind of food an emoji shows."""
    return picture_task(FOOD_RULE, style, size)


@task("emoji_travel", family="emoji")
def emoji_travel(style: Style = "all", size: int = DEFAULT_SIZE) -> Task:
    """What kind of vehicle or place an emoji shows."""
    return picture_task(TRAVEL_RULE, style, size)


@task("emoji_object", family="emoji")
def emoji_object(style: Style = "all", size: int = DEFAULT_SIZE) -> Task:
    """What kind of object an emoji shows."""
    return picture_task(OBJECT, style, size)


@task("emoji_symbol", family="emoji")
def emoji_symbol(style: Style = "all", size: int = DEFAULT_SIZE) -> Task:
    """What kind of symbol an emoji is."""
    return picture_task(SYMBOL, style, size)


@task("emoji_activity", family="emoji")
def emoji_activity(style: Style = "all", size: int = DEFAULT_SIZE) -> Task:
    """What kind of activity an emoji stands for."""
    return picture_task(ACTIVITY, style, size)


@task("openmoji_sketch", family="emoji", domain="line drawing")
def openmoji_sketch(size: int = DEFAULT_SIZE) -> Task:
    """What a line drawing of an emoji shows."""
    return picture_task(SKETCH, size=size)


@task("emoji_text_group", family="emoji", domain="names and tags")
def emoji_text_group() -> Task:
    """To which group an emoji belongs, from its name and tags."""
    return text_task(NAMES)
