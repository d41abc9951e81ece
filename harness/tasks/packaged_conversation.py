"""Lines of conversation by topic. A question and its answers are one group."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from harness.data.items import Item
from harness.data.texts import same_words
from harness.tasks.base import Task, task
from harness.tasks.packaged import Folders, Rule, text_task

TOPICS: Final = {
    "ai": "artificial intelligence", "coding": "programming", "computers": "computers", "emotion": "emotion",
    "food": "food", "health": "health", "history": "history", "humor": "humour", "literature": "literature",
    "money": "money", "movies": "films", "politics": "politics", "psychology": "psychology", "science": "science",
    "sports": "sports",
}  # fmt: skip
FEWEST: Final = 25
"""Topics with fewer lines are left out."""

SHORTEST: Final = 15
_LINE: Final = re.compile(r"\s*-\s+(-\s+)?(.+)")


def read_lines(folders: Folders) -> Iterator[Item]:
    """Yield each line once, of the topics that have enough of them; a line under two topics is left out."""
    lines = {topic: list(_lines_of(folders, place)) for place, topic in TOPICS.items()}
    topics: dict[str, set[str]] = {}
    for topic, found in lines.items():
        for _, _, text in found:
            topics.setdefault(same_words(text), set()).add(topic)
    seen: set[str] = set()
    for topic, found in lines.items():
        for key, group, text in found if len(found) >= FEWEST else ():
            words = same_words(text)
            if len(topics[words]) == 1 and words not in seen:
                seen.add(words)
                yield Item(key, topic, group, text=text)


def _lines_of(folders: Folders, place: str) -> Iterator[tuple[str, str, str]]:
    """Yield key, conversation and text of each line that is long enough; a double dash opens a conversation."""
    path = folders["chatterbot"] / "chatterbot_corpus" / "data" / "english" / f"{place}.yml"
    conversation = 0
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n")):
        match = _LINE.match(line)
        if match is None:
            continue
        conversation += match.group(1) is not None
        if len(match.group(2)) > SHORTEST:
            yield f"{place}/{number:04d}", f"{place}/{conversation:04d}", match.group(2).strip("\"' \r")


LINES: Final = Rule("chatter_topic", ("chatterbot",), read_lines, "a question and its answers together", kind="text")
RULES: Final = (LINES,)


@task("chatter_topic", family="conversation", domain="conversation")
def chatter_topic() -> Task:
    """The topic of a line of conversation."""
    return text_task(LINES)
