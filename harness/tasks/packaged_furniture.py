"""Rendered furniture with its names: in which room each stands. Whole catalogues are held out."""

from __future__ import annotations

import functools
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from harness.data.items import Item
from harness.tasks.base import Task, task
from harness.tasks.packaged import DEFAULT_SIZE, Folders, Rule, picture_task

ROOMS: Final = {
    "Bathroom": "bathroom",
    "Bedroom": "bedroom",
    "Characters": "people",
    "Exterior": "outdoors",
    "Kitchen": "kitchen",
    "Lights": "lights",
    "Living room": "living room",
    "Office": "office",
    "Vehicles": "vehicles",
}
"""The catalogues' categories. Left out: what is in none, stairs (two pieces), and doors and windows, which only the
catalogues for training hold."""

LISTING: Final = "PluginFurnitureCatalog.properties"
_PROPERTY: Final = re.compile(r"^(name|category|icon)#(\d+)=(.*)$", re.MULTILINE)
_ESCAPE: Final = re.compile(r"\\u([0-9a-fA-F]{4})")


def read_furniture(folders: Folders) -> Iterator[Item]:
    """Yield the pieces of each catalogue that stand in a room."""
    from harness.data.pictures import from_zip

    base = folders["furniture"] / "usr" / "share" / "sweethome3d" / "furniture"
    for path in sorted(base.glob("*.sh3f")):
        for number, piece in listing(path).items():
            room = ROOMS.get(piece.get("category", ""))
            if room is not None:
                draw = functools.partial(from_zip, path, piece["icon"].lstrip("/"))
                yield Item(f"{path.stem}/{number}", room, path.stem, path.stem, draw, caption=piece["name"].lower())


def listing(path: Path) -> dict[str, dict[str, str]]:
    """Return name, category and icon of each piece of a catalogue, by its number."""
    with zipfile.ZipFile(path) as catalogue:
        text = catalogue.read(LISTING).decode("latin-1")
    pieces: dict[str, dict[str, str]] = {}
    for field, number, value in _PROPERTY.findall(text):
        plain = _ESCAPE.sub(lambda match: chr(int(match.group(1), 16)), value)
        pieces.setdefault(number, {})[field] = plain.strip()
    return pieces


FURNITURE: Final = Rule(
    "furniture_room",
    ("furniture",),
    read_furniture,
    "by catalogue: train Scopia, KatorLegaz and Reallusion, val BlendSwap-CC-BY, test BlendSwap-CC-0",
    groups={
        "Scopia": "train",
        "KatorLegaz": "train",
        "Reallusion": "train",
        "BlendSwap-CC-BY": "val",
        "BlendSwap-CC-0": "test",
    },
)
RULES: Final = (FURNITURE,)


@task("furniture_room", family="furniture", domain="furniture")
def furniture_room(size: int = DEFAULT_SIZE) -> Task:
    """In which room a piece of furniture stands."""
    return picture_task(FURNITURE, size=size)
