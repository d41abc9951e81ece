"""Contact sheets: a row a class, its examples beside its name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from harness.data.contact_sheet import CELL, GAP, NAME_WIDTH, contact_sheet, spread
from harness.tasks.base import Split
from harness.tasks.inputs import Texts

Image = pytest.importorskip("PIL.Image")


@dataclass
class Shown:
    held: Split
    name: str = "toy"
    class_names: tuple[str, ...] = ("red", "green", "blue")

    def split(self, name: str) -> Split:
        return self.held


def test_each_row_shows_its_class(tmp_path: Path) -> None:
    labels = torch.tensor([2, 0, 1, 0, 2, 1])
    pictures = torch.zeros(6, 3, 10, 10)
    for position, label in enumerate(labels.tolist()):
        pictures[position, label] = 1
    path = contact_sheet(Shown(Split(pictures, labels)), tmp_path / "new" / "sheet.png", per_class=4)
    sheet = np.asarray(Image.open(path))
    assert sheet.shape == (3 * (CELL + GAP), NAME_WIDTH + 4 * (CELL + GAP), 3)
    for row in range(3):
        top = row * (CELL + GAP) + CELL // 2
        for column in range(2):
            pixel = sheet[top, NAME_WIDTH + column * (CELL + GAP) + CELL // 2]
            assert pixel.argmax() == row and pixel.max() > 240
        name = sheet[row * (CELL + GAP) : row * (CELL + GAP) + CELL, :NAME_WIDTH]
        assert name.min() < 50, "a name is written"


def test_grey_pictures_can_be_shown(tmp_path: Path) -> None:
    held = Split(torch.rand(3, 1, 8, 8), torch.tensor([0, 1, 2]))
    assert contact_sheet(Shown(held), tmp_path / "sheet.png").is_file()


def test_texts_are_written_as_lines(tmp_path: Path) -> None:
    held = Split(Texts(["one", "two", "three " * 100]), torch.tensor([0, 1, 1]))  # type: ignore[arg-type]
    sheet = np.asarray(Image.open(contact_sheet(Shown(held), tmp_path / "sheet.png")))
    assert (sheet[:, NAME_WIDTH:] < 50).any()


def test_examples_are_spread_over_the_whole_class() -> None:
    labels = [0] * 100 + [1] * 3
    first, second, none = spread(labels, 3, 4)
    assert first == [0, 25, 50, 75] and second == [100, 101, 102] and none == []
