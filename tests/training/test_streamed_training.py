"""Trainings whose batches are made ahead: the same bits however they are made, wherever they stop."""

from __future__ import annotations

import functools
import math
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from harness.backbones.small import Mlp
from harness.errors import HarnessError
from harness.graph import Diverged, Stage, Stopped
from harness.tasks.base import Split, Task
from harness.tasks.inputs import Pictures
from harness.training import data, loop
from harness.training.augmentation import Augmentation, augmented
from harness.training.data import Order, sample
from harness.training.rules import CheckpointRule, Numerics
from harness.training.settings import Budget, Optimiser
from harness.training.stages import adapt, evaluate, initialise, train
from tests.training.places import Place, run_batch, same_bits
from tests.training.toys import cloud

NET = Mlp(hidden=5)
BUDGET = Budget(steps=12, batch_size=5)
ALL: tuple[Augmentation, ...] = ("random_crop", "horizontal_flip", "colour_jitter", "random_resized_crop")
COUNTS = {"train": 14, "val": 8, "test": 8}
SIZE = 6


def load_drawn(folder: str, split: str) -> Split:
    """Bright pictures of class 1, dark ones of class 0, on disk."""
    return Split(Pictures(Path(folder) / f"{split}.npy", range(COUNTS[split]), SIZE), torch.arange(COUNTS[split]) % 2)


def drawn(folder: Path, name: str = "drawn", seed: int = 0) -> Task:
    place = folder / name
    if not place.is_dir():
        place.mkdir()
        for number, (split, count) in enumerate(COUNTS.items()):
            values = np.random.default_rng([seed, number]).integers(0, 128, (count, 3, SIZE, SIZE), dtype=np.uint8)
            values[1::2] += 100
            np.save(place / f"{split}.npy", values)
    sizes = {split: (count // 2,) * 2 for split, count in COUNTS.items()}
    load = functools.partial(load_drawn, str(place))
    return Task(name, 2, ("dark", "bright"), (3, SIZE, SIZE), COUNTS, {"drawn": name, "seed": seed}, load, sizes)


@pytest.fixture
def on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every split too large to be read at once."""
    monkeypatch.setattr(data, "MOST_IN_MEMORY", 100)


def loaders(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(loop, "loaders_for", lambda *_: count)


def left_over() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("loader")]


def plain_loop(task: Task, initial: dict[str, Tensor], names: tuple[Augmentation, ...], seed: int) -> dict[str, Tensor]:
    """What an augmenting `train` should do, written with torch's own parts for one network."""
    whole = sample(task, ("train",), "all", seed, Place())
    network = NET.build(2, task.input_shape, torch.Generator())
    network.load_state_dict(initial)
    network.double()
    own = torch.optim.SGD(network.parameters(), 0.05, 0.9)
    order = Order(len(whole), BUDGET.batch_size, seed, task.name)
    for step in range(BUDGET.steps):
        for group in own.param_groups:
            group["lr"] = 0.05 * 0.5 * (1 + math.cos(math.pi * step / BUDGET.steps))
        chosen = order.at(step)
        seen = augmented(whole.inputs[chosen], names, seed, task.name, step).double()
        own.zero_grad()
        torch.nn.functional.cross_entropy(network(seen), whole.labels[chosen]).backward()
        own.step()
    return {name: parameter.detach() for name, parameter in network.named_parameters()}


def test_an_augmented_training_is_a_plain_loop_on_changed_pictures(tmp_path: Path) -> None:
    task, double = drawn(tmp_path), Numerics(precision="float64")
    begun = initialise(backbone=NET, input_shape=task.input_shape, n_classes=2, seed=3, ctx=Place())
    expected = plain_loop(task, dict(begun.tensors), ALL, 3)
    how = {"task": task, "backbone": NET, "budget": BUDGET, "optimiser": Optimiser(lr=0.05), "seed": 3}
    got = train(**how, numerics=double, augment=ALL, ctx=Place())
    for name, tensor in got.tensors.items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-9, atol=1e-11)
    plain = train(**how, numerics=double, ctx=Place())
    assert not same_bits(plain.tensors, got.tensors)


@pytest.mark.parametrize("augment", [(), ALL], ids=["plain", "augmented"])
def test_bits_do_not_depend_on_loaders_or_on_where_the_data_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, augment: tuple[Augmentation, ...]
) -> None:
    how = {"task": drawn(tmp_path), "backbone": NET, "budget": BUDGET, "seed": 1, "augment": augment}
    rule = CheckpointRule(keep="best", every=4)
    memory = train(**how, rule=rule, ctx=Place())
    monkeypatch.setattr(data, "MOST_IN_MEMORY", 100)
    for count in (0, 1, 3):
        loaders(monkeypatch, count)
        place = Place()
        disk = train(**how, rule=rule, ctx=place)
        assert same_bits(memory.tensors, disk.tensors) and memory.header == disk.header
        assert len(place.waits) == 1 and 0 < place.waits[0] < 1
    assert not left_over()


