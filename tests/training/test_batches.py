"""A batch of trainings is bit for bit what its members are: whatever the neighbours, their order, a NaN, or a stop."""

from __future__ import annotations

import pytest

from harness.backbones.base import Backbone
from harness.backbones.small import Mlp, SmallCnn
from harness.errors import HarnessError
from harness.graph import Diverged, Stage, Stopped, Weights
from harness.registry import TASKS
from harness.training.rules import CheckpointRule
from harness.training.settings import Budget, Optimiser
from harness.training.stages import adapt, evaluate, train
from tests.training.places import Place, run_batch, same_bits
from tests.training.toys import cloud, poison

BUDGET = Budget(steps=12, batch_size=7)


def calls(backbone: Backbone, rule: CheckpointRule) -> list[Stage]:
    """Trainings that differ in data, initial weights, order, rate, decay and clipping, but not in shape."""
    tasks = [TASKS.get(f"digits_{domain}")() for domain in ("upright", "noise", "flip")]
    settings = [Optimiser(lr=0.1), Optimiser(lr=0.02, weight_decay=0.01), Optimiser(lr=0.2, clip=0.5)]
    return [
        train.bind(task=task, backbone=backbone, budget=BUDGET, optimiser=how, shots=2, rule=rule, seed=seed)
        for task, how, seed in zip((*tasks, tasks[0]), (*settings, settings[0]), range(4), strict=True)
    ]


@pytest.mark.parametrize("rule", [CheckpointRule(), CheckpointRule(keep="best", every=4)], ids=["last", "best"])
@pytest.mark.parametrize("backbone", [Mlp(hidden=13), SmallCnn(width=4, groups=2)], ids=str)
def test_neighbours_order_and_padding_do_not_matter(backbone: Backbone, rule: CheckpointRule) -> None:
    stages = calls(backbone, rule)
    assert len({stage.group() for stage in stages}) == 1
    together = run_batch(stages, {})
    turned = run_batch(stages[::-1], {})[::-1]
    for place, stage in enumerate(stages):
        (alone,) = run_batch([stage], {})
        assert same_bits(together[place].tensors, alone.tensors)
        assert same_bits(together[place].tensors, turned[place].tensors)
        assert together[place].header == alone.header
    assert not same_bits(together[0].tensors, together[3].tensors), "another seed is another training"


@pytest.mark.parametrize("backbone", [Mlp(hidden=13)], ids=str)
def test_a_nan_stays_where_it_is(backbone: Backbone) -> None:
    def call(task, seed: int, **how) -> Stage:
        return train.bind(task=task, backbone=backbone, budget=BUDGET, optimiser=Optimiser(**how), seed=seed)

    good = [call(cloud("one"), 0, lr=0.1), call(cloud("two"), 1, lr=0.1, clip=0.5)]
    bad = [call(poison(), 2, lr=0.1, clip=1.0), call(cloud("three"), 3, lr=1e30)]
    alone = run_batch(good, {})
    mixed = run_batch([bad[0], good[0], bad[1], good[1]], {})
    assert isinstance(mixed[0], Diverged) and isinstance(mixed[2], Diverged)
    assert same_bits(mixed[1].tensors, alone[0].tensors)
    assert same_bits(mixed[3].tensors, alone[1].tensors)


def test_a_member_that_cannot_begin_fails_alone() -> None:
    source = run_batch([train.bind(task=cloud("source"), backbone=Mlp(hidden=13), budget=BUDGET)], {})[0]
    init = train.bind(task=cloud("source"), backbone=Mlp(hidden=13), budget=BUDGET)
    wrong = train.bind(task=cloud("source"), backbone=Mlp(hidden=9), budget=BUDGET)
    results = {init.key: source, wrong.key: Weights({"hidden1.1.weight": source.tensors["head.bias"]})}

    def adaptation(given: Stage, seed: int) -> Stage:
        return adapt.bind(task=cloud(), init=given, backbone=Mlp(hidden=13), budget=BUDGET, seed=seed)

    failed, fine = run_batch([adaptation(wrong, 0), adaptation(init, 1)], results)
    assert isinstance(failed, HarnessError)
    (alone,) = run_batch([adaptation(init, 1)], results)
    assert same_bits(fine.tensors, alone.tensors)


