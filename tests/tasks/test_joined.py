"""Inputs end to end: what is read is what the parts hold, and no more than was asked for."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from harness.tasks.base import choose
from harness.tasks.inputs import Pictures, Texts
from harness.tasks.joined import Joined, join


class Counted:
    """Inputs that note which positions are read."""

    def __init__(self, values: Tensor) -> None:
        self.values, self.shape, self.read = values, tuple(values.shape), []

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, chosen: Any) -> Tensor:
        found = torch.arange(len(self.values))[chosen]
        self.read += found.tolist()
        return self.values[chosen]

    def take(self, chosen: Any) -> Counted:
        return Counted(self.values[chosen])


def parts(sizes: Sequence[int]) -> list[Counted]:
    values = torch.arange(float(sum(sizes) * 2)).view(-1, 2)
    return [Counted(piece) for piece in values.split(list(sizes))]


@settings(max_examples=60, deadline=None)
@given(sizes=st.lists(st.integers(0, 5), min_size=1, max_size=4), data=st.data())
def test_joined_inputs_are_indexed_like_one_tensor(sizes: list[int], data: st.DataObject) -> None:
    pieces = parts(sizes)
    whole, joined = torch.cat([piece.values for piece in pieces]), Joined(pieces)
    count = len(whole)
    assert len(joined) == count and joined.shape == tuple(whole.shape)
    places = data.draw(st.lists(st.integers(0, count - 1), max_size=8)) if count else []
    start, stop = sorted((data.draw(st.integers(0, count)), data.draw(st.integers(0, count))))
    mask = torch.tensor(data.draw(st.lists(st.booleans(), min_size=count, max_size=count)), dtype=torch.bool)
    assert torch.equal(joined[places], whole[torch.tensor(places, dtype=torch.int64)])
    assert torch.equal(joined[np.array(places, dtype=np.int64)], whole[torch.tensor(places, dtype=torch.int64)])
    assert torch.equal(joined[start:stop], whole[start:stop])
    assert torch.equal(joined[mask], whole[mask])
    assert torch.equal(joined[:], whole)
    for place in places[:2]:
        assert torch.equal(joined[place], whole[place])
    some = joined.take(torch.tensor(places, dtype=torch.int64))
    assert torch.equal(some[:], whole[torch.tensor(places, dtype=torch.int64)])
    assert torch.equal(some.take(slice(1, None))[:], whole[torch.tensor(places[1:], dtype=torch.int64)])


def test_only_what_is_asked_for_is_read() -> None:
    first, second = parts([4, 3])
    joined = Joined([first, second])
    some = joined.take([6, 1, 5])
    assert first.read == second.read == []
    assert some[1:].tolist() == [[2.0, 3.0], [10.0, 11.0]]
    assert (first.read, second.read) == ([1], [1])


def test_tensors_and_texts_become_one_and_pictures_stay_on_disk(tmp_path: Path) -> None:
    assert torch.equal(join([torch.zeros(2, 1), torch.ones(1, 1)]), torch.tensor([[0.0], [0.0], [1.0]]))
    assert list(join([Texts(["a"]), Texts(["b", "c"])])) == ["a", "b", "c"]
    alone = Texts(["a"])
    assert join([alone]) is alone
    np.save(tmp_path / "p.npy", np.arange(6, dtype=np.uint8).reshape(6, 1, 1, 1))
    pictures = Pictures(tmp_path / "p.npy", range(6), 1)
    joined = join([pictures, pictures.take([5, 4]), torch.zeros(1, 3, 1, 1)])
    assert isinstance(joined, Joined) and joined.shape == (9, 3, 1, 1)
    assert (joined[[7, 0, 8, 3]][:, 0, 0, 0] * 255).tolist() == pytest.approx([4, 0, 0, 3])
    sent = pickle.loads(pickle.dumps(joined))  # noqa: S301  (its own bytes)
    assert torch.equal(sent[:], joined[:])


def test_choosing_reads_nothing_that_is_not_in_memory() -> None:
    (piece,) = parts([4])
    assert choose(piece, torch.tensor([3, 0])).values.tolist() == [[6.0, 7.0], [0.0, 1.0]]
    assert piece.read == []
    mask = torch.tensor([True, False, False, True])
    assert choose(piece.values, mask).tolist() == [[0.0, 1.0], [6.0, 7.0]]