def test_a_batch_of_everything_is_changed_anew_at_every_step(tmp_path: Path) -> None:
    how = {"task": drawn(tmp_path), "backbone": NET, "optimiser": Optimiser(lr=0.05, momentum=0.0), "seed": 1}
    names: tuple[Augmentation, ...] = ("brightness",)
    place = Place()
    two = train(**how, budget=Budget(steps=2, batch_size=99), augment=names, ctx=place)
    whole = sample(how["task"], ("train",), "all", 1, Place())
    begun = initialise(backbone=NET, input_shape=(3, SIZE, SIZE), n_classes=2, seed=1, ctx=Place())
    network = NET.build(2, (3, SIZE, SIZE), torch.Generator())
    network.load_state_dict(dict(begun.tensors))
    for step, rate in ((0, 0.05), (1, 0.025)):
        seen = augmented(whole.inputs, names, 1, "drawn", step)
        loss = torch.nn.functional.cross_entropy(network(seen), whole.labels)
        for parameter, gradient in zip(
            network.parameters(), torch.autograd.grad(loss, list(network.parameters())), strict=True
        ):
            parameter.data -= rate * gradient
    for name, parameter in network.named_parameters():
        torch.testing.assert_close(two.tensors[name], parameter.detach(), rtol=1e-4, atol=1e-6)


def batch(folder: Path) -> list[Stage]:
    """Three trainings of one batch: two change their pictures, one does not."""
    changes: tuple[tuple[Augmentation, ...], ...] = (ALL, (), ("horizontal_flip",))
    return [
        train.bind(
            task=drawn(folder, f"t{number}", number), backbone=NET, budget=BUDGET, seed=number, augment=changes[number]
        )
        for number in range(3)
    ]


def test_no_member_sees_another(tmp_path: Path) -> None:
    stages = batch(tmp_path)
    assert len({stage.group() for stage in stages}) == 1
    together = run_batch(stages, {})
    for stage, one in zip(stages, together, strict=True):
        (alone,) = run_batch([stage], {})
        assert same_bits(alone.tensors, one.tensors)


@pytest.mark.usefixtures("on_disk")
@pytest.mark.parametrize("count", [0, 3])
def test_a_stopped_training_goes_on_to_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    stages = batch(tmp_path)
    straight = run_batch(stages, {})
    loaders(monkeypatch, count)
    places = [Place(stop_after=7) for _ in stages]
    with pytest.raises(Stopped, match="stopped after 7 of 12 steps"):
        run_batch(stages, {}, places)
    assert not left_over() and all(not place.waits for place in places)
    places[0].stop_after = None
    for before, after in zip(straight, run_batch(stages, {}, places), strict=True):
        assert same_bits(before.tensors, after.tensors)
    assert all(len(place.waits) == 1 for place in places)


@pytest.mark.usefixtures("on_disk")
def test_a_disk_that_fails_in_the_middle_is_said_and_leaves_no_thread(tmp_path: Path) -> None:
    class Failing(Place):
        """A place where the pictures are gone once the training runs."""

        def should_stop(self) -> bool:
            for path in (tmp_path / "drawn").glob("*.npy"):
                path.unlink()
            return False

    task = drawn(tmp_path)
    fresh = task.load

    def reopened(split: str) -> Split:
        return fresh(split)

    one = Task(task.name, 2, task.class_names, task.input_shape, COUNTS, {"own": str(tmp_path)}, reopened)
    monkey = Pictures.bytes

    def bytes_once(self: Pictures, chosen: object = slice(None)) -> Tensor:
        self._bytes = None  # opened anew for every batch
        return monkey(self, chosen)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(HarnessError, match="cannot be read"):
        patch.setattr(Pictures, "bytes", bytes_once)
        train(task=one, backbone=NET, budget=Budget(steps=500, batch_size=5), ctx=Failing())
    assert not left_over()


def test_what_diverges_leaves_no_thread(tmp_path: Path) -> None:
    place = Place()
    with pytest.raises(Diverged):
        train(task=drawn(tmp_path), backbone=NET, budget=BUDGET, optimiser=Optimiser(lr=1e30), augment=ALL, ctx=place)
    assert not left_over() and len(place.waits) == 1, "how long it waited is known all the same"


def test_every_training_says_how_long_it_waited(tmp_path: Path) -> None:
    place = Place()
    source = train(task=cloud(), backbone=NET, budget=Budget(steps=9, batch_size=4), ctx=place)
    assert len(place.waits) == 1 and 0 < place.waits[0] < 1, "reading a batch from memory takes a little"
    place = Place()
    adapt(task=cloud(), init=source, backbone=NET, budget=Budget(steps=5), ctx=place)
    assert place.waits[0] == pytest.approx(0, abs=1e-3), "a batch of everything is made once, before"
    assert "data_wait" not in source.header and "data_wait" not in place.curves


def test_measuring_reads_from_disk_what_does_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = drawn(tmp_path)
    net = train(task=task, backbone=NET, budget=BUDGET, ctx=Place())
    there = evaluate(task=task, weights=net, backbone=NET, splits=("val", "test"), ctx=Place())
    monkeypatch.setattr(data, "MOST_IN_MEMORY", 100)
    assert evaluate(task=task, weights=net, backbone=NET, splits=("val", "test"), ctx=Place()) == there


def test_pictures_must_be_pictures() -> None:
    with pytest.raises(HarnessError, match="augment changes pictures; cloud has inputs"):
        train(task=cloud(), backbone=NET, augment=("brightness",), ctx=Place())


def test_no_key_is_another_than_before(tmp_path: Path) -> None:
    plain = {"task": drawn(tmp_path), "backbone": NET}
    assert train.bind(**plain).key == train.bind(**plain, augment=()).key
    keys = {
        train.bind(**plain, augment=names).key
        for names in ((), ("brightness",), ("horizontal_flip",), ("brightness", "horizontal_flip"))
    }
    assert len(keys) == 4
    with pytest.raises(HarnessError, match="augment"):
        train.bind(**plain, augment=("rotation",))
