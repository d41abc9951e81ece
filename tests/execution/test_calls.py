"""Calls: what travels, what is only described in case it is needed, and where artifacts are looked for."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.execution.cache import MemoryCache
from harness.execution.calls import CallBuilder
from harness.execution.inputs import Larder, Obstacle
from harness.execution.ledger import Ledger
from harness.execution.messages import Call, Input, Result, Spec
from harness.execution.units import Unit
from harness.graph import Weights
from harness.store import ArtifactStore, CacheStore
from tests.execution.lab import toys
from tests.execution.test_ledger import REF, Known, do, kinds, ledger_of, result_of


def build(ledger: Ledger, *waves: list[Unit], **more: Any) -> Call:
    return CallBuilder(ledger, lambda stage: f"code of {stage.kind.name}", **more).build(waves)


def names(call: Call) -> list[list[tuple[str, bool]]]:
    return [[(spec.kind.name, spec.wanted) for spec in wave] for wave in call.waves]


def test_a_call_describes_its_stages_and_knows_its_inputs() -> None:
    source = toys.base.bind(seed=0)
    ledger, ready = ledger_of(toys.score.bind(net=toys.tune.bind(init=source)))
    (unit,) = do(ledger, ready[0])
    call = build(ledger, [unit], time_limit=3.0)
    assert names(call) == [[("tune", True), ("score", True)]]
    assert call.inputs[source.key].artifact == REF
    assert (call.time_limit, call.skip_untrained) == (3.0, True)
    assert [spec.code for spec in call.waves[0]] == ["code of tune", "code of score"]
    assert [spec.keep for spec in call.waves[0]] == ["transient", "durable"]


def test_numbers_of_calls_differ() -> None:
    ledger, ready = ledger_of(toys.noop.bind(index=0))
    builder = CallBuilder(ledger, lambda stage: "")
    assert builder.build([ready]).number != builder.build([ready]).number


def test_earlier_tries_are_told() -> None:
    ledger, ready = ledger_of(toys.noop.bind(index=0))
    key = ready[0].stages[0].key
    assert build(ledger, ready, tries={key: 2}).waves[0][0].attempt == 2


def test_a_cached_input_travels_along_in_case_it_has_vanished() -> None:
    source = toys.base.bind(seed=0)
    made = toys.features.bind(net=source)
    ledger, ready = ledger_of(toys.read_features.bind(found=made))
    (features,) = do(ledger, ready[0])
    (reader,) = do(ledger, features)
    call = build(ledger, [reader])
    assert names(call) == [[("features", False), ("read_features", True)]]
    assert set(call.inputs) == {source.key, made.key}
    assert call.inputs[made.key].artifact is None and call.inputs[source.key].artifact == REF


def test_a_cached_input_made_from_a_transient_brings_that_too() -> None:
    net = toys.tune.bind(init=toys.base.bind(seed=0))
    made = toys.features.bind(net=net)
    ledger, ready = ledger_of(toys.read_features.bind(found=made))
    (chain,) = do(ledger, ready[0])
    assert kinds(chain) == ["tune", "features"]
    (reader,) = do(ledger, chain)
    assert names(build(ledger, [reader])) == [[("tune", False), ("features", False), ("read_features", True)]]


def test_a_provider_shared_by_a_wave_travels_once() -> None:
    made = toys.features.bind(net=toys.base.bind(seed=0))
    ledger, ready = ledger_of(*(toys.read_features.bind(found=made, task=task) for task in "abc"))
    (features,) = do(ledger, ready[0])
    readers = do(ledger, features)
    assert [name for name, _ in names(build(ledger, readers))[0]] == ["features", *["read_features"] * 3]


def test_what_is_left_of_a_chain_brings_its_transient_unasked() -> None:
    net = toys.tune.bind(init=toys.base.bind(seed=0))
    scores = [toys.score.bind(net=net, split=split) for split in ("val", "test")]
    ledger, ready = ledger_of(*scores)
    (unit,) = do(ledger, ready[0])
    ledger.finish(net.key, result_of(net))
    ledger.finish(scores[0].key, result_of(scores[0]))
    assert names(build(ledger, [unit])) == [[("tune", False), ("score", True)]]


def test_a_diverged_and_tolerated_input_is_marked() -> None:
    records = Known()
    scores = [toys.noop.bind(index=i) for i in range(2)]
    records.add(scores[0], status="diverged")
    ledger, ready = ledger_of(toys.pick.bind(scores=tuple(scores)), records=records)
    (pick,) = do(ledger, ready[0])
    assert [build(ledger, [pick]).inputs[one.key].diverged for one in scores] == [True, False]


def test_a_thousand_specs_travel_in_little_space() -> None:
    ledger, ready = ledger_of(*(toys.noop.bind(index=i) for i in range(1000)))
    assert len(pickle.dumps(build(ledger, ready), protocol=5)) / 1000 < 150, "bytes for each stage"


def test_equal_groups_are_one_object() -> None:
    ledger, ready = ledger_of(*(toys.herd.bind(index=i) for i in range(5)))
    groups = [spec.group for spec in build(ledger, ready).waves[0]]
    assert len({id(group) for group in groups}) == 1


# --- where inputs are found ----------------------------------------------------------------------------------------


def larder(folder: Path, *inputs: Input, memory: MemoryCache | None = None, **more: Any) -> Larder:
    known = {entry.key: entry for entry in inputs}
    cache = CacheStore(folder / "cache")
    return Larder(known, memory or MemoryCache(2**20), ArtifactStore(folder), cache, more.pop("skip", True), **more)


def spec_of(stage: Any, code: str = "a", **more: Any) -> Spec:
    from harness.execution.calls import travelling

    keys = tuple(needed.key for needed in stage.inputs)
    return Spec(stage.key, stage.kind, travelling(stage.values), keys, None, stage.kind.keep, code, **more)


def test_the_node_local_cache_is_asked_by_key_and_code(tmp_path: Path) -> None:
    spec = spec_of(toys.features.bind(net=toys.base.bind(seed=0)))
    larder(tmp_path).cache_artifact(spec, Weights({"f": torch.ones(2)}, {"note": "x"}), seconds=1.0)
    found = larder(tmp_path)
    assert found.recall(spec)
    assert found.made[spec.key].output.tensors["f"].tolist() == [1.0, 1.0]
    assert found.made[spec.key].output.header["note"] == "x" and type(found.made[spec.key].output) is Weights
    assert not larder(tmp_path).recall(spec_of(toys.features.bind(net=toys.base.bind(seed=0)), code="b"))


def test_what_is_cheaper_to_make_is_not_cached(tmp_path: Path) -> None:
    spec = spec_of(toys.features.bind(net=toys.base.bind(seed=0)))
    larder(tmp_path).cache_artifact(spec, Weights({"f": torch.ones(2**20)}), seconds=1e-6)
    assert not larder(tmp_path).recall(spec)


def test_durable_artifacts_are_not_looked_for_in_the_cache(tmp_path: Path) -> None:
    assert not larder(tmp_path).recall(spec_of(toys.base.bind(seed=0)))


def test_memory_is_shared_between_calls(tmp_path: Path) -> None:
    memory, spec = MemoryCache(2**20), spec_of(toys.base.bind(seed=0))
    larder(tmp_path, memory=memory).keep(spec.key, Weights({"w": torch.ones(1)}), "try", "a", ("odd",))
    again = larder(tmp_path, memory=memory)
    assert again.recall(spec)
    assert (again.made[spec.key].attempt, again.made[spec.key].flags) == ("try", ("odd",))
    assert not larder(tmp_path, memory=memory).recall(spec_of(toys.base.bind(seed=0), code="b"))


@pytest.mark.parametrize(
    ("status", "cause", "tolerated", "wanted"),
    [
        ("diverged", "", False, ("skipped", "diverged")),
        ("diverged", "", True, None),
        ("skipped", "untrained", True, None),
        ("skipped", "untrained", False, ("skipped", "untrained")),
        ("failed", "", True, ("skipped", "failed")),
        ("oom", "", False, ("skipped", "failed")),
        ("damaged", "other", True, ("damaged", "")),
    ],
)
def test_obstacles_of_failed_inputs(
    tmp_path: Path, status: Any, cause: str, tolerated: bool, wanted: tuple[str, str] | None
) -> None:
    source = toys.noop.bind(index=0)
    stage = toys.pick.bind(scores=(source,)) if tolerated else toys.loner.bind(net=toys.base.bind(seed=0))
    found = larder(tmp_path)
    found.failed[stage.inputs[0].key] = Result(stage.inputs[0].key, status, "try", "why", cause=cause)
    arguments = found.arguments(spec_of(stage))
    if wanted is None:
        assert not isinstance(arguments, Obstacle) and arguments[0]["scores"] == (None,)
    else:
        assert isinstance(arguments, Obstacle) and (arguments.status, arguments.cause) == wanted
        assert ("diverged" if status == "diverged" else "why") in arguments.reason
        assert arguments.key == (cause if status == "damaged" else "")


def test_arguments_are_in_place_and_flags_seen(tmp_path: Path) -> None:
    source = toys.base.bind(seed=0, flag="not_trained")
    stage = toys.tune.bind(init=source, lr=0.5)
    for skip in (True, False):
        found = larder(tmp_path, skip=skip)
        found.keep(source.key, Weights({"w": torch.ones(1)}), "try", "a", ("not_trained",))
        arguments = found.arguments(spec_of(stage))
        if skip:
            assert isinstance(arguments, Obstacle) and arguments.cause == "untrained"
        else:
            assert not isinstance(arguments, Obstacle)
            assert arguments[0]["lr"] == 0.5 and arguments[0]["init"].tensors["w"].tolist() == [1.0]
            assert arguments[1] == [(True, ("not_trained",))]
