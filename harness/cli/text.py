"""Plain text for terminals and pipes: aligned columns, sizes, durations."""

from __future__ import annotations

from collections.abc import Sequence


def columns(rows: Sequence[Sequence[str]], indent: str = "") -> str:
    """Lay rows out in columns as wide as their widest cell; the last column is not padded."""
    if not rows:
        return ""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)]
    lines = ("  ".join([*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[-1]]) for row in rows)
    return "\n".join(indent + line.rstrip() for line in lines)


def size(nbytes: float) -> str:
    """Say a number of bytes with three significant digits and a binary unit."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if nbytes < 1024:
            return f"{number(nbytes)} {unit}" if unit != "B" else f"{nbytes:.0f} B"
        nbytes /= 1024
    return f"{number(nbytes)} TiB"


def number(value: float) -> str:
    """Say a number with three significant digits, and one from 1,000 on in full: ``0.25``, ``1,234``."""
    return f"{value:.3g}" if abs(value) < 999.5 else f"{value:,.0f}"


def plural(count: int, noun: str) -> str:
    """Say a count with its noun: ``1 trial``, ``1,200 trials``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
