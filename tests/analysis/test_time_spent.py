"""Seconds by part of the work: against counting by hand on random graphs, and from a real store."""

from __future__ import annotations

import json

import numpy as np
import pytest

from analysis.time_spent import PARTS, Stage, part_of, read_time, time_spent, time_table
from harness.errors import HarnessError
from harness.store import Group, StageRecord, Store


def reach(stages, key):
    """All that a stage rests on, itself included, by recursion."""
    found = {key}
    for one in stages[key].inputs if key in stages else ():
        found |= reach(stages, one)
    return found


@pytest.mark.parametrize("draw", range(5))
def test_every_trial_counts_each_of_its_stages_once(draw):
    rng = np.random.default_rng(draw)
    kinds = ["train", "extract_features", "fit_probe", "evaluate_probe", "knn_score"]
    stages = {}
    for k in range(40):
        inputs = tuple(f"s{j}" for j in rng.choice(k, size=min(k, 3), replace=False)) if k else ()
        stages[f"s{k}"] = Stage(kinds[int(rng.integers(5))], float(rng.random()), inputs)
    terminals = [(f"s{k}", "outcome") for k in rng.choice(40, size=15)]
    found = time_spent(stages, terminals)
    sets = [reach(stages, key) for key, _ in terminals]
    everything = set().union(*sets)
    for kind in found.kinds:
        mine = {k for k in everything if stages[k].kind == kind.kind}
        assert (kind.stages, kind.calls) == (len(mine), sum(len(mine & s) for s in sets))
        assert kind.seconds == pytest.approx(sum(stages[k].seconds for k in mine))
        assert kind.alone == pytest.approx(sum(stages[k].seconds for s in sets for k in mine & s))
    assert found.seconds == pytest.approx(sum(stages[k].seconds for k in everything))
    assert found.alone == pytest.approx(sum(stages[k].seconds for s in sets for k in s))
    assert (found.trials, found.unknown, found.waiting) == (15, 0, None)
    assert [k.seconds for k in found.kinds] == sorted((k.seconds for k in found.kinds), reverse=True)


def test_one_source_for_three_trials_is_reused():
    stages = {"base": Stage("train", 60.0)} | {f"t{k}": Stage("adapt", 10.0, ("base",)) for k in range(3)}
    found = time_spent(stages, [(f"t{k}", "outcome") for k in range(3)])
    assert (found.seconds, found.alone) == (90.0, 210.0)
    table = time_table(found)
    assert [c.text for c in table.rows[0]] == ["training", "train", "1", "60.0", "66.7%", "3", "180.0", "3.0 x"]
    assert [c.text for c in table.rows[-1]] == ["all", "", "4", "90.0", "100.0%", "6", "210.0", "2.3 x"]


def test_a_choice_is_no_work_but_leads_to_it():
    stages = {"a": Stage("train", 5.0), "pick": Stage("select", 1.0, ("a",)), "c": Stage("choice", 5.0, ("pick", "a"))}
    found = time_spent(stages, [("c", "outcome")])
    assert {k.kind: k.seconds for k in found.kinds} == {"train": 5.0, "select": 1.0}


def test_stages_without_a_record_are_told():
    found = time_spent({"a": Stage("train", 1.0, ("gone",))}, [("a", "outcome"), ("lost", "outcome")])
    assert found.unknown == 2 and found.seconds == 1.0
    assert any("2 stages behind them have no record" in note for note in time_table(found).notes)


def test_waiting_is_weighted_by_seconds():
    stages = {
        "a": Stage("train", 30.0, (), 0.5),
        "b": Stage("train", 10.0, (), 0.1),
        "c": Stage("score", 99.0, ("a", "b")),
    }
    found = time_spent(stages, [("c", "outcome")])
    assert found.waiting == pytest.approx((15 + 1) / 40)
    assert "Share of their seconds that trainings waited for data: 40.0%." in time_table(found).notes


@pytest.mark.parametrize(
    ("kind", "part"),
    [
        ("train", "training"),
        ("adapt_layers", "training"),
        ("initialise", "training"),
        ("extract_features", "features"),
        ("fit_probe_path", "probes"),
        ("evaluate_probe", "probes"),
        ("evaluate", "evaluation"),
        ("score", "evaluation"),
        ("decode_pictures", "data"),
        ("mystery", "other"),
    ],
)
def test_the_part_that_a_kind_belongs_to(kind, part):
    assert part_of(kind) == part and part in PARTS


def test_the_last_stage_of_an_estimator_is_an_estimators():
    stages = {"f": Stage("extract_features", 2.0), "e": Stage("score_features", 3.0, ("f",))}
    parts = {k.kind: k.part for k in time_spent(stages, [("e", "estimator")]).kinds}
    assert parts == {"score_features": "estimators", "extract_features": "features"}
    alone = {k.kind: k.part for k in time_spent(stages, [("e", "outcome")]).kinds}
    assert alone["score_features"] == "features"


@pytest.fixture
def store(tmp_path):
    """Two trials on one source, a candidate, one pending; one stage was withdrawn and run again."""
    store = Store.open(tmp_path, create=True)
    keys = {name: f"{k:032x}" for k, name in enumerate(("base", "one", "two", "try", "never"))}

    def record(name, kind, seconds, *inputs, **more):
        found = json.dumps({keys[i]: "x" for i in inputs})
        return StageRecord(keys[name], kind, seconds=seconds, inputs=found, **more)

    first = record("base", "train", 900.0)
    store.commit(Group(records=[first]))
    store.commit(Group(records=[StageRecord(keys["base"], "train", attempt=first.attempt, status="withdrawn")]))
    group = Group(records=[record("base", "train", 40.0, data_wait=0.25), record("one", "evaluate", 1.0, "base"),
                           record("two", "evaluate", 2.0, "base"), record("try", "evaluate", 50.0)])  # fmt: skip
    store.commit(group)
    names, roles = ("one", "two", "try", "never"), ("outcome", "baseline", "candidate", "outcome")
    rows = {"trial_id": [f"t{k}" for k in range(4)], "role": list(roles), "key": [keys[n] for n in names]}
    store.write_trials("demo", {**rows, "plan": ["p"] * 4})
    return tmp_path


def test_what_the_store_holds(store):
    found = read_time(store, "demo")
    assert {k.kind: (k.stages, k.seconds, k.alone) for k in found.kinds} == {
        "train": (1, 40.0, 80.0),
        "evaluate": (2, 3.0, 3.0),
    }
    assert (found.trials, found.unknown, found.waiting) == (2, 0, 0.25)
    with pytest.raises(HarnessError, match="did you mean 'demo'"):
        read_time(store, "demos")
