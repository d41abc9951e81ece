"""Quotations by topic. Quotations of the same words are one group; those filed under two topics are left out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from harness.data.items import Item
from harness.data.texts import one_line, same_words
from harness.tasks.base import Task, task
from harness.tasks.packaged import Folders, Rule, text_task

TOPICS: Final = {
    "art": "art", "computers": "computers", "definitions": "definitions", "education": "education", "food": "food",
    "kids": "children", "law": "law", "linux": "Linux", "love": "love", "medicine": "medicine",
    "men-women": "men and women", "people": "people", "platitudes": "platitudes", "politics": "politics",
    "science": "science", "songs-poems": "songs and poems", "sports": "sports", "startrek": "Star Trek",
    "wisdom": "wisdom", "work": "work",
}  # fmt: skip
SHORTEST: Final = 20
LONGEST: Final = 600


def read_quotations(folders: Folders) -> Iterator[Item]:
    """Yield the quotations of middle length."""
    base = folders["fortunes"] / "usr" / "share" / "games" / "fortunes"
    found: list[tuple[str, str, str]] = []
    topics: dict[str, set[str]] = {}
    for place, topic in TOPICS.items():
        whole = (base / place).read_text(encoding="utf-8", errors="replace")
        for number, quotation in enumerate(whole.split("\n%\n")):
            text = one_line(quotation)
            if SHORTEST < len(text) < LONGEST:
                found.append((f"{place}/{number:05d}", topic, text))
                topics.setdefault(same_words(text), set()).add(topic)
    for key, topic, text in found:
        if len(topics[same_words(text)]) == 1:
            yield Item(key, topic, same_words(text), text=text)


QUOTATIONS: Final = Rule(
    "fortune_topic", ("fortunes",), read_quotations, "quotations of the same words together", kind="text"
)
RULES: Final = (QUOTATIONS,)


@task("fortune_topic", family="quotations", domain="quotations")
def fortune_topic() -> Task:
    """The topic of a quotation."""
    return text_task(QUOTATIONS)
