"""The queue: the most urgent first, full widths, short calls of tiny stages, what a worker holds."""

from __future__ import annotations

import random
from typing import Any

import pytest

from harness.execution.batches import TARGET_SECONDS, Pace, Queue
from harness.execution.messages import Rung
from harness.execution.units import Unit
from harness.graph import Resources
from tests.execution.lab import toys

CPU, GPU = Resources(), Resources(gpus=1.0)


def unit(priority: float = 1.0, signature: Any = "a", width: int = 1, resources: Resources = CPU, **more: Any) -> Unit:
    return Unit((toys.noop.bind(index=0),), signature, resources, width, priority, wanted={"key"}, **more)


def nothing(_unit: Unit) -> bool:
    return False


def queue_of(units: list[Unit], pace: dict[Any, float] | None = None, **more: Any) -> Queue:
    queue = Queue(Pace(dict(pace or {})), **more)
    for one in random.Random(0).sample(units, len(units)):
        queue.push(one)
    return queue


def flat(waves: list[list[Unit]]) -> list[Unit]:
    return [one for wave in waves for one in wave]


def test_the_longest_critical_path_goes_first() -> None:
    units = [unit(priority=float(i), signature=i % 3) for i in range(20)]
    queue = queue_of(units)
    taken = []
    while len(queue):
        taken += flat(queue.take(CPU, 2, nothing))
    assert [one.priority for one in taken] == sorted((one.priority for one in units), reverse=True)


def test_a_batch_is_filled_with_units_of_the_same_signature() -> None:
    queue = queue_of(
        [unit(5.0, "a", 4)] + [unit(3.0, "b", 4) for _ in range(9)] + [unit(1.0, "a", 4) for _ in range(6)]
    )
    (first,) = queue.take(CPU, 1, nothing)
    assert [one.signature for one in first] == ["a"] * 4
    (second,) = queue.take(CPU, 1, nothing)
    assert [one.signature for one in second] == ["b"] * 4


def test_with_an_unknown_pace_one_width_is_handed_out() -> None:
    queue = queue_of([unit(width=8) for _ in range(100)])
    assert [len(wave) for wave in queue.take(CPU, 2, nothing)] == [8]
    assert queue.next_seconds(CPU) is None


def test_calls_of_tiny_stages_last_about_the_target() -> None:
    queue = queue_of([unit(width=8) for _ in range(4000)], {"a": 0.001})
    (wave,) = queue.take(CPU, 2, nothing)
    assert len(wave) % 8 == 0
    assert TARGET_SECONDS / 2 < 0.001 * len(wave) <= TARGET_SECONDS
    assert queue.next_seconds(CPU) == pytest.approx(0.008)
    assert queue.expected_seconds([wave]) == pytest.approx(0.001 * len(wave))


def test_several_signatures_share_a_call_of_tiny_stages() -> None:
    units = [unit(signature=name) for name in "abcdefgh" for _ in range(3)]
    queue = queue_of(units, dict.fromkeys("abcdefgh", 0.001))
    waves = queue.take(CPU, 1, nothing)
    assert len(waves) > 1
    assert all(len({one.signature for one in wave}) == 1 for wave in waves)


def test_work_is_shared_out_among_workers() -> None:
    queue = queue_of([unit() for _ in range(40)], {"a": 0.0001})
    assert len(flat(queue.take(CPU, 2, nothing))) == 10


def test_a_width_is_never_split_for_fairness() -> None:
    queue = queue_of([unit(width=8) for _ in range(8)], {"a": 0.0001})
    assert len(flat(queue.take(CPU, 4, nothing))) == 8


def test_a_call_has_a_largest_size() -> None:
    queue = queue_of([unit() for _ in range(500)], {"a": 1e-9}, max_units=50)
    assert len(flat(queue.take(CPU, 1, nothing))) == 50


