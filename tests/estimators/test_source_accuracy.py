"""The source's own accuracy is measured on its own validation split, and on nothing of the target."""

from __future__ import annotations

import pytest

from harness.backbones.base import Untrained
from harness.backbones.small import Mlp
from harness.errors import HarnessError
from harness.estimators.source_accuracy import source_accuracy
from harness.methods.base import Trial
from harness.methods.fine_tune import fine_tune
from harness.tasks.base import TaskSet
from harness.training.stages import evaluate
from tests.training.places import Place, run_stages
from tests.training.toys import cloud

NET = Mlp(hidden=6)


def test_it_is_the_accuracy_of_the_net_that_methods_transfer() -> None:
    trial = Trial(cloud("a"), cloud("x"), NET, source_seed=1)
    score = source_accuracy(trial, source_steps=10)
    net = score.inputs[0]
    assert net.key == fine_tune(trial, source_steps=10).inputs[0].inputs[0].key
    results = run_stages([score])
    (row,) = results[score.key].rows
    (plain,) = evaluate(task=cloud("a"), weights=results[net.key], backbone=NET, splits=("val",), ctx=Place()).rows
    assert (row.metric, row.value, row.task, row.split, row.n_eval) == ("score", plain.value, "a", "val", 12)


def test_it_does_not_depend_on_the_target() -> None:
    first = source_accuracy(Trial(cloud("a"), cloud("x"), NET))
    second = source_accuracy(Trial(cloud("a"), cloud("y"), NET, seed=5))
    assert first.key == second.key
    assert "target" not in source_accuracy.reads and "seed" not in source_accuracy.reads


def test_a_set_of_tasks_is_measured_on_all_of_them() -> None:
    both = TaskSet((cloud("a"), cloud("b")))
    score = source_accuracy(Trial(both, cloud("x"), NET), source_steps=3)
    (row,) = run_stages([score])[score.key].rows
    assert (row.task, row.n_eval) == ("a + b", 24)


@pytest.mark.parametrize(("source", "name"), [(None, "none"), (Untrained(), "untrained")])
def test_a_source_without_data_is_refused(source, name: str) -> None:
    with pytest.raises(HarnessError, match=f"needs a source that is a task, not {name}"):
        source_accuracy(Trial(source, cloud("x"), NET))
