"""Scores of curves against numpy on random curves, and the rows and curves that a scored training leaves."""

from __future__ import annotations

import numpy as np
import pytest

from harness.backbones.small import Mlp
from harness.errors import HarnessError
from harness.graph import Stopped, Weights
from harness.training.rules import Watch
from harness.training.scores import curve_scores, score_curve
from harness.training.settings import Budget, Optimiser
from harness.training.stages import evaluate, train
from tests.training.places import Place, run_batch
from tests.training.toys import cloud

NET = Mlp(hidden=6)


@pytest.mark.parametrize("points", [10, 11, 37])
@pytest.mark.parametrize("more_is_better", [True, False])
def test_scores_are_numpys(points: int, more_is_better: bool) -> None:
    values = np.random.default_rng(points).integers(0, 20, points) / 20.0
    found = {
        kind: (value, step)
        for kind, value, step in curve_scores(list(zip(range(1, points + 1), values, strict=True)), more_is_better)
    }
    rising = np.sort(values)
    best = rising[::-1] if more_is_better else rising
    assert found["best"] == (best[0], int(np.flatnonzero(values == best[0])[0]) + 1), "of equal points the first"
    assert found["best10_mean"][0] == pytest.approx(best[:10].mean())
    assert found["last10_mean"][0] == pytest.approx(values[-10:].mean())


def test_means_of_ten_are_not_made_of_nine() -> None:
    assert [kind for kind, *_ in curve_scores([[step, 0.5] for step in range(9)], True)] == ["best"]


def test_a_published_curve_gives_the_papers_score() -> None:
    """The mean of the ten highest of 450 evaluations, as Yosinski et al. (2014) take it, is above the last ones'."""
    steps = np.arange(1, 451)
    curve = 0.6 * (1 - np.exp(-steps / 60)) + 0.002 * np.sin(steps)
    found = {
        kind: value for kind, value, _ in curve_scores(list(zip(steps.tolist(), curve.tolist(), strict=True)), True)
    }
    assert found["best"] >= found["best10_mean"] >= found["last10_mean"]
    assert found["best10_mean"] == pytest.approx(np.sort(curve)[-10:].mean())


def test_a_watched_training_is_scored_as_trainings_that_end_at_its_evaluations() -> None:
    """With a constant rate a training is the beginning of a longer one, so each point is a training's own accuracy."""
    how = Optimiser(lr=0.02, schedule="constant")
    watched = train(
        task=cloud(), backbone=NET, budget=Budget(steps=24), optimiser=how, watch=Watch(("val", "test"), 2), ctx=Place()
    )
    place = Place()
    rows = {(row.split, row.metric): row for row in score_curve(task=cloud(), weights=watched, ctx=place).rows}
    for split in ("val", "test"):
        assert [step for step, _ in place.curves[f"{split}/accuracy"]] == list(range(2, 25, 2))
    for step, value in place.curves["test/accuracy"]:
        shorter = train(task=cloud(), backbone=NET, budget=Budget(steps=step), optimiser=how, ctx=Place())
        (row,) = evaluate(task=cloud(), weights=shorter, backbone=NET, ctx=Place()).rows
        assert value == pytest.approx(row.value)
    last = rows["test", "accuracy"]
    assert (last.value, last.step, last.n_eval, last.task) == (place.curves["test/accuracy"][-1][1], 24, 24, "cloud")
    assert {metric for _, metric in rows} == {
        "accuracy",
        "accuracy_best",
        "accuracy_best10_mean",
        "accuracy_last10_mean",
    }
    assert len(rows) == 8 and rows["test", "accuracy_best"].step in range(2, 25)


def test_being_watched_changes_no_weight() -> None:
    plain, watched = (
        train(task=cloud(), backbone=NET, budget=Budget(steps=9), watch=watch, ctx=Place()) for watch in (None, Watch())
    )
    assert all((watched.tensors[name] == tensor).all() for name, tensor in plain.tensors.items())
    assert [step for step, _ in watched.header["curves"]["test"]] == [9], "without a number of steps, once at the end"
    assert "curves" not in plain.header


def test_what_watching_says_is_in_the_key_only_when_it_is_said() -> None:
    plain = train.bind(task=cloud(), backbone=NET)
    assert train.bind(task=cloud(), backbone=NET, watch=None).key == plain.key
    assert train.bind(task=cloud(), backbone=NET, watch=Watch()).key != plain.key


def test_flags_of_the_training_stand_in_every_row() -> None:
    dead = train(
        task=cloud(), backbone=NET, budget=Budget(steps=10), optimiser=Optimiser(lr=0.0), watch=Watch(), ctx=Place()
    )
    assert {row.flags for row in score_curve(task=cloud(), weights=dead, ctx=Place()).rows} == {("not_trained",)}


def test_a_training_that_was_not_watched_has_no_scores() -> None:
    with pytest.raises(HarnessError, match="was not watched"):
        score_curve(task=cloud(), weights=Weights({}, {"task": "cloud"}), ctx=Place())


def test_scores_are_made_many_in_one_call() -> None:
    trained = train.bind(task=cloud(), backbone=NET, budget=Budget(steps=4), watch=Watch())
    (weights,) = run_batch([trained], {})
    (rows,) = run_batch([score_curve.bind(task=cloud(), weights=trained)], {trained.key: weights})
    assert rows == score_curve(task=cloud(), weights=weights, ctx=Place())


@pytest.mark.parametrize("after", [1, 7, 11])
def test_a_training_that_goes_on_later_has_the_same_curve(after: int) -> None:
    call = {"task": cloud(), "backbone": NET, "budget": Budget(steps=12), "watch": Watch(("val", "test"), 2)}
    whole = train(**call, ctx=Place())
    place = Place(stop_after=after)
    with pytest.raises(Stopped):
        train(**call, ctx=place)
    place.stop_after = None
    rest = train(**call, ctx=place)
    assert rest.header == whole.header
