"""Writing: the radical of a Chinese character, and the script of a letter."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from harness.data.items import Item
from harness.tasks.base import Task, task
from harness.tasks.packaged import DEFAULT_SIZE, Folders, Rule, picture_task

if TYPE_CHECKING:
    from PIL import Image

RADICALS: Final = {
    "水": "water", "木": "tree", "手": "hand", "口": "mouth", "心": "heart", "言": "speech", "金": "metal",
    "艸": "grass", "人": "person", "糸": "thread", "土": "earth", "女": "woman", "火": "fire", "竹": "bamboo",
    "日": "sun", "虫": "insect", "魚": "fish", "鳥": "bird", "石": "stone", "足": "foot",
}  # fmt: skip

SCRIPTS: Final = {
    "Latin": ("NotoSans", 0x41, 0x24F),
    "Greek": ("NotoSans", 0x370, 0x3FF),
    "Cyrillic": ("NotoSans", 0x400, 0x4FF),
    "Arabic": ("NotoSansArabic", 0x620, 0x6FF),
    "Hebrew": ("NotoSansHebrew", 0x5D0, 0x5EA),
    "Devanagari": ("NotoSansDevanagari", 0x904, 0x97F),
    "Bengali": ("NotoSansBengali", 0x985, 0x9EF),
    "Tamil": ("NotoSansTamil", 0xB85, 0xBF9),
    "Telugu": ("NotoSansTelugu", 0xC05, 0xC6F),
    "Thai": ("NotoSansThai", 0xE01, 0xE59),
    "Georgian": ("NotoSansGeorgian", 0x10A0, 0x10FF),
    "Armenian": ("NotoSansArmenian", 0x531, 0x587),
    "Ethiopic": ("NotoSansEthiopic", 0x1200, 0x135A),
    "Cherokee": ("NotoSansCherokee", 0x13A0, 0x13F5),
    "Khmer": ("NotoSansKhmer", 0x1780, 0x17B3),
    "Runic": ("NotoSansRunic", 0x16A0, 0x16F0),
    "Tifinagh": ("NotoSansTifinagh", 0x2D30, 0x2D67),
    "Yi": ("NotoSansYi", 0xA000, 0xA48C),
    "Canadian Aboriginal": ("NotoSansCanadianAboriginal", 0x1401, 0x166C),
    "Mongolian": ("NotoSansMongolian", 0x1820, 0x18AA),
}
"""Font, first and last code point."""

WEIGHTS: Final = ("Regular", "Bold")
LOOK: Final = 48
"""Side of the pictures in which letters are compared."""

_RADICAL: Final = re.compile(r'<g [^>]*kvg:radical="(?:general|tradit)"[^>]*>')
_NAMES: Final = (re.compile(r'kvg:original="(.)"'), re.compile(r'kvg:element="(.)"'))
_NUMBERS: Final = re.compile(r'<g id="kvg:StrokeNumbers.*?</g>', re.DOTALL)


def read_characters(folders: Folders) -> Iterator[Item]:
    """Yield the characters whose radical is one of the wanted, once each (variants are left out)."""
    for path in sorted((folders["kanjivg"] / "kanji").glob("?????.svg")):
        radical = radical_of(path.read_text(encoding="utf-8"))
        if radical is not None:
            yield Item(path.stem, radical, path.stem, draw=functools.partial(draw_strokes, path))


def radical_of(drawing: str) -> str | None:
    """Return the radical of a drawn character in words, or None when it is not one of the wanted."""
    for tag in _RADICAL.findall(drawing):
        match = _NAMES[0].search(tag) or _NAMES[1].search(tag)
        if match and match.group(1) in RADICALS:
            return RADICALS[match.group(1)]
    return None


def draw_strokes(path: Path, size: int) -> Image.Image:
    """Render the strokes of a character without their numbers."""
    from harness.data.pictures import from_svg

    drawing = _NUMBERS.sub("", path.read_text(encoding="utf-8"))
    return from_svg(drawing[drawing.index("<svg") :].encode(), size)


def read_letters(folders: Folders) -> Iterator[Item]:
    """Yield the letters of each script that its font has, in two weights.

    Marks, digits and signs are left out, and letters that look exactly like one of another script.
    """
    import unicodedata

    from harness.data.pictures import from_glyph

    found = list(_letters(folders))
    scripts: dict[bytes, set[str]] = {}
    for path, script, letter in found:
        scripts.setdefault(_look(path, letter), set()).add(script)
    for path, script, letter in found:
        if len(scripts[_look(path, letter)]) == 1:
            weight = path.stem.rpartition("-")[2]
            yield Item(
                f"{weight}/{ord(letter):04X}",
                f"{script} script",
                f"{ord(letter):04X}",
                weight.lower(),
                functools.partial(from_glyph, path, letter),
                caption=unicodedata.name(letter, "").lower(),
            )


def _letters(folders: Folders) -> Iterator[tuple[Path, str, str]]:
    """Yield font, script and letter."""
    import unicodedata

    base = folders["noto_fonts"] / "usr" / "share" / "fonts" / "truetype" / "noto"
    for script, (font, first, last) in SCRIPTS.items():
        for weight in WEIGHTS:
            path = base / f"{font}-{weight}.ttf"
            for point in sorted(_points(path)) if path.is_file() else ():
                if first <= point <= last and unicodedata.category(chr(point)).startswith("L"):
                    yield path, script, chr(point)


@functools.cache
def _look(font: Path, letter: str) -> bytes:
    """Return the picture of a letter, for comparing it with others."""
    from harness.data.pictures import from_glyph

    return from_glyph(font, letter, LOOK).tobytes()


def _points(font: Path) -> frozenset[int]:
    """Return the code points for which a font has a glyph."""
    from fontTools.ttLib import TTFont

    with TTFont(font, lazy=True) as opened:
        return frozenset(opened.getBestCmap())


RADICAL: Final = Rule("kanji_radical", ("kanjivg",), read_characters, "each character by itself")
SCRIPT: Final = Rule("script_id", ("noto_fonts",), read_letters, "one letter in both weights together")
RULES: Final = (RADICAL, SCRIPT)


@task("kanji_radical", family="kanji", domain="strokes")
def kanji_radical(size: int = DEFAULT_SIZE) -> Task:
    """The radical of a Chinese character."""
    return picture_task(RADICAL, size=size)


@task("script_id", family="scripts")
def script_id(weight: Literal["all", "regular", "bold"] = "all", size: int = DEFAULT_SIZE) -> Task:
    """To which script a letter belongs."""
    return picture_task(SCRIPT, weight, size)
