"""Sentences of reviews from three sites: whether each is positive. Sentences of the same words are one group."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from typing import Final

from harness.data.items import Item
from harness.data.texts import one_line, same_words
from harness.tasks.base import Task, task
from harness.tasks.packaged import Folders, Rule, text_task

CLASSES: Final = ("negative", "positive")


def read_sentences(site: str, folders: Folders) -> Iterator[Item]:
    """Yield the sentences of one site; the empty row at the end of each file is left out."""
    path = folders["sentiment"] / "package" / "test" / "fixtures" / f"{site}.json"
    for number, row in enumerate(json.loads(path.read_text(encoding="utf-8"))):
        if row["class"] is not None:
            text = one_line(row["text"])
            yield Item(f"{number:04d}", CLASSES[row["class"]], same_words(text), text=text)


def _rule(site: str) -> Rule:
    read = functools.partial(read_sentences, site)
    return Rule(f"sent_{site}", ("sentiment",), read, "sentences of the same words together", "text", CLASSES)


IMDB: Final = _rule("imdb")
YELP: Final = _rule("yelp")
AMAZON: Final = _rule("amazon")
RULES: Final = (IMDB, YELP, AMAZON)


@task("sent_imdb", family="reviews", domain="films")
def sent_imdb() -> Task:
    """Whether a sentence about a film is positive."""
    return text_task(IMDB)


@task("sent_yelp", family="reviews", domain="restaurants")
def sent_yelp() -> Task:
    """Whether a sentence about a restaurant is positive."""
    return text_task(YELP)


@task("sent_amazon", family="reviews", domain="products")
def sent_amazon() -> Task:
    """Whether a sentence about a product is positive."""
    return text_task(AMAZON)
