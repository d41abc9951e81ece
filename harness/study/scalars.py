"""What a plain word in a study means.

YAML 1.1 turns ``on`` into true, ``010`` into 8, ``12:30:00`` into 45000 and leaves ``1e-3`` a string. Here a plain word
is a number only when it is written as a decimal number (``5``, ``-2``, ``0.1``, ``.5``, ``1e-3``), a boolean only as
``true`` or ``false``, null only as ``null`` or nothing at all, and otherwise the text that was written. A number that a
float cannot hold (``1e999``, ``1e-999``) stays text too, so that nothing is turned silently into something else.
"""

from __future__ import annotations

import math
import re

Scalar = None | bool | int | float | str

_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_WORDS: dict[str, Scalar] = {"": None, "null": None, "true": True, "false": False}
_OTHER_BASES = re.compile(r"[-+]?0(?:x[0-9a-fA-F]+|o[0-7]+|b[01]+)")
_LONGEST_NUMBER = 400
"""Digits beyond which a number is taken for text: no float needs as many, and Python refuses some thousands."""


def parse_scalar(text: str) -> Scalar:
    """Return what the plain (unquoted) word ``text`` means."""
    if text in _WORDS:
        return _WORDS[text]
    if len(text) > _LONGEST_NUMBER:
        return text
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return _exact_float(text)
    return text


def _exact_float(text: str) -> Scalar:
    """Return the float that ``text`` writes, or the text where that would overflow or vanish."""
    number = float(text)
    mantissa = re.split("[eE]", text)[0]
    vanished = number == 0 and any(digit in "123456789" for digit in mantissa)
    return text if math.isinf(number) or vanished else number


def spelling_hint(text: str) -> str:
    """Return `` (write 1000)`` for a text that elsewhere in the world is a number or a boolean, else nothing.

    Used in sentences about a text that stands where a number or boolean is wanted.
    """
    meant = _meant(text)
    return "" if meant is None else f" (write {meant})"


def _meant(text: str) -> str | None:
    lower = text.lower()
    if lower in ("true", "yes", "on", "y"):
        return "true"
    if lower in ("false", "no", "off", "n"):
        return "false"
    if lower in ("~", "null"):
        return "null"
    if _OTHER_BASES.fullmatch(lower):
        return str(int(lower, 0))
    plain = text.replace("_", "") if re.fullmatch(r"[-+]?[0-9][0-9_.]*(?:[eE][-+]?[0-9]+)?", text) else text
    without_zeros = re.sub(r"^([-+]?)0+(?=[0-9])", r"\1", plain)
    value = parse_scalar(without_zeros)
    return None if isinstance(value, str) or value is None else without_zeros
