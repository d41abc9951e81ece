"""Values of several networks brought to one range."""

from __future__ import annotations

from collections.abc import Sequence


def spread_out(values: Sequence[float]) -> list[float]:
    """Return values from 0 to 1 over the zoo; all 0 where all are the same, so that the term says nothing."""
    low, high = min(values), max(values)
    return [0.0 if high == low else (value - low) / (high - low) for value in values]
