"""Cuts of a plan: every trial in one shard, the dearest shard as cheap as can be, what is shared named once."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import harness
from harness.errors import HarnessError
from harness.planning import PastRuns, Plan, Shards, cut, nodes_of
from harness.planning.shards import _balanced

STUDY = """
study: sharded
sources: [digits_upright, digits_flip, digits_noise]
targets: [digits_upright, digits_flip]
backbones: [{backbone: mlp, hidden: 4}]
methods: [fine_tune]
seeds: [0, 1]
params: {shots: 2, steps: 2, source: {steps: 2}}
on_untrained_source: run
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "sharded.yaml"
    path.write_text(STUDY, encoding="utf-8")
    return path


@pytest.fixture
def plan(file: Path, tmp_path: Path) -> Plan:
    return harness.plan(file, tmp_path / "results")


def dearest(work: list[float], bounds: list[int]) -> float:
    return max(sum(work[start:end]) for start, end in itertools.pairwise(bounds))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.floats(0.01, 50.0), min_size=1, max_size=9), st.integers(1, 5))
def test_the_dearest_piece_is_as_cheap_as_any_cut_makes_it(work: list[float], number: int) -> None:
    number = min(number, len(work))
    bounds = _balanced(work, number)
    assert bounds[0] == 0 and bounds[-1] == len(work) and len(bounds) == number + 1
    assert all(start < end for start, end in itertools.pairwise(bounds))
    places = itertools.combinations(range(1, len(work)), number - 1)
    best = min(dearest(work, [0, *inner, len(work)]) for inner in places)
    assert dearest(work, bounds) == pytest.approx(best, rel=1e-9)


@pytest.mark.parametrize("number", [1, 2, 5, 12, 99])
def test_every_trial_is_in_one_shard(plan: Plan, number: int) -> None:
    shards = cut(plan, number)
    assert len(shards) == min(number, 12)
    found = [node.key for k in range(1, len(shards) + 1) for node in nodes_of(plan, shards, k)]
    assert sorted(found) == sorted(plan.terminals) and len(set(found)) == len(found) == 12


def test_what_is_shared_is_what_two_shards_need(plan: Plan) -> None:
    """Six sources: three tasks, two seeds; those whose targets lie on both sides of a cut are shared."""
    from harness.planning.graph import closure

    shards = cut(plan, 5)
    sides = [
        {one.key for node in nodes_of(plan, shards, k) for one in closure(node)} for k in range(1, len(shards) + 1)
    ]
    shared = {node.key for node in nodes_of(plan, shards, 0)}
    trained = {stage.key for stage in plan.graph.stages() if stage.kind.name == "train"}
    assert shared == {key for key in trained if sum(key in side for side in sides) > 1}
    assert shards.shared == len(shared) > 0
    assert cut(plan, 1).shared == 0


def test_dear_stages_weigh_more(plan: Plan) -> None:
    plan.past = {"train": PastRuns(1, 5.0, None), "adapt": PastRuns(1, 100.0, None), "evaluate": PastRuns(1, 1.0, None)}
    shards = cut(plan, 3)
    assert shards.seconds[1:] == pytest.approx([404.0] * 3)
    assert shards.seconds[0] == pytest.approx(5.0 * shards.shared)


def test_a_file_comes_back_and_another_plan_is_refused(plan: Plan, file: Path, tmp_path: Path) -> None:
    shards = harness.api.cut_shards(file, 4, tmp_path / "cut" / "shards.json", tmp_path / "results")
    assert Shards.read(tmp_path / "cut" / "shards.json") == shards == cut(plan, 4)
    file.write_text(STUDY.replace("[0, 1]", "[0, 2]"), encoding="utf-8")
    with pytest.raises(HarnessError, match="another version of the study"):
        nodes_of(harness.plan(file, tmp_path / "results"), shards, 1)
    with pytest.raises(HarnessError, match="no shard 5: they are numbered 1 to 4"):
        nodes_of(plan, shards, 5)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"plan": "a", "bounds": "x", "seconds": [], "shared": 0}'])
def test_another_file_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "shards.json"
    with pytest.raises(HarnessError, match="no file of shards"):
        Shards.read(path)
    path.write_text(text, encoding="utf-8")
    with pytest.raises(HarnessError, match="no file of shards"):
        Shards.read(path)


def test_shards_run_one_after_the_other_give_what_one_run_gives(file: Path, tmp_path: Path) -> None:
    from harness.store import outcomes

    def values(results: Path) -> dict[str, float]:
        return {row["trial_id"]: row["value"] for row in outcomes(results, "sharded").to_pylist()}

    whole, parts, to = tmp_path / "whole", tmp_path / "parts", tmp_path / "shards.json"
    harness.run(file, whole, in_process=True, progress="none")
    shards = harness.api.cut_shards(file, 3, to, parts)
    first = harness.run(file, parts, shard=(0, to), in_process=True, progress="none")
    assert (first.done, first.exit_status, first.stages_run) == (shards.shared, 0, shards.shared)
    for number, width in zip((2, 1, 3), (4, 4, 4), strict=True):
        summary = harness.run(file, parts, shard=(number, to), in_process=True, progress="none")
        assert (summary.done, summary.pending, summary.exit_status) == (width, 0, 0)
    assert values(parts) == values(whole) and len(values(whole)) == 12
    assert harness.run(file, parts, in_process=True, progress="none").stages_run == 0
