"""Names of tasks as figures show them: `mnist` for `at_most(of=mnist(size=32), n=100)`, where that tells it apart."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

_DERIVED = re.compile(r"\w+\((?:.*, )?of=(?P<inner>.+)\)")
_NAME = re.compile(r"(?P<name>\w+)(?:\([^()]*\))?")
_JOINT = " + "


def short_names(labels: Sequence[str]) -> dict[str, str]:
    """Return for each label the name of the task that it is derived from, without parameters; labels that would then
    be equal stay as they are. A set of tasks is shortened member by member. Other texts stay.

    Tables keep the whole names; this is for figures, where all of them would be cut in the middle.
    """
    members = {member for label in labels for member in label.split(_JOINT)}
    plain = {member: plain_name(member) for member in members}
    used = Counter(plain.values())
    unique = {member: name if used[name] == 1 else member for member, name in plain.items()}
    return {label: _JOINT.join(unique[member] for member in label.split(_JOINT)) for label in labels}


def plain_name(label: str) -> str:
    """Return the innermost name of a reference to a task, or the text itself where it is none."""
    inner = label
    while derived := _DERIVED.fullmatch(inner):
        inner = _first_argument(derived["inner"])
    found = _NAME.fullmatch(inner)
    return found["name"] if found else label


def _first_argument(text: str) -> str:
    """Cut a text at the first comma outside brackets."""
    depth = 0
    for place, sign in enumerate(text):
        depth += (sign == "(") - (sign == ")")
        if sign == "," and depth == 0:
            return text[:place]
    return text
