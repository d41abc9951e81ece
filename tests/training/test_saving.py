"""A training that is killed without warning goes on from its last periodic save; what is saved is each member's own."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from harness.backbones.small import Mlp
from harness.graph import Stage
from harness.training.rules import CheckpointRule
from harness.training.settings import Budget, Optimiser
from harness.training.stages import train
from tests.training.places import Place, run_batch, same_bits
from tests.training.toys import cloud, poison


def calls(name: str = "sgd") -> list[Stage]:
    """Two trainings of 20 steps with batches of 7, looked at every 4 steps."""
    rule = CheckpointRule(keep="best", every=4)
    how = Optimiser(name, lr=0.05)  # type: ignore[arg-type]  # a parametrised literal
    return [
        train.bind(
            task=cloud(task), backbone=Mlp(hidden=6), budget=Budget(steps=20, batch_size=7), optimiser=how, rule=rule
        )
        for task in ("one", "two")
    ]


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_the_last_periodic_save_is_enough(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    straight = run_batch(calls(name), {})
    monkeypatch.setattr("harness.training.loop.SAVE_EVERY_SECONDS", -1.0)
    places = [Place(), Place()]
    run_batch(calls(name), {}, places)
    for place in places:
        assert place.checkpoint.saved is not None
        assert place.checkpoint.saved[1] == {"step": 16}, "the last look before the end"
    monkeypatch.undo()
    for before, after in zip(straight, run_batch(calls(name), {}, places), strict=True):
        assert same_bits(before.tensors, after.tensors) and before.header == after.header


def test_nothing_is_saved_of_a_short_training() -> None:
    places = [Place(), Place()]
    run_batch(calls(), {}, places)
    assert all(place.checkpoint.saved is None for place in places)


def test_a_saved_state_is_one_members_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.training.loop.SAVE_EVERY_SECONDS", -1.0)
    together, alone = [Place(), Place()], Place()
    run_batch(calls(), {}, together)
    run_batch(calls()[1:], {}, [alone])
    assert together[1].checkpoint.saved is not None and alone.checkpoint.saved is not None
    tensors, others = together[1].checkpoint.saved[0], alone.checkpoint.saved[0]
    assert same_bits(tensors, others)
    assert tensors["parameters/head.weight"].shape == (3, 6)
    assert tensors["losses"].shape == (20,) and bool((tensors["losses"][16:] == 0).all())


def test_a_training_that_diverges_late_says_when() -> None:
    """A rate so large that the loss overflows only after a few steps."""
    stage = train.bind(task=cloud(), backbone=Mlp(hidden=6), optimiser=Optimiser(lr=3e3, schedule="constant"))
    place = Place()
    (outcome,) = run_batch([stage], {}, [place])
    losses = [value for _, value in place.curves["train/loss"]]
    bad = [index for index, value in enumerate(losses) if not torch.isfinite(torch.tensor(value))]
    if isinstance(outcome, Exception):
        step = int(str(outcome).split("from step ")[1].split()[0])
        assert step > 1 and bad and 20 * bad[0] < step <= 20 * (bad[0] + 1)
    else:
        assert not bad


def test_a_diverged_training_leaves_its_curve() -> None:
    stages = [train.bind(task=poison(), backbone=Mlp(hidden=6), budget=Budget(steps=20))]
    place = Place()
    (outcome,) = run_batch(stages, {}, [place])
    assert "from step 1 on" in str(outcome)
    assert [step for step, _ in place.curves["train/loss"]] == list(range(2, 21, 2))


@pytest.mark.parametrize(("epochs", "steps"), [(1, 4), (3, 11)])
def test_passes_are_steps_rounded_up(epochs: int, steps: int) -> None:
    """24 examples in batches of 7."""
    by_passes = train(task=cloud(), backbone=Mlp(hidden=6), budget=Budget(epochs=epochs, batch_size=7), ctx=Place())
    by_steps = train(task=cloud(), backbone=Mlp(hidden=6), budget=Budget(steps=steps, batch_size=7), ctx=Place())
    assert same_bits(by_passes.tensors, by_steps.tensors)
    assert by_passes.header["kept_step"] == steps


def test_copies_that_fill_a_batch_leave_no_trace() -> None:
    """A member that fails at once makes room for copies of the last good one; they tell its place nothing."""
    silent = replace(cloud(), class_sizes={})  # a task that does not say how few examples a class has
    wrong = train.bind(task=silent, backbone=Mlp(hidden=6), shots=9, budget=Budget(steps=20, batch_size=7))
    places = [Place(), Place(), Place()]
    outcomes = run_batch([*calls(), wrong], {}, places)
    assert isinstance(outcomes[2], Exception) and "9 shots asked for" in str(outcomes[2])
    for place in places[:2]:
        assert [step for step, _ in place.curves["train/loss"]] == [4, 8, 12, 16, 20]
    assert not places[2].curves
