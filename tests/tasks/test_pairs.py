"""Pictures with their names: what is left out, what remains, and that nothing held out is shown."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from harness.data.catalogue import PACKAGES as CATALOGUE
from harness.data.fetch import is_ready
from harness.data.items import Item
from harness.data.pictures import PictureError
from harness.errors import HarnessError
from harness.registry import TASKS
from harness.tasks import pairs
from harness.tasks.manifest import rules
from harness.tasks.packaged import checked_items
from harness.tasks.pairs import HELD_OUT, PACKAGES, PairSet, drawn_or_blank, read_pairs


def needed() -> None:
    missing = [name for name in PACKAGES if not is_ready(CATALOGUE[name])]
    if missing:
        pytest.skip(f"not fetched: {', '.join(missing)}")


def plain(colour: tuple[int, int, int], size: int) -> Image.Image:
    return Image.new("RGB", (size, size), colour)


def broken(size: int) -> Image.Image:
    raise PictureError(f"nothing is drawn in {size} pixels")


# --- without any package --------------------------------------------------------------------------------------------


def test_identity_names_the_packages_and_what_is_held_out_and_no_path() -> None:
    known = PairSet(32).identity()
    assert set(known["packages"]) == set(PACKAGES) and known["held_out"] == sorted(HELD_OUT)
    assert "/" not in json.dumps(known["packages"])
    assert PairSet(32).identity() != PairSet(48).identity()
    assert all(TASKS.get(name) for name in HELD_OUT)
    with pytest.raises(HarnessError, match="positive"):
        PairSet(0)


def test_names_are_short_plain_and_each_once() -> None:
    made = pairs._pair(
        "k", ("A  Red|Apple", "fruit", "", "FRUIT", "one two " * 10), functools.partial(plain, (0, 0, 0))
    )
    names = made.caption.split("|")
    assert names[:2] == ["a red apple", "fruit"] and names.count("fruit") == 1 and "" not in names
    assert len(names[2].split()) == 12


def test_what_cannot_be_drawn_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    drawings = {"a": functools.partial(plain, (0, 9, 0)), "b": broken, "c": functools.partial(plain, (255, 255, 255))}
    items = [Item(key, "", key, draw=functools.partial(drawn_or_blank, draw), caption=f"{key}|letter")
             for key, draw in drawings.items()]  # fmt: skip
    monkeypatch.setattr(pairs, "read_pairs", lambda: items)
    pictures, names = PairSet(8).load()
    assert names == (("a", "letter"),)
    assert torch.equal(pictures, torch.tensor([0, 9, 0], dtype=torch.uint8).view(1, 3, 1, 1).expand(1, 3, 8, 8))


# --- the packages ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def found() -> list[Item]:
    needed()
    return read_pairs()


@pytest.mark.packaged
def test_there_are_pairs_of_every_kind_each_with_a_name(found: list[Item]) -> None:
    kinds = {key: sum(item.key.startswith(f"{key}/") for item in found) for key in ("emoji", "clipart", "stamps")}
    assert kinds["emoji"] > 8_000 and kinds["clipart"] > 2_000 and kinds["stamps"] > 900
    assert all(item.caption for item in found)
    assert len({item.key for item in found}) == len(found)


@pytest.mark.packaged
def test_no_emoji_of_a_held_out_task_is_shown_in_any_style(found: list[Item]) -> None:
    shown = {item.key.split("/")[-1] for item in found if item.key.startswith("emoji/")}
    for name in ("emoji_face", "emoji_travel", "emoji_activity"):
        items, _ = checked_items(rules()[name])
        held_out = {item.group for item in items}
        assert len(held_out) > 80 and not held_out & shown


@pytest.mark.packaged
def test_no_drawing_of_a_held_out_task_is_shown(found: list[Item]) -> None:
    shown = {item.key.removeprefix("clipart/") for item in found}
    for name in ("clipart_animal", "clipart_sign"):
        items, _ = checked_items(rules()[name])
        assert items and not {item.key for item in items} & shown


@pytest.mark.packaged
def test_flags_cards_icons_and_chess_pieces_are_not_shown(found: list[Item]) -> None:
    keys = [item.key for item in found]
    for word in ("chess", "computer/icons", "recreation/games", "symbols/flags", "town/flags"):
        assert not any(word in key for key in keys)
    flags = [item.caption for item in found if item.caption.startswith("flag:")]
    assert not flags
