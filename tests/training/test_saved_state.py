"""What a member saves is its own, and finds its place again beside others."""

from __future__ import annotations

import torch

from harness.training.saved_state import put_back, save_each
from tests.training.places import Place


def stacked() -> dict[str, torch.Tensor]:
    return {"weight": torch.arange(12.0).view(3, 2, 2), "seen": torch.tensor([7, 8, 9])}


def test_members_find_their_own_in_another_order_and_the_last_fills_up() -> None:
    places = [Place(), Place()]
    save_each(stacked(), places, 5)
    first, second = (place.checkpoint.saved for place in places)
    assert first is not None and second is not None and first[1] == second[1] == {"step": 5}
    assert first[0]["weight"].tolist() == [[0, 1], [2, 3]] and int(second[0]["seen"]) == 8
    empty = {name: torch.zeros_like(tensor) for name, tensor in stacked().items()}
    put_back(empty, [second, first], 3)
    assert empty["seen"].tolist() == [8, 7, 7]
    assert torch.equal(empty["weight"], stacked()["weight"][[1, 0, 0]])


def test_what_is_saved_does_not_change_afterwards() -> None:
    state, place = stacked(), Place()
    save_each(state, [place], 1)
    state["weight"].zero_()
    assert place.checkpoint.saved is not None and place.checkpoint.saved[0]["weight"].sum() == 6


def test_nothing_saved_leaves_everything() -> None:
    state = stacked()
    put_back(state, [None, None], 3)
    assert all(torch.equal(tensor, stacked()[name]) for name, tensor in state.items())
