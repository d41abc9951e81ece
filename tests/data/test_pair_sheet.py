"""Sheets of pairs: both examples of every pair are on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from harness.data.contact_sheet import CELL, GAP, GREY
from harness.data.pair_sheet import COLUMNS, ShownPair, pair_sheet

Image = pytest.importorskip("PIL.Image")


def coloured(red: float, green: float) -> torch.Tensor:
    return torch.tensor([red, green, 0.0])[:, None, None].expand(3, 8, 8)


def test_both_pictures_of_each_pair_stand_side_by_side(tmp_path: Path) -> None:
    pairs = [ShownPair(coloured(1, 0), coloured(0, 1), "a", "b", f"pair {n}") for n in range(COLUMNS + 1)]
    path = pair_sheet(pairs, tmp_path / "deep" / "pairs.png")
    sheet = np.asarray(Image.open(path).convert("RGB"))
    assert (sheet[CELL // 2, CELL // 2] == (255, 0, 0)).all()
    assert (sheet[CELL // 2, CELL + GAP + CELL // 2] == (0, 255, 0)).all()
    # Each picture fills its cell: six of one colour, six of the other.
    for colour in ((255, 0, 0), (0, 255, 0)):
        assert int((sheet == colour).all(-1).sum()) == len(pairs) * CELL**2


def test_texts_are_written_below_pictures(tmp_path: Path) -> None:
    only = pair_sheet([ShownPair(coloured(1, 0), coloured(0, 1), "a", "a", "")], tmp_path / "one.png")
    texts = [ShownPair("some words", "other words", "a", "b", "0.9")]
    both = pair_sheet([*texts, ShownPair(coloured(1, 0), coloured(0, 1), "a", "a", "")], tmp_path / "two.png")
    first, second = (np.asarray(Image.open(path).convert("RGB")) for path in (only, both))
    assert second.shape[0] > first.shape[0]
    assert (second[first.shape[0] :] != GREY).any(), "letters"


def test_a_sheet_of_no_pair_is_a_picture(tmp_path: Path) -> None:
    assert Image.open(pair_sheet([], tmp_path / "none.png")).size[0] > 0
