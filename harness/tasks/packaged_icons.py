"""Desktop icons of five themes: what each stands for. Whole themes are held out: no hand is in two splits."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Final

from harness.data.items import Item
from harness.tasks.base import Task, task
from harness.tasks.packaged import DEFAULT_SIZE, Folders, Rule, picture_task

CONTEXTS: Final = {
    "actions": "action",
    "apps": "application",
    "categories": "menu category",
    "devices": "hardware device",
    "emotes": "emoticon",
    "mimes": "file type",
    "mimetypes": "file type",
    "places": "folder or place",
    "status": "status indicator",
}
"""By the folder's name, which the themes took from the same standard."""

THEMES: Final = {
    "tango": "tango_icons:usr/share/icons/Tango/32x32/{}",
    "gnome": "gnome_icons:usr/share/icons/gnome/48x48/{}",
    "oxygen": "oxygen_icons:usr/share/icons/oxygen/base/48x48/{}",
    "elementary": "elementary_icons:usr/share/icons/elementary-xfce/{}/48",
    "faenza": "faenza_icons:usr/share/icons/Faenza/{}/48",
}
"""Package and folder of each theme; links, which stand for the same icon under another name, are not unpacked."""


EMPTY: Final = frozenset(
    {
        "faenza/status/notification-network-wireless-none.png",
        "faenza/status/audio-volume-muted.png",
        "faenza/status/audio-volume-muted-panel.png",
    }
)
"""White on nothing: not to be seen."""


def read_icons(folders: Folders) -> Iterator[Item]:
    """Yield every icon of the wanted contexts in one size."""
    from harness.data.pictures import from_file

    for theme, place in THEMES.items():
        package, _, pattern = place.partition(":")
        for context, label in CONTEXTS.items():
            for path in sorted((folders[package] / pattern.format(context)).glob("*")):
                key = f"{theme}/{context}/{path.name}"
                if path.suffix in (".png", ".svg") and key not in EMPTY:
                    caption = path.stem.replace("-", " ").replace("_", " ")
                    yield Item(key, label, theme, theme, functools.partial(from_file, path), caption=caption)


ICONS: Final = Rule(
    "icon_context",
    tuple(place.partition(":")[0] for place in THEMES.values()),
    read_icons,
    "by theme: train tango, gnome and faenza, val elementary, test oxygen",
    groups={"tango": "train", "gnome": "train", "faenza": "train", "elementary": "val", "oxygen": "test"},
)
RULES: Final = (ICONS,)


@task("icon_context", family="desktop icons", domain="desktop icons")
def icon_context(size: int = DEFAULT_SIZE) -> Task:
    """What a desktop icon stands for."""
    return picture_task(ICONS, size=size)
