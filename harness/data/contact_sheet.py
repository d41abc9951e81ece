"""Contact sheets: one picture that shows examples of every class, for looking at data with one's own eyes."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from PIL import Image, ImageDraw
    from PIL.ImageFont import FreeTypeFont

CELL: Final = 80
GAP: Final = 4
NAME_WIDTH: Final = 190
LINE: Final = 16
TEXT_WIDTH: Final = 1100
LETTERS: Final = 150
GREY: Final = (232, 232, 232)
BLACK: Final = (0, 0, 0)


class Shown(Protocol):
    """A task, as far as it is shown."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names by label."""

    def split(self, name: str) -> Any:
        """Load one split, with `inputs` and `labels`."""


def contact_sheet(task: Shown, path: Path, split: str = "train", per_class: int = 12) -> Path:
    """Write a PNG with up to `per_class` examples of every class, spread evenly over the split; return its path."""
    loaded = task.split(split)
    chosen = spread(loaded.labels.tolist(), len(task.class_names), per_class)
    texts = len(loaded.inputs.shape) == 1
    sheet = _text_sheet(task, loaded, chosen) if texts else _picture_sheet(task, loaded, chosen, per_class)
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)
    return path


def spread(labels: Sequence[int], n_classes: int, per_class: int) -> list[list[int]]:
    """Return for each class up to `per_class` positions, spread evenly over all of its examples."""
    members: list[list[int]] = [[] for _ in range(n_classes)]
    for position, label in enumerate(labels):
        members[label].append(position)
    return [
        [found[index * len(found) // min(per_class, len(found))] for index in range(min(per_class, len(found)))]
        for found in members
    ]


def _picture_sheet(task: Shown, loaded: Any, chosen: Sequence[Sequence[int]], per_class: int) -> Image.Image:
    from PIL import Image, ImageDraw

    size = (NAME_WIDTH + per_class * (CELL + GAP), len(chosen) * (CELL + GAP))
    sheet = Image.new("RGB", size, GREY)
    drawing = ImageDraw.Draw(sheet)
    for row, positions in enumerate(chosen):
        top = row * (CELL + GAP)
        _name(drawing, task.class_names[row], top)
        for column, position in enumerate(positions):
            sheet.paste(thumbnail(loaded.inputs[position]), (NAME_WIDTH + column * (CELL + GAP), top))
    return sheet


def thumbnail(picture: Any) -> Image.Image:
    """Return a tensor [c, h, w] from 0 to 1 as an image of one cell."""
    from PIL import Image

    pixels = (picture.float().clamp(0, 1) * 255).round().byte()
    array = pixels.expand(3, -1, -1).permute(1, 2, 0).contiguous().numpy()
    return Image.fromarray(array).resize((CELL, CELL), Image.Resampling.BICUBIC)


def _text_sheet(task: Shown, loaded: Any, chosen: Sequence[Sequence[int]]) -> Image.Image:
    from PIL import Image, ImageDraw

    rows = [
        (task.class_names[label], textwrap.shorten(str(loaded.inputs[position]), LETTERS))
        for label, positions in enumerate(chosen)
        for position in positions
    ]
    sheet = Image.new("RGB", (NAME_WIDTH + TEXT_WIDTH, max(1, len(rows)) * LINE), GREY)
    drawing = ImageDraw.Draw(sheet)
    for row, (name, text) in enumerate(rows):
        drawing.text((4, row * LINE), name, fill=BLACK, font=label_font())
        drawing.text((NAME_WIDTH, row * LINE), text, fill=BLACK, font=label_font())
    return sheet


def _name(drawing: ImageDraw.ImageDraw, name: str, top: int) -> None:
    for number, line in enumerate(textwrap.wrap(name, 26)[:4]):
        drawing.text((4, top + 4 + number * LINE), line, fill=BLACK, font=label_font())


def label_font() -> FreeTypeFont:
    """Return the font of names and captions."""
    import matplotlib
    from PIL import ImageFont

    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), 12)
