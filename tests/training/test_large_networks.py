"""On a CPU the large networks of a batch train one after the other: no padding, and the bits of each alone."""

from __future__ import annotations

import pytest

from harness.backbones.small import Mlp, SmallCnn
from harness.backbones.small_cnn8 import small_cnn8
from harness.graph import Stopped
from harness.training import loop
from harness.training.networks import stacked_network
from harness.training.settings import Budget
from harness.training.stages import train
from tests.training.places import Place, run_batch, same_bits
from tests.training.toys import cloud

BUDGET = Budget(steps=12, batch_size=7)


def calls() -> list:
    return [
        train.bind(task=cloud(task), backbone=Mlp(hidden=13), budget=BUDGET, seed=seed)
        for seed, task in enumerate(("one", "two", "three"))
    ]


@pytest.fixture
def widths(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Every network counts as large; the widths of the tensor programs that run."""
    seen: list[int] = []
    inner = loop._Run.__init__

    def noted(self, program, members, width, ctx) -> None:
        seen.append(width)
        inner(self, program, members, width, ctx)

    monkeypatch.setattr(loop, "LARGE_STEP", 0.0)
    monkeypatch.setattr(loop._Run, "__init__", noted)
    return seen


def test_each_is_trained_once_and_padding_never(widths: list[int]) -> None:
    together = run_batch(calls(), {})
    assert widths == [1, 1, 1], "the batch has eight places, five of them padding"
    for stage, result in zip(calls(), together, strict=True):
        (alone,) = run_batch([stage], {})
        assert same_bits(result.tensors, alone.tensors)


def test_those_that_ended_before_a_stop_are_not_trained_again(widths: list[int]) -> None:
    straight = run_batch(calls(), {})
    places = [Place() for _ in calls()]
    places[0].stop_after = 12 + 5
    with pytest.raises(Stopped):
        run_batch(calls(), {}, places)
    steps = [place.checkpoint.saved[1]["step"] for place in places[:2] if place.checkpoint.saved]
    assert steps == [12, 5] and places[2].checkpoint.saved is None
    places[0].stop_after = None
    for before, after in zip(straight, run_batch(calls(), {}, places), strict=True):
        assert same_bits(before.tensors, after.tensors)


def test_operations_are_counted_as_written_down() -> None:
    """A multiplication and an addition for every weight of a dense layer and, in a convolution, for every pixel."""
    dense = stacked_network(Mlp(hidden=13, depth=1), (3, 4, 5), 7).operations((3, 4, 5))
    assert dense == 2 * (60 * 13 + 13 * 7)
    convolved = stacked_network(SmallCnn(width=4, groups=2), (1, 8, 8), 10).operations((1, 8, 8))
    assert convolved == 2 * (9 * 4 * 64 + 9 * 4 * 8 * 16 + 9 * 8 * 8 * 4 + 8 * 4 * 10)


def test_small_images_are_batched_and_photographs_are_not() -> None:
    def together(backbone, shape, batch: int, device: str) -> int:
        program = loop.Program(backbone, 10, shape, 5, "accuracy", loop.CheckpointRule(), loop.Numerics())
        return loop._together(program, batch, 8, device)

    assert together(SmallCnn(), (1, 8, 8), 32, "cpu") == 8
    assert together(small_cnn8(shrink=3), (3, 96, 96), 32, "cpu") == 1
    assert together(small_cnn8(shrink=3), (3, 96, 96), 32, "cuda") == 8
