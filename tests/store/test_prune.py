"""What pruning keeps, against a search over random graphs of stages."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import torch

from harness.store import Group, Store, StoreError
from harness.store.prune import reachable
from tests.store.samples import key_of, record


def random_graph(rng: random.Random, size: int) -> dict[str, list[str]]:
    """Stages in order, each made from up to three earlier ones."""
    return {key_of(i): [key_of(j) for j in rng.sample(range(i), rng.randint(0, min(3, i)))] for i in range(size)}


def closure(graph: dict[str, list[str]], roots: set[str]) -> set[str]:
    """Grow the roots by one step until nothing is added."""
    found = set(roots)
    while True:
        more = {made_from for key in found for made_from in graph.get(key, [])} - found
        if not more:
            return found
        found |= more


def fill(store: Store, graph: dict[str, list[str]]) -> dict[str, Path]:
    """Commit a record with an artifact of its own file for every stage."""
    places = {}
    for key, inputs in graph.items():
        ref = store.artifacts.put(key, {"w": torch.full((3,), float(int(key[:6], 16)))})
        row = record("x", artifact=ref, inputs=json.dumps(dict.fromkeys(inputs, "digest")))
        row.key = key
        store.commit(Group([row]))
        places[key] = store.artifacts.path(ref)
    return places


@pytest.mark.parametrize("seed", range(3))
def test_exactly_what_no_plan_reaches_goes(store: Store, results: Path, seed: int) -> None:
    rng = random.Random(seed)
    graph = random_graph(rng, 14)
    places = fill(store, graph)
    ends = rng.sample(sorted(graph), 3)
    store.write_trials("one", {"trial_id": ["a", "b"], "key": [ends[0], None]}, stages=[ends[0]])
    store.write_trials("two", {"trial_id": ["c"], "key": [ends[1]]})
    spared = rng.sample(sorted(graph), 1)
    kept = closure(graph, {ends[0], ends[1], *spared})
    assert reachable(store.refresh(), [ends[0], ends[1], *spared]) == kept
    done = store.prune(keep=spared)
    assert set(done.records) == set(graph) - kept
    assert {path for path in places.values() if path.exists()} == {places[key] for key in kept}
    assert done.nbytes > 0 if done.files else done.nbytes == 0
    fresh = Store.open(results)
    assert set(fresh.records()) == kept
    assert [finding for finding in fresh.verify() if finding.severity == "error"] == []
    assert store.prune(keep=spared).records == () == store.prune(keep=spared).files


def test_a_dry_run_says_the_same_and_does_nothing(store: Store) -> None:
    graph = random_graph(random.Random(9), 8)
    places = fill(store, graph)
    store.write_trials("s", {"trial_id": ["t", "excluded"], "key": [key_of(7), None]})
    said = store.prune(dry_run=True)
    assert said.dry_run and all(path.exists() for path in places.values())
    assert len(store.refresh()) == 8
    done = store.prune()
    assert (said.records, said.files, said.nbytes) == (done.records, done.files, done.nbytes)
    assert list(done.files) == sorted(done.files)


def test_without_any_plan_nothing_is_reached(store: Store) -> None:
    fill(store, random_graph(random.Random(1), 3))
    assert len(store.prune(dry_run=True).records) == 3


@pytest.mark.parametrize("force", [True, False])
def test_a_trial_to_come_of_a_study_that_does_not_say_its_stages(store: Store, force: bool) -> None:
    fill(store, {key_of("a"): []})
    store.write_trials("finished", {"trial_id": ["t"], "key": [key_of("a")]})
    store.write_trials("open", {"trial_id": ["u", "v"], "key": [None, key_of("to come")]})
    if force:
        assert store.prune(force=True).records == ()
    else:
        with pytest.raises(StoreError, match=r"study 'open' is unfinished .* prune with --force"):
            store.prune()


def test_inputs_that_were_never_recorded_are_no_obstacle(store: Store) -> None:
    row = record("end", inputs=json.dumps({key_of("lost"): "x"}))
    store.commit(Group([row]))
    assert reachable(store.refresh(), [row.key]) == {row.key, key_of("lost")}
