"""Playing cards of many decks: rank and suit. Decks drawn by the same hand lie in one split."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from harness.data.items import Item
from harness.tasks.base import Task, task
from harness.tasks.packaged import DEFAULT_SIZE, Folders, Rule, picture_task

if TYPE_CHECKING:
    from PIL import Image

RANKS: Final = (
    "ace", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "jack", "queen", "king",
)  # fmt: skip
SUITS: Final = ("clubs", "diamonds", "hearts", "spades")
SHEET_ROWS: Final = 5
"""Four suits, and a row of jokers and backs."""

OTHER_SUITS: Final = ("swiss-xvii",)
"""Decks with other suits than these."""

SAME_HAND: Final = {
    "anglo_bitmap": "anglo",
    "anglo_modern": "anglo",
    "anglo_modern_4_color": "anglo",
    "anglo_poker": "anglo",
    "gnomangelo": "anglo",
    "gnomangelo_bitmap": "anglo",
    "atlasnye_skat": "atlasnye",
    "Атласные": "atlasnye",
    "neoclassical_4_color": "neoclassical",
    "tango_nuevo": "tango",
}
"""Variants of a deck: two decks share their court pictures, others their drawing at other sizes or colours."""


def read_cards(label: Literal["rank", "suit"], folders: Folders) -> Iterator[Item]:
    """Yield the 52 cards of each deck."""
    base = folders["gnome_cards"] / "usr" / "share" / "aisleriot" / "cards"
    for path in sorted(base.glob("*.svgz")):
        if path.stem in OTHER_SUITS:
            continue
        for row, suit in enumerate(SUITS):
            for column, rank in enumerate(RANKS):
                yield Item(
                    f"{path.stem}/{suit}/{rank}",
                    rank if label == "rank" else suit,
                    SAME_HAND.get(path.stem, path.stem),
                    draw=functools.partial(draw_card, path, row, column),
                    caption=f"{rank} of {suit}",
                )


def draw_card(path: Path, row: int, column: int, size: int) -> Image.Image:
    """Cut one card out of the sheet of its deck, `size` pixels wide."""
    from harness.data.pictures import rendered_sheet

    whole = rendered_sheet(path, len(RANKS) * size)
    width, height = whole.width / len(RANKS), whole.height / SHEET_ROWS
    edges = (column * width, row * height, (column + 1) * width, (row + 1) * height)
    return whole.crop(tuple(round(edge) for edge in edges))  # type: ignore[arg-type]  # four numbers they are


def _rule(name: str, label: Literal["rank", "suit"], classes: tuple[str, ...]) -> Rule:
    read = functools.partial(read_cards, label)
    return Rule(name, ("gnome_cards",), read, "decks drawn by one hand together", classes=classes)


RANK: Final = _rule("card_rank", "rank", RANKS)
SUIT: Final = _rule("card_suit", "suit", SUITS)
RULES: Final = (RANK, SUIT)


@task("card_rank", family="cards", domain="cards")
def card_rank(size: int = DEFAULT_SIZE) -> Task:
    """The rank of a playing card."""
    return picture_task(RANK, size=size)


@task("card_suit", family="cards", domain="cards")
def card_suit(size: int = DEFAULT_SIZE) -> Task:
    """The suit of a playing card."""
    return picture_task(SUIT, size=size)
