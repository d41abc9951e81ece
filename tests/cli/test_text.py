"""Plain text: columns, sizes, counts."""

from __future__ import annotations

import pytest

from harness.cli.text import columns, number, plural, size


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


@pytest.mark.parametrize(
    ("value", "said"),
    [(0, "0"), (0.000684, "0.000684"), (0.5, "0.5"), (12.345, "12.3"), (999.4, "999"), (999.5, "1,000"),
     (1023, "1,023"), (86400, "86,400"), (-1500, "-1,500")],
)  # fmt: skip
def test_numbers_have_no_exponent_where_people_read_them(value: float, said: str) -> None:
    assert number(value) == said


@pytest.mark.parametrize("exponent", range(5))
@pytest.mark.parametrize("count", [1, 1000, 1023])
def test_a_size_is_counted_in_its_unit(exponent: int, count: int) -> None:
    unit = ("B", "KiB", "MiB", "GiB", "TiB")[exponent]
    plain = size(count * 1024**exponent)
    assert plain.replace(",", "") == f"{count} {unit}"


def test_columns_are_as_wide_as_their_widest_cell_even_without_a_head() -> None:
    rows = [("", "bb", "c"), ("aaa", "", "c")]
    assert columns(rows).splitlines() == ["     bb  c", "aaa      c"]
    assert columns([("only",), ("one column",)]) == "only\none column"
