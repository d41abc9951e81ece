"""What goes wrong for the user: one sentence each, never a traceback.

Everything else in the project may import this module; it imports nothing of ours.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class HarnessError(Exception):
    """A message for the user in one sentence; the command line prints it and exits with ``exit_status``."""

    exit_status = 2


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word most like ``word``, or None when none is alike."""
    candidates = sorted(set(known))
    folded = {name.casefold(): name for name in reversed(candidates)}
    match = difflib.get_close_matches(word.casefold(), folded, n=1, cutoff=0.6)
    return folded[match[0]] if match else None


def suggest(word: str, known: Iterable[str]) -> str:
    """Return `` (did you mean 'x'?)`` for the nearest known word, or the known words when they are few."""
    names = sorted(set(known))
    match = nearest(word, names)
    if match is not None:
        return f" (did you mean {match!r}?)"
    if 0 < len(names) <= 12:
        return f" (known: {', '.join(names)})"
    return ""
