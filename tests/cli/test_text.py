"""Plain text: columns, sizes, counts."""

from __future__ import annotations

import pytest

from harness.cli.text import columns, plural, size


def test_columns_align_and_leave_no_blanks_at_the_end() -> None:
    text = columns([("a", "one", ""), ("long", "x", "last")], indent="  ")
    assert text.splitlines() == ["  a     one", "  long  x    last"]
    assert columns([]) == ""


@pytest.mark.parametrize(
    ("nbytes", "said"), [(0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (1536, "1.5 KiB"), (3 * 2**40, "3 TiB")]
)
def test_sizes(nbytes: int, said: str) -> None:
    assert size(nbytes) == said


@pytest.mark.parametrize(("count", "said"), [(0, "0 trials"), (1, "1 trial"), (1200, "1,200 trials")])
def test_counts_agree_with_their_noun(count: int, said: str) -> None:
    assert plural(count, "trial") == said
