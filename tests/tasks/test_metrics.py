"""What is known of metrics when a study is planned."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from harness.errors import HarnessError
from harness.tasks.base import Split, Task
from harness.tasks.metrics import METRICS, metrics_of
from tests.training.toys import cloud


def test_directions_and_ranges() -> None:
    """As their definitions have them: shares are from 0 to 1 and more is better, errors have no largest value."""
    for name in ("accuracy", "mean_per_class", "map_11", "auroc"):
        assert METRICS[name].higher_is_better and (METRICS[name].least, METRICS[name].largest) == (0, 1)
    for name in ("relative_l2", "loss"):
        assert not METRICS[name].higher_is_better and METRICS[name].largest == math.inf


def test_what_each_kind_of_target_is_measured_by() -> None:
    assert metrics_of("class")[0] == "accuracy" and "relative_l2" not in metrics_of("class")
    assert metrics_of("classes") == ("map_11", "auroc", "loss")
    assert metrics_of("numbers") == ("relative_l2", "loss")


def test_a_tasks_direction_is_its_metrics() -> None:
    assert cloud().higher_is_better
    assert not replace(cloud(), metric="loss").higher_is_better
    assert replace(cloud(), metric="my_score").higher_is_better
    assert not replace(cloud(), metric="my_error", higher_is_better=False).higher_is_better


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"metric": "relative_l2"}, "cannot be measured by relative_l2; use one of: accuracy, mean_per_class"),
        ({"multi_label": True}, "cannot be measured by accuracy; use one of: map_11, auroc, loss"),
        ({"regression": True}, "cannot be measured by accuracy; use one of: relative_l2, loss"),
        ({"regression": True, "multi_label": True}, "several classes or numbers, not both"),
    ],
    ids=str,
)
def test_a_metric_that_does_not_fit_is_refused_when_planning(change: dict[str, object], sentence: str) -> None:
    with pytest.raises(HarnessError, match=sentence):
        replace(cloud(), **change)  # type: ignore[arg-type]  # fields by name


def numbers(width: int = 2) -> Task:
    def load(split: str) -> Split:
        return Split(torch.zeros(6, 4), torch.zeros(6, width))

    return Task(
        "numbers", 2, ("x", "y"), (4,), {"train": 6}, {"numbers": True}, load, metric="relative_l2", regression=True
    )


def test_tasks_of_numbers_are_checked_and_known_apart() -> None:
    task = numbers()
    assert task.targets == "numbers" and not task.higher_is_better
    assert task.split("train").labels.shape == (6, 2)
    with pytest.raises(HarnessError, match=r"labels \(6, 3\)"):
        numbers(width=3).split("train")
    assert task.identity()["targets"] == "numbers"
    assert "targets" not in cloud().identity(), "no key of a task of classes is another than before"
