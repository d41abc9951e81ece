"""Real pictures with their names, for training a vision-language model: emoji in seven styles, clip art, stamps.

What the tasks `HELD_OUT` show is left out, whole identities at a time: an emoji that one of them shows is missing in
all styles, and so are the folders of clip art and stamps that show the same things as signs, flags, icons, cards or
chess pieces. So what a model trained on these pairs does on those tasks without examples is a zero-shot result.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from harness.data.catalogue import package
from harness.data.fetch import require
from harness.data.items import Draw, Item
from harness.errors import HarnessError
from harness.tasks.packaged_clipart import ANIMALS, SIGNS, read_clipart
from harness.tasks.packaged_emoji import ACTIVITIES, FACES, TRAVEL, read_emoji
from harness.tasks.packaged_stamps import description, stamps_folder

if TYPE_CHECKING:
    from PIL import Image

    from harness.data.decoded import Decoded

PACKAGES: Final = ("emoji", "openmoji", "fluent_emoji_3d", "openclipart", "stamps")

HELD_OUT: Final = (
    "emoji_face", "emoji_travel", "emoji_activity", "clipart_animal", "clipart_sign", "flag_continent", "icon_context",
    "card_rank", "card_suit", "chess_piece",
)  # fmt: skip
"""Tasks of which nothing is shown; of all other packaged tasks but emoji, clip art and stamps nothing could be."""

NO_EMOJI: Final = frozenset({*FACES, *TRAVEL, *ACTIVITIES, "country-flag", "subdivision-flag", "flag", "skin-tone"})
NO_CLIPART: Final = (
    *(f"{folder}/" for folder in (*ANIMALS, *SIGNS)),
    "signs_and_symbols/flags/",
    "computer/icons/",
    "computer/buttons/",
    "recreation/games/",
    "shapes/stars/",
    "special/",
)
"""Folders of held-out tasks; collections of icons, cards and chess pieces; a thousand stars without a name."""
NO_STAMPS: Final = ("symbols/chess/", "town/flags/")
CLIPART: Final = (
    "animals", "buildings", "computer", "containers", "decorations", "education", "electronics", "food", "geography",
    "office", "people", "plants", "recreation", "science", "shapes", "signs_and_symbols", "tools", "transportation",
    "unsorted",
)  # fmt: skip

LONGEST: Final = 12
"""Words of a name; what follows is left away."""

BETWEEN: Final = "|"


@dataclass(frozen=True)
class PairSet:
    """All pairs at one size of picture. Known by the packages, by what is left out and by how pictures are drawn."""

    size: int = 32
    version: int = 1

    def __post_init__(self) -> None:
        if self.size < 1:
            raise HarnessError(f"pairs: size must be positive, not {self.size}")

    @property
    def name(self) -> str:
        """Its name for seeds."""
        return "packaged pairs"

    def identity(self) -> Mapping[str, Any]:
        """What makes the pairs what they are."""
        from harness.data.pictures import DECODING_VERSION

        return {
            "pairs": self.name,
            "version": self.version,
            "packages": {name: package(name).sha256 for name in PACKAGES},
            "held_out": sorted(HELD_OUT),
            "size": self.size,
            "decoding": DECODING_VERSION,
        }

    def modules(self) -> tuple[str, ...]:
        """Names of the modules whose code makes the pairs."""
        return (__name__, read_emoji.__module__, read_clipart.__module__, stamps_folder.__module__)

    def load(self) -> tuple[Any, tuple[tuple[str, ...], ...]]:
        """Return pictures [n, 3, size, size] uint8, and the names of each, the most particular one first.

        Raises HarnessError when a package is not on this machine.
        """
        import numpy as np
        import torch

        from harness.data.decoded import open_pictures

        stored = self.decoded()
        pictures = torch.from_numpy(np.array(open_pictures(stored.pictures)))
        drawn = [place for place, low in enumerate(pictures.flatten(1).amin(1).tolist()) if low < 255]
        return pictures[drawn], tuple(tuple(stored.captions[place].split(BETWEEN)) for place in drawn)

    def decoded(self) -> Decoded:
        """Return the pictures on disk, drawing them first when they are not there."""
        from harness.data.decoded import decoded

        digest = hashlib.sha256(json.dumps(self.identity(), sort_keys=True).encode()).hexdigest()
        return decoded(
            f"pairs-{self.size}", digest, "train", lambda: [(item, 0) for item in read_pairs()], self.size, _fit
        )


def read_pairs() -> list[Item]:
    """Return all pairs, sorted by key: pictures whose caption holds their names."""
    folders = {name: require(name) for name in PACKAGES}
    found = [*_emoji(folders), *_clipart(folders), *_stamps(folders)]
    return sorted(found, key=lambda item: item.key)


def _emoji(folders: Mapping[str, Path]) -> Iterator[Item]:
    """Emoji by name, by the tags of OpenMoji, and by the kind of thing they show."""
    table = json.loads((folders["emoji"] / "package" / "emoji.json").read_text(encoding="utf-8"))
    kinds = {entry["subcategory"]: entry["subcategory"] for entry in table if entry["subcategory"] not in NO_EMOJI}
    tags = json.loads((folders["openmoji"] / "package" / "data" / "openmoji.json").read_text(encoding="utf-8"))
    tagged = {entry["hexcode"]: entry["tags"].split(",") for entry in tags}
    for item in read_emoji(kinds, folders):
        names = (item.caption, *tagged.get(item.group, ()), item.label.replace("-", " "))
        yield _pair(f"emoji/{item.key}", names, item.draw)


def _clipart(folders: Mapping[str, Path]) -> Iterator[Item]:
    """Drawings by title and by the folders that they are in."""
    for item in read_clipart({place: place for place in CLIPART}, folders):
        if not item.key.startswith(NO_CLIPART):
            folder = item.key.split("/")[:-1]
            yield _pair(f"clipart/{item.key}", (item.caption, *(part.replace("_", " ") for part in folder)), item.draw)


def _stamps(folders: Mapping[str, Path]) -> Iterator[Item]:
    """Stamps by description and by the folders that they are in."""
    from harness.data.pictures import from_file

    base = stamps_folder(folders)
    for path in sorted(base.rglob("*")):
        key = path.relative_to(base).as_posix()
        turned = any(word in path.name for word in ("_mirror", "_flip"))
        if path.suffix in (".png", ".svg") and not turned and not key.startswith(NO_STAMPS):
            folder = [part.replace("_", " ") for part in key.split("/")[:-1] if part != "cartoon"]
            yield _pair(f"stamps/{key}", (description(path), *folder), functools.partial(from_file, path))


def _pair(key: str, names: tuple[str, ...], draw: Draw | None) -> Item:
    assert draw is not None
    cleaned = (" ".join(name.replace(BETWEEN, " ").casefold().split()[:LONGEST]) for name in names)
    caption = BETWEEN.join(dict.fromkeys(name for name in cleaned if name))
    return Item(key, "", key, draw=functools.partial(drawn_or_blank, draw), caption=caption)


def drawn_or_blank(draw: Draw, size: int) -> Image.Image:
    """Return a picture, blank where it cannot be drawn: `PairSet.load` leaves blank ones out."""
    from PIL import Image

    from harness.data.pictures import PictureError

    try:
        return draw(size)
    except PictureError:
        return Image.new("RGB", (size, size), (255, 255, 255))


def _fit(image: Image.Image, size: int) -> Image.Image:
    from harness.data.pictures import square

    return square(image.convert("RGB") if image.mode == "L" else image, size)
