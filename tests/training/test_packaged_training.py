"""Training on the packaged tasks: the whole of MNIST without copying it, and classes with few pictures."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch

from harness.backbones.small import Mlp
from harness.data.catalogue import PACKAGES
from harness.data.fetch import is_ready
from harness.methods.base import Trial
from harness.methods.from_scratch import from_scratch
from harness.methods.probe_path import probe_path
from harness.registry import TASKS
from harness.tasks.manifest import rules
from harness.training.data import count, sample, sample_flags, streams
from tests.training.places import Place, run_stages

RULES = rules()
FEW = ("ifct_food", "stamps", "clipart_sign")


def needed(name: str) -> None:
    missing = [package for package in RULES[name].packages if not is_ready(PACKAGES[package])]
    if missing:
        pytest.skip(f"not fetched: {', '.join(missing)}")


@pytest.mark.parametrize("name", FEW)
def test_twenty_shots_of_tasks_with_small_classes_are_planned_for(name: str) -> None:
    """Known from the manifest alone: what had to be left out of a study takes what there is."""
    task = TASKS.get(name)()
    sizes = task.class_sizes["train"]
    assert min(sizes) < 20
    assert count(task, ("train",), 20) == sum(min(size, 20) for size in sizes)
    assert sample_flags(task, ("train",), 20) == ("fewer_than_shots",) and not sample_flags(task, ("train",), 5)


@pytest.mark.packaged
def test_all_methods_run_on_what_there_is() -> None:
    needed("ifct_food")
    task = TASKS.get("ifct_food")(size=32)
    drawn = sample(task, ("train",), 20, 1, Place())
    sizes = [min(size, 20) for size in task.class_sizes["train"]]
    assert drawn.labels.bincount().tolist() == sizes and isinstance(drawn.inputs, torch.Tensor)
    trial = Trial(source=None, target=task, backbone=Mlp(hidden=8), seed=1)
    for terminal in (from_scratch(trial, shots=20, steps=3, lr=0.01), probe_path(trial, shots=20, strengths=(0.1,))):
        (row,) = run_stages([terminal])[terminal.key].rows
        assert "fewer_than_shots" in row.flags and 0 <= row.value <= 1


WHOLE = textwrap.dedent(
    """
    import sys
    from harness.backbones.small import SmallCnn
    from harness.registry import TASKS
    from harness.training.data import sample
    from harness.training.settings import Budget
    from harness.training.stages import evaluate, train
    from tests.training.places import Place

    def anonymous():
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("RssAnon")) / 1024

    task, net = TASKS.get("mnist")(size=32), SmallCnn()
    warm = TASKS.get("digits_upright")()
    train(task=warm, backbone=net, budget=Budget(steps=2, batch_size=64), ctx=Place())
    before = anonymous()
    place = Place()
    how = {"task": task, "backbone": net, "budget": Budget(steps=8, batch_size=64), "augment": ("random_crop",)}
    weights = train(**how, ctx=place)
    evaluate(task=task, weights=weights, backbone=net, splits=("val",), ctx=Place())
    print(anonymous() - before, place.waits[0])
    """
)


@pytest.mark.packaged
@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_whole_of_mnist_is_streamed() -> None:
    """As numbers its training pictures are over half a gigabyte; a training that reads batches needs a few pieces."""
    needed("mnist")
    task = TASKS.get("mnist")(size=32)
    inputs = task.split("train").inputs
    assert streams(inputs) and 4 * len(inputs) * 3 * 32 * 32 > 500e6
    done = subprocess.run(
        [sys.executable, "-c", WHOLE], capture_output=True, text=True, timeout=300, check=True, cwd=Path.cwd()
    )
    grown, waited = map(float, done.stdout.split())
    assert grown < 250, f"{grown:.0f} MiB of its own"
    assert 0 <= waited <= 1
