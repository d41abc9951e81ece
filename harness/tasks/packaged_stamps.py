"""Stamps of Tux Paint: cut-out photographs and drawings, each with a description in many languages."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

from harness.data.items import Item
from harness.data.texts import one_line
from harness.tasks.base import Task, task
from harness.tasks.packaged import DEFAULT_SIZE, Folders, Rule, picture_task, text_task

CATEGORIES: Final = {
    "animals/birds": "bird",
    "animals/insects": "insect",
    "animals/fish": "fish",
    "animals/mammals": "mammal",
    "clothes": "clothing",
    "food/fruit": "fruit",
    "food/vegetables": "vegetable",
    "plants": "plant",
    "vehicles": "vehicle",
    "household": "household item",
    "hobbies/music": "musical instrument",
    "space": "space",
    "seasonal": "seasonal decoration",
    "symbols/money": "money",
    "people": "person",
    "town/houses": "house",
    "sports": "sports equipment",
}
LANGUAGES: Final = {
    "en": "English", "fr": "French", "de": "German", "es": "Spanish", "it": "Italian", "pt": "Portuguese",
    "nl": "Dutch", "sv": "Swedish", "da": "Danish", "fi": "Finnish", "pl": "Polish", "cs": "Czech",
    "hu": "Hungarian", "ro": "Romanian", "tr": "Turkish", "el": "Greek", "ru": "Russian", "uk": "Ukrainian",
    "bg": "Bulgarian", "ar": "Arabic", "he": "Hebrew", "ja": "Japanese", "ko": "Korean",
    "zh_cn": "Simplified Chinese", "vi": "Vietnamese",
}  # fmt: skip

_TRANSLATION: Final = re.compile(r"([a-z]{2}(?:_[A-Z]{2})?)\.utf8=(.+)", re.IGNORECASE)
_VARIANT: Final = re.compile(r"[_-]?\d+$")


def stamps_folder(folders: Folders) -> Path:
    """Return the folder that holds the categories."""
    return folders["stamps"] / "usr" / "share" / "tuxpaint" / "stamps"


def read_stamps(folders: Folders) -> Iterator[Item]:
    """Yield the stamps of the wanted categories; files that differ in a number only are one group."""
    from harness.data.pictures import from_file

    base = stamps_folder(folders)
    for place, label in CATEGORIES.items():
        for path in sorted((base / place).rglob("*")):
            if path.suffix in (".png", ".svg") and not any(word in path.name for word in ("_mirror", "_flip")):
                key = path.relative_to(base).as_posix()
                domain = "cartoon" if "cartoon" in path.parts else "picture"
                group = f"{path.parent.relative_to(base).as_posix()}/{_VARIANT.sub('', path.stem)}"
                yield Item(key, label, group, domain, functools.partial(from_file, path), caption=description(path))


def description(path: Path) -> str:
    """Return a stamp's English description, or "" when it has none."""
    words = path.with_suffix(".txt")
    if not words.is_file():
        return ""
    return words.read_text(encoding="utf-8", errors="replace").partition("\n")[0].strip()


def read_languages(folders: Folders) -> Iterator[Item]:
    """Yield every description in every wanted language; the translations of one description are one group.

    A description that is spelled alike in several languages (a name, mostly) is left out.
    """
    base = stamps_folder(folders)
    found: dict[str, dict[str, tuple[str, str]]] = {}
    for path in sorted(base.rglob("*.txt")):
        for code, text in descriptions(path):
            place = (path.relative_to(base).as_posix(), text)
            found.setdefault(one_line(text).casefold(), {}).setdefault(code, place)
    groups = _same_english(base)
    for places in found.values():
        if len(places) == 1:
            ((code, (file, text)),) = places.items()
            yield Item(f"{code}:{file}:{text}", LANGUAGES[code], groups[file], text=text)


def descriptions(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the code of the language and the text of each description in a file, of the wanted languages."""
    first, *others = path.read_text(encoding="utf-8", errors="replace").split("\n")
    if first.strip():
        yield "en", first.strip()
    for line in others:
        match = _TRANSLATION.match(line)
        if match and match.group(1).lower() in LANGUAGES and match.group(2).strip():
            yield match.group(1).lower(), match.group(2).strip()


def _same_english(base: Path) -> dict[str, str]:
    """Return for each file its English description: files with the same one have the same translations."""
    files = sorted(base.rglob("*.txt"))
    return {path.relative_to(base).as_posix(): description(path).casefold() or path.stem for path in files}


STAMPS: Final = Rule("stamps", ("stamps",), read_stamps, "numbered variants together")
LANGUAGE: Final = Rule(
    "stamp_language", ("stamps",), read_languages, "translations of one description together", kind="text"
)
RULES: Final = (STAMPS, LANGUAGE)


@task("stamps", family="stamps")
def stamps(style: Literal["all", "picture", "cartoon"] = "all", size: int = DEFAULT_SIZE) -> Task:
    """What a stamp for children shows."""
    return picture_task(STAMPS, style, size)


@task("stamp_language", family="languages", domain="descriptions")
def stamp_language() -> Task:
    """In which of 25 languages a short description is."""
    return text_task(LANGUAGE)