def test_resource_classes_and_rungs_are_kept_apart() -> None:
    queue = queue_of([unit(resources=GPU), unit(), unit(rung=Rung(divide=2))], {"a": 0.001})
    assert queue.demand() == {CPU: 2, GPU: 1}
    assert [one.resources for one in flat(queue.take(GPU, 1, nothing))] == [GPU]
    assert {len(flat(queue.take(CPU, 1, nothing))) for _ in range(2)} == {1}
    assert queue.take(CPU, 1, nothing) == [] and len(queue) == 0


def test_a_worker_gets_what_it_holds_the_inputs_of() -> None:
    units = [unit(reads=(f"input{i % 4}",)) for i in range(40)]
    queue = queue_of(units, {"a": 0.1})
    for holder in range(4):
        held = {f"input{holder}"}
        wave = flat(queue.take(CPU, 2, lambda one, held=held: bool(held & set(one.reads))))
        assert {one.reads for one in wave} == {(f"input{holder}",)}


def test_what_is_held_does_not_jump_a_more_urgent_unit() -> None:
    urgent = [unit(9.0, reads=("far",)) for _ in range(2)]
    queue = queue_of([*urgent, *(unit(1.0, reads=("near",)) for _ in range(6))], {"a": 0.35})
    wave = flat(queue.take(CPU, 1, lambda one: one.reads == ("near",)))
    assert set(map(id, wave)) == set(map(id, urgent))


def test_suspects_run_in_groups_of_their_own() -> None:
    units = [unit(width=8) for _ in range(8)] + [unit(width=8, suspect=2) for _ in range(4)]
    queue = queue_of(units, {"a": 0.0001})
    sizes = []
    while len(queue):
        wave = flat(queue.take(CPU, 1, nothing))
        sizes.append((len(wave), {one.suspect for one in wave}))
    assert sorted(sizes, key=str) == [(2, {2}), (2, {2}), (8, {0})]


def test_units_done_meanwhile_are_dropped() -> None:
    units = [unit() for _ in range(6)]
    queue = queue_of(units, {"a": 0.001})
    for one in units[:4]:
        one.wanted.clear()
    taken = []
    while len(queue):
        taken += flat(queue.take(CPU, 1, nothing))
    assert set(map(id, taken)) == set(map(id, units[4:]))
    assert queue.demand() == {}


def test_a_unit_is_queued_once() -> None:
    one = unit()
    queue = queue_of([one])
    queue.push(one)
    assert len(queue) == 1
    queue.take(CPU, 1, nothing)
    queue.push(one)
    assert len(queue) == 1


def test_drivers_begin_at_different_places() -> None:
    units = [unit() for _ in range(64)]
    for number, one in enumerate(units):
        one.number = number
    firsts = set()
    for salt in (0, 16, 32, 48):
        for one in units:
            one.queued = False
        queue = queue_of(units, salt=salt)
        firsts.add(flat(queue.take(CPU, 1, nothing))[0].number)
    assert firsts == {0, 16, 32, 48}


def test_demand_counts_calls_not_units() -> None:
    assert queue_of([unit(width=8) for _ in range(17)]).demand() == {CPU: 3}


def test_the_pace_follows_what_is_seen() -> None:
    pace = Pace()
    assert pace.expected("a") is None
    for _ in range(30):
        pace.learn("a", 2.0)
    assert pace.expected("a") == pytest.approx(2.0)
    pace.learn("a", 4.0)
    assert 2.0 < (pace.expected("a") or 0.0) < 4.0
    assert Queue(pace).expected_seconds([[unit()], [unit(signature="b")]]) == float("inf")


def test_every_unit_is_handed_out_exactly_once() -> None:
    chance = random.Random(5)
    units = [
        unit(chance.random(), chance.choice("abc"), chance.choice([1, 4]), chance.choice([CPU, GPU]))
        for _ in range(400)
    ]
    for one in units:
        one.signature = (one.signature, one.width)
    queue = queue_of(units, {("a", 1): 0.01, ("b", 4): 0.2})
    seen: list[int] = []
    while len(queue):
        for resources in (CPU, GPU):
            seen += [id(one) for one in flat(queue.take(resources, chance.randrange(1, 5), nothing))]
    assert sorted(seen) == sorted(map(id, units))
