"""Cleaning of texts, and what makes two of them one group."""

from __future__ import annotations

import hashlib
import re
from typing import Final

_REPLY: Final = re.compile(r"^(?:\s*(?:re|fwd?|aw|sv)\s*(?:\[\d+\])?\s*:|\s*\[[^\]]*\])+", re.IGNORECASE)
_WORD: Final = re.compile(r"\w+")


def one_line(text: str) -> str:
    """Return a text with every run of blanks and line ends as one blank."""
    return " ".join(text.split())


def same_words(text: str) -> str:
    """Return a digest that texts share when they differ in case, marks and blanks only."""
    return hashlib.sha256(" ".join(_WORD.findall(text.casefold())).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def thread(subject: str) -> str:
    """Return a mail's subject without what replies, forwards and mailing lists put before it."""
    return one_line(_REPLY.sub("", subject)).casefold()
