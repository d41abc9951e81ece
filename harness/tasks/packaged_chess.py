"""Chess pieces of many sets. One set lies in one split, with its variants."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Final

from harness.data.items import Item
from harness.tasks.base import Task, task
from harness.tasks.packaged import DEFAULT_SIZE, Folders, Rule, picture_task

PIECES: Final = {"k": "king", "q": "queen", "r": "rook", "b": "bishop", "n": "knight", "p": "pawn"}
COLOURS: Final = {"w": "white", "b": "black"}
OTHER_GAMES: Final = ("makruk", "sittuyin")
"""Sets of related games with other pieces."""

SAME_HAND: Final = {"merida_new": "merida", "fantasy_alt": "fantasy"}
GREY: Final = (200, 200, 200)
"""Between white and black pieces."""


def read_pieces(folders: Folders) -> Iterator[Item]:
    """Yield the twelve pieces of each set that comes as one file a piece."""
    from harness.data.pictures import from_file

    base = folders["pychess"] / "usr" / "share" / "pychess" / "pieces"
    for path in sorted(base.glob("*/[wb][kqrbnp].svg")):
        maker = path.parent.name
        if maker in OTHER_GAMES:
            continue
        yield Item(
            f"{maker}/{path.stem}",
            PIECES[path.stem[1]],
            SAME_HAND.get(maker, maker),
            draw=functools.partial(from_file, path),
            caption=f"{COLOURS[path.stem[0]]} {PIECES[path.stem[1]]}",
        )


CHESS: Final = Rule("chess_piece", ("pychess",), read_pieces, "variants of one set together", background=GREY)
RULES: Final = (CHESS,)


@task("chess_piece", family="chess", domain="chess")
def chess_piece(size: int = DEFAULT_SIZE) -> Task:
    """Which piece of chess a picture shows."""
    return picture_task(CHESS, size=size)
