"""Axes taken together: ``backbone+source`` is one axis whose values are the pairs that occur.

What a study of model selection ranks is a network, and that is a backbone and what it was trained on.
"""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from analysis.columns import labels, require_column

JOIN = "+"
BETWEEN = " / "


def with_joined(frame: pd.DataFrame, names: Iterable[object]) -> pd.DataFrame:
    """The frame with a column for every name that is several axes, ``a+b``, which it lacks: their labels together.

    Raises:
        HarnessError: when one of the axes is no column.
    """
    wanted = [n for n in dict.fromkeys(names) if isinstance(n, str) and JOIN in n and n not in frame.columns]
    return frame.assign(**{name: _joined(frame, name) for name in wanted}) if wanted else frame


def parts_of(name: str) -> tuple[str, ...]:
    """The axes that a name means: one, or those that it joins."""
    return tuple(name.split(JOIN))


def _joined(frame: pd.DataFrame, name: str) -> pd.Series:
    parts = parts_of(name)
    for part in parts:
        require_column(frame, part, f"the joined axis {name!r}")
    texts = [labels(frame[part]) for part in parts]
    whole = texts[0]
    for text in texts[1:]:
        whole = whole + BETWEEN + text
    return whole.rename(name)
