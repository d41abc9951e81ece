"""Glosses of WordNet: the field of a noun, the field of a verb, the part of speech. Equal glosses are one group."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from harness.data.items import Item
from harness.data.texts import one_line, same_words
from harness.tasks.base import Task, task
from harness.tasks.packaged import Folders, Rule, text_task

NOUN_FIELDS: Final = {
    4: "act", 5: "animal", 6: "artifact", 7: "attribute", 8: "body", 9: "cognition", 10: "communication",
    11: "event", 12: "feeling", 13: "food", 14: "group", 15: "location", 17: "natural object", 18: "person",
    19: "phenomenon", 20: "plant", 21: "possession", 22: "process", 23: "quantity", 24: "relation", 25: "shape",
    26: "state", 27: "substance", 28: "time",
}  # fmt: skip
VERB_FIELDS: Final = {
    29: "body", 30: "change", 31: "cognition", 32: "communication", 33: "competition", 34: "consumption",
    35: "contact", 36: "creation", 37: "emotion", 38: "motion", 39: "perception", 40: "possession", 41: "social",
    42: "stative", 43: "weather",
}  # fmt: skip
"""By the number of the lexicographer's file."""

PARTS: Final = {"noun": "noun", "verb": "verb", "adj": "adjective", "adv": "adverb"}


def glosses(folders: Folders, part: str) -> Iterator[tuple[str, int, str]]:
    """Yield offset, number of the field, and definition without examples, of each entry of a part of speech."""
    path: Path = folders["wordnet"] / "usr" / "share" / "wordnet" / f"data.{part}"
    for line in path.read_text(encoding="latin-1").split("\n"):
        if line and not line.startswith("  "):
            entry, _, gloss = line.partition("|")
            offset, field = entry.split()[:2]
            yield offset, int(field), one_line(gloss.split('; "')[0])


def read_fields(part: str, fields: Mapping[int, str], folders: Folders) -> Iterator[Item]:
    """Yield the glosses of one part of speech that belong to the wanted fields."""
    for offset, field, text in glosses(folders, part):
        if field in fields:
            yield Item(offset, fields[field], same_words(text), text=text)


def read_parts(folders: Folders) -> Iterator[Item]:
    """Yield the glosses of all parts of speech."""
    for part, name in PARTS.items():
        for offset, _, text in glosses(folders, part):
            yield Item(f"{part}/{offset}", name, same_words(text), text=text)


_TOGETHER: Final = "glosses of the same words together"
NOUNS: Final = Rule(
    "wn_noun_gloss", ("wordnet",), functools.partial(read_fields, "noun", NOUN_FIELDS), _TOGETHER, kind="text"
)
VERBS: Final = Rule(
    "wn_verb_gloss", ("wordnet",), functools.partial(read_fields, "verb", VERB_FIELDS), _TOGETHER, kind="text"
)
SPEECH: Final = Rule("wn_pos", ("wordnet",), read_parts, _TOGETHER, kind="text", classes=tuple(PARTS.values()))
RULES: Final = (NOUNS, VERBS, SPEECH)


@task("wn_noun_gloss", family="glosses", domain="nouns")
def wn_noun_gloss() -> Task:
    """The field of a noun from its definition."""
    return text_task(NOUNS)


@task("wn_verb_gloss", family="glosses", domain="verbs")
def wn_verb_gloss() -> Task:
    """The field of a verb from its definition."""
    return text_task(VERBS)


@task("wn_pos", family="glosses", domain="all words")
def wn_pos() -> Task:
    """The part of speech of a word from its definition."""
    return text_task(SPEECH)