@pytest.mark.parametrize(
    ("rule", "name"), [(CheckpointRule(), "sgd"), (CheckpointRule(keep="best", every=4), "adam")], ids=["last", "best"]
)
def test_a_stopped_batch_goes_on_to_the_same_bits(rule: CheckpointRule, name: str) -> None:
    how = Optimiser(name, lr=0.05)  # type: ignore[arg-type]  # a parametrised literal
    stages = [
        train.bind(task=cloud(task), backbone=Mlp(hidden=13), budget=BUDGET, optimiser=how, rule=rule, seed=seed)
        for seed, task in enumerate(("one", "two", "three"))
    ]
    straight_places = [Place() for _ in stages]
    straight = run_batch(stages, {}, straight_places)
    places = [Place(stop_after=5) for _ in stages]
    with pytest.raises(Stopped, match="stopped after 5 of 12 steps"):
        run_batch(stages, {}, places)
    for place in places:
        assert place.checkpoint.saved is not None and place.checkpoint.saved[1] == {"step": 5}
        place.stop_after = None
    resumed = run_batch(stages, {}, places)
    for before, after, one, other in zip(straight, resumed, straight_places, places, strict=True):
        assert same_bits(before.tensors, after.tensors) and before.header == after.header
        assert one.curves == other.curves, "the curves are whole, too"


def test_members_stopped_at_different_steps_go_on_together() -> None:
    stages = [
        train.bind(task=cloud(task), backbone=Mlp(hidden=13), budget=BUDGET, seed=seed)
        for seed, task in enumerate(("one", "two", "three"))
    ]
    straight = run_batch(stages, {})
    places = [Place() for _ in stages]
    for place, stage, steps in zip(places, stages, (3, 9, None), strict=True):
        if steps is not None:
            place.stop_after = steps
            with pytest.raises(Stopped):
                run_batch([stage], {}, [place])
            place.stop_after = None
    for before, after in zip(straight, run_batch(stages, {}, places), strict=True):
        assert same_bits(before.tensors, after.tensors)


def test_what_was_done_survives_a_second_stop() -> None:
    stages = [train.bind(task=cloud(task), backbone=Mlp(hidden=13), budget=BUDGET) for task in ("one", "two")]
    straight = run_batch(stages, {})
    places = [Place(), Place()]
    places[0].stop_after = 9
    with pytest.raises(Stopped):
        run_batch(stages[:1], {}, places[:1])
    # The fresh member is run first; then the other's turn comes, and the stop is asked for again.
    places[0].stop_after = 12 + 1
    with pytest.raises(Stopped):
        run_batch(stages, {}, places)
    assert places[1].checkpoint.saved is not None and places[1].checkpoint.saved[1] == {"step": 12}
    places[0].stop_after = None
    for before, after in zip(straight, run_batch(stages, {}, places), strict=True):
        assert same_bits(before.tensors, after.tensors)


@pytest.mark.parametrize(
    "change",
    [
        {"shots": 3},
        {"budget": Budget(steps=13, batch_size=7)},
        {"budget": Budget(steps=12, batch_size=5)},
        {"optimiser": Optimiser("adam")},
        {"optimiser": Optimiser(schedule="constant")},
        {"rule": CheckpointRule(keep="best")},
        {"backbone": Mlp(hidden=14)},
        {"task": cloud(classes=2)},
        {"task": cloud(width=4)},
    ],
    ids=str,
)
def test_what_shapes_the_program_keeps_calls_apart(change: dict) -> None:
    plain = {"task": cloud(), "backbone": Mlp(hidden=13), "budget": BUDGET, "shots": 2}
    assert train.bind(**plain).group() != train.bind(**{**plain, **change}).group()


def test_a_budget_in_passes_is_grouped_by_its_steps() -> None:
    plain = {"task": cloud(), "backbone": Mlp(hidden=13)}
    by_passes = train.bind(**plain, budget=Budget(epochs=3, batch_size=8))
    by_steps = train.bind(**plain, budget=Budget(steps=9, batch_size=8))
    assert by_passes.group() == by_steps.group()


def test_measuring_in_a_batch_is_measuring_alone() -> None:
    stages = [train.bind(task=cloud(), backbone=Mlp(hidden=13), budget=BUDGET, seed=seed) for seed in range(3)]
    results = dict(zip((stage.key for stage in stages), run_batch(stages, {}), strict=True))
    measured = [evaluate.bind(task=cloud(), weights=stage, backbone=Mlp(hidden=13)) for stage in stages]
    for stage, together in zip(stages, run_batch(measured, results), strict=True):
        alone = evaluate(task=cloud(), weights=results[stage.key], backbone=Mlp(hidden=13), ctx=Place())
        assert together == alone
