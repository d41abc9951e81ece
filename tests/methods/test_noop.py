"""Methods that do nothing do it exactly as often as asked, cheaply, and with comparable values."""

from __future__ import annotations

import time

from harness.backbones.base import Untrained
from harness.backbones.small import Mlp
from harness.methods.base import Trial
from harness.methods.noop import noop, noop_chain, noop_outcome
from tests.training.places import run_batch, run_stages
from tests.training.toys import cloud

NET = Mlp()


def trials(count: int) -> list[Trial]:
    return [Trial(cloud("a"), cloud("x"), NET, seed=seed) for seed in range(count)]


def test_every_trial_is_a_stage_of_its_own() -> None:
    stages = [noop(one, index=index) for one in trials(5) for index in range(4)]
    assert len({stage.key for stage in stages}) == 20
    assert len({stage.group() for stage in stages}) == 1
    sources = (cloud("a"), cloud("b"), Untrained(), None)
    assert len({noop(Trial(source, cloud("x"), NET)).key for source in sources}) == 4


def test_values_are_the_same_alone_and_in_a_batch() -> None:
    stages = [noop(one, index=index) for one in trials(3) for index in range(4)]
    alone = run_stages(stages)
    together = run_batch(stages, {})
    assert [alone[stage.key] for stage in stages] == together
    values = [result.rows[0].value for result in together]
    assert len(set(values)) == 12 and all(0 <= value < 1 for value in values)
    assert together[0].rows[0].task == "x" and together[0].rows[0].split == "test"


def test_a_chain_shares_its_source() -> None:
    stages = [noop_chain(Trial(cloud("a"), cloud(target), NET), index=index) for target in "xyz" for index in range(5)]
    kinds: dict[str, set[str]] = {}
    for stage in stages:
        adapted = stage.arguments["adapted"]
        for one in (stage, adapted, adapted.arguments["init"]):
            kinds.setdefault(one.kind.name, set()).add(one.key)
    assert {kind: len(keys) for kind, keys in kinds.items()} == {
        "noop_evaluate": 15,
        "noop_adapt": 15,
        "noop_source": 1,
    }
    results = run_stages(stages)
    assert len({results[stage.key].rows[0].value for stage in stages}) == 15
    other = noop_chain(trials(1)[0], source_index=1)
    assert other.arguments["adapted"].arguments["init"].key not in kinds["noop_source"]


def test_a_call_costs_next_to_nothing() -> None:
    members = [noop(trials(1)[0], index=index).arguments for index in range(128)]
    assert noop_outcome.batch is not None and noop_outcome.batch.width >= 64
    began = time.process_time()
    for _ in range(10):
        noop_outcome.batch.function(members, None)
    assert (time.process_time() - began) / 1280 < 1e-3
