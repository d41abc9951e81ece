"""Inputs that are read when asked for."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from harness.tasks.inputs import Pictures, Texts


@pytest.fixture
def stored(tmp_path: Path) -> tuple[Path, np.ndarray]:
    pictures = np.random.default_rng(0).integers(0, 256, (10, 3, 4, 4), dtype=np.uint8)
    np.save(tmp_path / "p.npy", pictures)
    return tmp_path / "p.npy", pictures


def test_pictures_are_read_as_numbers_from_0_to_1(stored: tuple[Path, np.ndarray]) -> None:
    path, pictures = stored
    inputs = Pictures(path, range(10), 4)
    assert inputs.shape == (10, 3, 4, 4) and len(inputs) == 10
    assert torch.equal(inputs[3], torch.from_numpy(pictures[3]).float() / 255)
    assert inputs[3].shape == (3, 4, 4)
    assert torch.equal(inputs[2:5], torch.from_numpy(pictures[2:5]).float() / 255)
    assert torch.equal(inputs.bytes([1, 0]), torch.from_numpy(pictures[[1, 0]]))


@pytest.mark.parametrize(
    "chosen", [[7, 1], torch.tensor([7, 1]), np.array([7, 1]), (7, 1)], ids=["list", "tensor", "array", "tuple"]
)
def test_positions_may_come_in_any_form(stored: tuple[Path, np.ndarray], chosen: object) -> None:
    path, pictures = stored
    inputs = Pictures(path, range(10), 4)
    assert torch.equal(inputs.bytes(chosen), torch.from_numpy(pictures[[7, 1]]))
    assert torch.equal(inputs.take(chosen).bytes(), torch.from_numpy(pictures[[7, 1]]))
    wanted = torch.zeros(10, dtype=torch.bool)
    wanted[4] = True
    assert torch.equal(inputs.take(wanted).take([0]).bytes(), torch.from_numpy(pictures[[4]]))
    assert len(inputs.take([])) == 0 and inputs[[]].shape == (0, 3, 4, 4)


def test_grey_pictures_have_three_equal_channels(tmp_path: Path) -> None:
    grey = np.arange(32, dtype=np.uint8).reshape(2, 1, 4, 4)
    np.save(tmp_path / "g.npy", grey)
    read = Pictures(tmp_path / "g.npy", [1], 4)[:]
    assert read.shape == (1, 3, 4, 4)
    assert torch.equal(read[:, 0], read[:, 2]) and torch.equal(read[0, 0] * 255, torch.from_numpy(grey[1, 0]).float())


def test_what_is_read_may_be_written_without_touching_the_file(stored: tuple[Path, np.ndarray]) -> None:
    path, pictures = stored
    inputs = Pictures(path, range(10), 4)
    inputs.bytes(0).zero_()
    assert torch.equal(inputs.bytes(0), torch.from_numpy(pictures[0]))


def test_sending_pictures_sends_a_path(stored: tuple[Path, np.ndarray]) -> None:
    path, pictures = stored
    inputs = Pictures(path, [5], 4)
    inputs[:]
    sent = pickle.dumps(inputs)
    assert len(sent) < 1000
    assert torch.equal(pickle.loads(sent).bytes(), torch.from_numpy(pictures[[5]]))  # noqa: S301  (our own bytes)


def test_texts() -> None:
    texts = Texts(["a", "b", "c"])
    assert texts.shape == (3,) and len(texts) == 3 and list(texts) == ["a", "b", "c"]
    assert texts[1] == "b" and texts[torch.tensor(2)] == "c"
    assert (
        texts[1:] == ["b", "c"]
        and texts[[2, 0]] == ["c", "a"]
        and texts[torch.tensor([True, False, True])] == ["a", "c"]
    )
    assert texts.take([2]).texts == ["c"] and texts.take(0).texts == ["a"]
