"""Tasks made smaller in every split."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from harness.errors import HarnessError
from harness.tasks.at_most import at_most
from harness.tasks.base import Split, Task
from harness.tasks.inputs import Texts

LABELS = torch.tensor([0, 0, 1, 0, 1, 2, 0, 1])


def load(split: str) -> Split:
    return Split(torch.arange(8.0).unsqueeze(1) + 100 * len(split), LABELS)


def toy() -> Task:
    counts = {"train": (4, 3, 1), "test": (4, 3, 1)}
    return Task("toy", 3, ("a", "b", "c"), (1,), {"train": 8, "test": 8}, {"provider": "test"}, load, counts)


@pytest.mark.parametrize("split", ["train", "test"])
def test_no_class_has_more_in_any_split(split: str) -> None:
    made = at_most(of=toy(), n=2)
    data = made.split(split)
    assert made.name == "at_most(of=toy, n=2)" and made.sizes == {"train": 5, "test": 5}
    assert data.labels.bincount().tolist() == [2, 2, 1] == list(made.class_sizes[split])
    whole = load(split)
    positions = [whole.inputs.flatten().tolist().index(value) for value in data.inputs.flatten().tolist()]
    assert positions == sorted(positions) and whole.labels[positions].tolist() == data.labels.tolist()


def test_fewer_are_among_the_more_and_seeds_differ() -> None:
    few, more = (set(at_most(of=toy(), n=n).split("train").inputs.flatten().tolist()) for n in (1, 3))
    assert few < more
    picks = {tuple(at_most(of=toy(), n=1, seed=seed).split("train").inputs.flatten().tolist()) for seed in range(8)}
    assert len(picks) > 1
    assert at_most(of=toy(), n=1, seed=1).identity() != at_most(of=toy(), n=1).identity()


def test_inputs_that_are_read_later_stay_unread() -> None:
    class Unread(Texts):
        def __getitem__(self, chosen: Any) -> Any:
            raise AssertionError("nothing was to be read")

        def take(self, chosen: Any) -> Unread:
            return Unread([self.texts[place] for place in chosen.tolist()])

    data = Split(Unread([f"text {place}" for place in range(8)]), LABELS)  # type: ignore[arg-type]  # like a tensor
    made = at_most(of=replace(toy(), input_shape=(), load=lambda split: data), n=1)
    assert len(made.split("train").inputs) == 3


def test_what_cannot_be_made_is_refused() -> None:
    with pytest.raises(HarnessError, match="at least 1"):
        at_most(of=toy(), n=0)
    with pytest.raises(HarnessError, match="does not say how many examples each class has"):
        at_most(of=replace(toy(), class_sizes={}), n=1)


def test_examples_of_several_classes_are_not_cut() -> None:
    several = replace(toy(), multi_label=True, metric="map_11")
    with pytest.raises(HarnessError, match="at_most: toy has several classes an example"):
        at_most(of=several, n=2)
