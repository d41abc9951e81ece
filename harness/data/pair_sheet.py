"""One picture that shows pairs of examples side by side, for judging with one's own eyes whether they are the same."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from harness.data.contact_sheet import BLACK, CELL, GAP, GREY, LINE, label_font, thumbnail

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

COLUMNS: Final = 5
WORDS: Final = 34
TEXT_WIDTH: Final = 1300
TEXT_LETTERS: Final = 190


@dataclass(frozen=True)
class ShownPair:
    """Two examples, what each is said to be, and what is said of the pair."""

    learned: Any
    tested: Any
    learned_class: str
    tested_class: str
    about: str


def pair_sheet(pairs: Sequence[ShownPair], path: Path) -> Path:
    """Write a PNG with the pairs, the learned example left of (or, for texts, above) the tested one; return its path.

    Pictures [c, h, w] go from 0 to 1. Pairs of texts and pairs of pictures may stand together.
    """
    from PIL import Image

    texts = [pair for pair in pairs if isinstance(pair.learned, str)]
    pictures = [pair for pair in pairs if not isinstance(pair.learned, str)]
    parts = [make(chosen) for make, chosen in ((_picture_sheet, pictures), (_text_sheet, texts)) if chosen]
    width = max((part.width for part in parts), default=CELL)
    sheet = Image.new("RGB", (width, sum(part.height for part in parts) or CELL), GREY)
    top = 0
    for part in parts:
        sheet.paste(part, (0, top))
        top += part.height
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)
    return path


def _picture_sheet(pairs: Sequence[ShownPair]) -> Image.Image:
    from PIL import Image, ImageDraw

    width, height = 2 * CELL + WORDS * 7 // 2 + GAP, CELL + 3 * LINE + GAP
    rows = -(-len(pairs) // COLUMNS)
    sheet = Image.new("RGB", (min(len(pairs), COLUMNS) * width, rows * height), GREY)
    drawing = ImageDraw.Draw(sheet)
    for number, pair in enumerate(pairs):
        left, top = number % COLUMNS * width, number // COLUMNS * height
        for place, example in enumerate((pair.learned, pair.tested)):
            sheet.paste(thumbnail(example), (left + place * (CELL + GAP), top))
        classes = pair.learned_class if pair.learned_class == pair.tested_class else (
            f"{pair.learned_class} | {pair.tested_class}"
        )  # fmt: skip
        lines = [*textwrap.wrap(pair.about, WORDS)[:2], textwrap.shorten(classes, WORDS)]
        _write(drawing, lines, left, top + CELL)
    return sheet


def _text_sheet(pairs: Sequence[ShownPair]) -> Image.Image:
    from PIL import Image, ImageDraw

    height = 3 * LINE + GAP
    sheet = Image.new("RGB", (TEXT_WIDTH, len(pairs) * height), GREY)
    drawing = ImageDraw.Draw(sheet)
    for number, pair in enumerate(pairs):
        lines = [
            f"{pair.about} ({pair.learned_class} | {pair.tested_class})",
            *(textwrap.shorten(text, TEXT_LETTERS) for text in (pair.learned, pair.tested)),
        ]
        _write(drawing, lines, 4, number * height)
    return sheet


def _write(drawing: ImageDraw.ImageDraw, lines: Sequence[str], left: int, top: int) -> None:
    for number, line in enumerate(lines):
        drawing.text((left, top + number * LINE), line, fill=BLACK, font=label_font())
