"""Mails: wanted, hard to tell from spam, or spam. Mails of one subject are one group."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from harness.data.items import Item
from harness.data.texts import one_line, same_words, thread
from harness.tasks.base import Task, task
from harness.tasks.packaged import Folders, Rule, text_task

KINDS: Final = {
    "easy-ham-1": "wanted mail",
    "easy-ham-2": "wanted mail",
    "hard-ham-1": "newsletter",
    "spam-1": "spam",
    "spam-2": "spam",
}
LONGEST: Final = 1500
"""Letters of the body that are kept."""

_SUBJECT: Final = re.compile(r"^Subject: (.*)$", re.MULTILINE)
_TAG: Final = re.compile(r"<[^>]+>")


def read_mails(folders: Folders) -> Iterator[Item]:
    """Yield subject and beginning of each mail, without markup; other headers would give the answer away."""
    base = folders["spam_assassin"] / "package" / "data"
    for place, kind in KINDS.items():
        for path in sorted((base / place).glob("*.txt")):
            headers, _, body = path.read_text(encoding="latin-1").partition("\n\n")
            match = _SUBJECT.search(headers)
            subject = one_line(match.group(1)) if match else ""
            text = f"{subject} . {one_line(_TAG.sub(' ', body))[:LONGEST]}"
            yield Item(f"{place}/{path.stem}", kind, thread(subject) or same_words(text), text=text)


MAILS: Final = Rule("spam3", ("spam_assassin",), read_mails, "mails of one subject together", kind="text")
RULES: Final = (MAILS,)


@task("spam3", family="mail", domain="mail")
def spam3() -> Task:
    """Whether a mail is wanted, a newsletter or spam."""
    return text_task(MAILS)
