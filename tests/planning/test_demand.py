"""What must run, against hand-made graphs and a brute-force reading of the rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.graph import Choice, Measurements, Stage, Value, Weights, stage
from harness.planning.demand import Demand, rerun_after
from harness.planning.graph import Graph, closure
from tests.planning.recorded import Done, Recorded


@stage(version=1, name="d_train", needs_trained=("init",))
def train(name: str, init: Weights | None = None) -> Weights: ...


@stage(version=1, name="d_test")
def measure(net: Weights, split: str = "test") -> Measurements: ...


@stage(version=1, name="d_pick", tolerates=("scores",))
def pick(scores: tuple[Measurements, ...]) -> Value: ...


BASE = train.bind(name="base")
TUNED = [train.bind(name=str(i), init=BASE) for i in range(3)]
TESTS = [measure.bind(net=net) for net in TUNED]


def needed(demand: Demand) -> list[str]:
    return list(demand.needed)


def test_inputs_come_first_and_shared_ones_once() -> None:
    demand = Demand(Recorded({}))
    assert [demand.want_trial(node) for node in TESTS] == ["needed"] * 3
    order = needed(demand)
    assert len(order) == 7 and order.count(BASE.key) == 1
    assert order.index(BASE.key) < order.index(TUNED[0].key) < order.index(TESTS[0].key)


def test_what_is_recorded_is_not_needed_and_neither_is_what_it_was_made_from() -> None:
    demand = Demand(Recorded({TESTS[0].key: Done(artifact=None)}))
    assert demand.want_trial(TESTS[0]) == "done" and not demand.needed
    assert demand.want_trial(TESTS[1]) == "needed"
    assert set(demand.needed) == {BASE.key, TUNED[1].key, TESTS[1].key}


def test_an_artifact_that_was_not_kept_is_made_again_for_a_new_consumer() -> None:
    records = {BASE.key: Done(), TUNED[0].key: Done(artifact=None), TESTS[0].key: Done(artifact=None)}
    demand = Demand(Recorded(records))
    demand.want_trial(TESTS[0])
    assert not demand.needed
    demand.want_trial(measure.bind(net=TUNED[0], split="val"))
    assert TUNED[0].key in demand.needed and BASE.key not in demand.needed


def test_a_diverged_stage_is_settled_and_blocks_its_consumers() -> None:
    demand = Demand(Recorded({TUNED[0].key: Done(status="diverged", artifact=None), BASE.key: Done()}))
    assert demand.want_trial(TESTS[0]) == "blocked"
    assert "diverged" in demand.blocked[TESTS[0].key] and not demand.needed


def test_a_stage_that_tolerates_divergence_runs() -> None:
    chosen = pick.bind(scores=tuple(TESTS))
    demand = Demand(Recorded({TESTS[0].key: Done("diverged"), TESTS[1].key: Done(), TESTS[2].key: Done()}))
    assert demand.want(chosen) == "needed" and needed(demand) == [chosen.key]


@pytest.mark.parametrize(("skip", "state"), [(True, "blocked"), (False, "needed")])
def test_an_untrained_source_blocks_only_when_told_to(skip: bool, state: str) -> None:
    demand = Demand(Recorded({BASE.key: Done(flags=("not_trained",))}), skip_untrained=skip)
    assert demand.want_trial(TESTS[0]) == state
    own = measure.bind(net=BASE)
    assert demand.want_trial(own) == "needed"  # measuring the flagged network itself is no harm


def test_a_choice_asks_only_for_its_selector_until_that_is_known() -> None:
    scores = [measure.bind(net=net, split="val") for net in TUNED]
    choice = Choice(pick.bind(scores=tuple(scores)), TESTS)
    demand = Demand(Recorded({}))
    assert demand.want_trial(choice) == "needed"
    assert choice.key in demand.choices
    assert not {node.key for node in TESTS} & set(demand.needed)
    assert Demand(Recorded({choice.key: Done()})).want_trial(choice) == "done"
    blocked = Demand(Recorded({choice.selector.key: Done("diverged")}))
    assert blocked.want_trial(choice) == "blocked" and not blocked.choices


def test_withdrawn_records_and_all_made_from_them_run_again() -> None:
    graph = Graph()
    for node in TESTS:
        graph.add(node)
    again = rerun_after(graph.nodes.values(), {TUNED[1].key})
    assert again == {TUNED[1].key, TESTS[1].key}
    records = {key: Done() for key in graph.nodes}
    demand = Demand(Recorded(records), again)
    assert [demand.want_trial(node) for node in TESTS] == ["done", "needed", "done"]
    assert set(demand.needed) == again


def chains(depths: list[int]) -> list[Stage]:
    """Trials that share prefixes of one chain: trial i tests the network after depths[i] steps."""
    nets = [train.bind(name="c0")]
    for depth in range(1, 6):
        nets.append(train.bind(name=f"c{depth}", init=nets[-1]))
    return [measure.bind(net=nets[depth], split=str(i)) for i, depth in enumerate(depths)]


@given(st.lists(st.integers(0, 5), min_size=1, max_size=8), st.sets(st.integers(0, 5)))
def test_needed_is_the_least_set_that_brute_force_finds(depths: list[int], recorded: set[int]) -> None:
    trials = chains(depths)
    nets = {depth: train.bind(name="c0") for depth in (0,)}
    for depth in range(1, 6):
        nets[depth] = train.bind(name=f"c{depth}", init=nets[depth - 1])
    demand = Demand(Recorded({nets[depth].key: Done() for depth in recorded}))
    for trial in trials:
        demand.want_trial(trial)
    expected = {trial.key for trial in trials}
    for depth in set(depths):
        while depth >= 0 and depth not in recorded:
            expected.add(nets[depth].key)
            depth -= 1
    assert set(demand.needed) == expected


@given(st.lists(st.integers(0, 5), min_size=1, max_size=8))
def test_naive_counts_are_what_each_trial_alone_would_compute(depths: list[int]) -> None:
    graph = Graph()
    trials = chains(depths)
    for trial in trials:
        graph.add_trial(trial)
    assert graph.naive_counts() == {"d_train": sum(depth + 1 for depth in depths), "d_test": len(depths)}
    assert len(list(graph.stages())) == max(depths) + 1 + len(depths)


def test_a_stage_used_twice_within_a_trial_counts_once() -> None:
    diamond = pick.bind(scores=tuple(TESTS))
    graph = Graph()
    graph.add_trial(diamond)
    assert graph.naive_counts() == {"d_train": 4, "d_test": 3, "d_pick": 1}
    assert len(closure(diamond)) == 8


def test_a_choice_counts_one_option_and_no_stage_of_its_own() -> None:
    scores = [measure.bind(net=net, split="val") for net in TUNED]
    graph = Graph()
    graph.add_trial(Choice(pick.bind(scores=tuple(scores)), TESTS))
    assert graph.naive_counts() == {"d_train": 4, "d_test": 4, "d_pick": 1}
