"""A worker, given calls directly: batches and padding, inputs and where they come from, contexts, the memory ladder."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.execution.cache import MemoryCache, nbytes_of
from harness.execution.calls import travelling
from harness.execution.context import Batch, Context, Place
from harness.execution.messages import Call, Input, InputRef, Reply, Result, Rung, Spec
from harness.execution.meters import read_pulse
from harness.execution.worker import Worker, WorkerSetup, pulse_path, use_threads
from harness.graph import BatchContext, Measurements, Stage, StageContext, StageKind, Value, Weights
from harness.graph import stage as declare
from harness.store import ArtifactStore
from tests.execution.lab import toys


def worker_in(folder: Path, **more: Any) -> Worker:
    return Worker(WorkerSetup("w", folder / "store", disk_cache=folder / "cache", **more))


def spec(stage: Stage, **more: Any) -> Spec:
    group = None if stage.kind.batch is None else stage.group()
    keys = tuple(needed.key for needed in stage.inputs)
    return Spec(stage.key, stage.kind, travelling(stage.values), keys, group, keep=stage.kind.keep, **more)


def run(worker: Worker, *stages: Stage, inputs: Sequence[Input] = (), specs: Sequence[Spec] = (), **more: Any) -> Reply:
    wave = (*map(spec, stages), *specs)
    return worker.run(Call(7, (wave,), {entry.key: entry for entry in inputs}, **more))


def outcomes(reply: Reply) -> dict[str, Result]:
    return {result.key: result for result in reply.results}


def test_travelling_values_name_their_inputs() -> None:
    net = toys.base.bind(seed=0)
    assert travelling(toys.score.bind(net=net).values) == (InputRef(net.key), "toy", "test")
    noops = tuple(toys.noop.bind(index=i) for i in range(2))
    assert travelling(toys.pick.bind(scores=noops).values) == (tuple(InputRef(one.key) for one in noops),)


def test_a_reply_holds_every_result_once(tmp_path: Path) -> None:
    stages = [toys.noop.bind(index=i) for i in range(5)]
    reply = run(worker_in(tmp_path), *stages)
    assert (reply.call, reply.device, reply.threads) == (7, "cpu", 1)
    assert [result.rows[0].value for result in reply.results if result.rows] == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert len({result.attempt for result in reply.results}) == 5


def recording(width: int, **options: Any) -> tuple[StageKind[Any, Any], list[list[int]]]:
    """A batched stage that notes the members that it is called with."""
    seen: list[list[int]] = []

    def recorded(index: int) -> Measurements:
        raise AssertionError

    recorded.__annotations__["return"] = Measurements
    kind = declare(version=1, name=f"recorded{time.monotonic_ns()}", **options)(recorded)

    @kind.batched(width=width, group=lambda arguments: arguments["index"] % 2)
    def batch(members: Sequence[Mapping[str, Any]], ctx: BatchContext) -> list[Measurements]:
        seen.append([member["index"] for member in members])
        assert len(ctx.members) == len(members)
        return [toys.measured(float(member["index"])) for member in members]

    return kind, seen


def test_batches_are_alike_in_group_and_padded_to_their_width(tmp_path: Path) -> None:
    kind, seen = recording(4)
    reply = run(worker_in(tmp_path), *(kind.bind(index=i) for i in range(7)))
    assert seen == [[0, 2, 4, 6], [1, 3, 5, 5]]
    assert sorted(result.rows[0].value for result in reply.results if result.rows) == [float(i) for i in range(7)]
    assert {result.width for result in reply.results} == {4}


def test_a_batched_form_must_answer_for_every_member(tmp_path: Path) -> None:
    kind, _ = recording(2)
    assert kind.batch is not None
    object.__setattr__(kind.batch, "function", lambda members, ctx: [])
    (result,) = run(worker_in(tmp_path), kind.bind(index=0)).results
    assert result.status == "failed" and "returned 0 results for 2" in result.reason


def test_a_chain_runs_in_one_call_and_keeps_its_transients_to_itself(tmp_path: Path) -> None:
    worker = worker_in(tmp_path)
    source = toys.base.bind(seed=0)
    net = toys.tune.bind(init=source)
    score = toys.score.bind(net=net)
    found = outcomes(run(worker, source, net, score))
    assert [found[one.key].status for one in (source, net, score)] == ["ok"] * 3
    assert found[source.key].artifact is not None and found[net.key].artifact is None
    assert found[score.key].inputs == {net.key: found[net.key].attempt}
    assert len(list((tmp_path / "store" / "artifacts").rglob("*.safetensors"))) == 1


def test_a_saved_transient_is_written(tmp_path: Path) -> None:
    source = toys.base.bind(seed=0)
    found = outcomes(run(worker_in(tmp_path), source, specs=[spec(toys.tune.bind(init=source), save=True)]))
    assert all(result.artifact is not None for result in found.values())


def test_small_artifacts_of_a_call_share_a_file(tmp_path: Path) -> None:
    stages = [toys.base.bind(seed=i) for i in range(10)]
    found = outcomes(run(worker_in(tmp_path), *stages))
    assert len({result.artifact.location for result in found.values() if result.artifact}) == 1


def stored(folder: Path, stage: Stage, tensors: Mapping[str, torch.Tensor], **more: Any) -> Input:
    ref = ArtifactStore(folder / "store").put(stage.key, tensors)
    return Input(stage.key, "earlier", artifact=ref, made_by=Weights, **more)


def test_inputs_come_from_the_store_once_and_then_from_memory(tmp_path: Path) -> None:
    worker, net = worker_in(tmp_path), toys.base.bind(seed=0)
    entry = stored(tmp_path, net, {"w": torch.arange(4.0)})
    (first,) = run(worker, toys.score.bind(net=net), inputs=[entry]).results
    assert first.rows is not None and first.rows[0].value == 6.0
    assert entry.artifact is not None
    worker.artifacts.path(entry.artifact).unlink()
    (second,) = run(worker, toys.score.bind(net=net, split="val"), inputs=[entry]).results
    assert second.status == "ok"
    worker.free_memory()
    (third,) = run(worker, toys.score.bind(net=net, split="train"), inputs=[entry]).results
    assert (third.status, third.cause) == ("damaged", net.key)


def test_another_attempt_of_an_input_is_read_anew(tmp_path: Path) -> None:
    worker, net = worker_in(tmp_path), toys.base.bind(seed=0)
    run(worker, toys.score.bind(net=net), inputs=[stored(tmp_path, net, {"w": torch.zeros(4)})])
    other = stored(tmp_path, net, {"w": torch.ones(4)})
    other.attempt = "later"
    (result,) = run(worker, toys.score.bind(net=net), inputs=[other]).results
    assert result.rows is not None and result.rows[0].value == 4.0


def test_values_measurements_and_diverged_inputs_arrive_as_such(tmp_path: Path) -> None:
    scores = [toys.noop.bind(index=i) for i in range(3)]
    inputs = [Input(one.key, rows=toys.measured(float(i)).rows) for i, one in enumerate(scores)]
    inputs[2] = Input(scores[2].key, diverged=True)
    (result,) = run(worker_in(tmp_path), toys.pick.bind(scores=tuple(scores)), inputs=inputs).results
    assert result.value == {"index": 1}


def test_an_untrained_input_within_a_call_skips(tmp_path: Path) -> None:
    source = toys.base.bind(seed=0, flag="not_trained")
    net = toys.tune.bind(init=source)
    score = toys.score.bind(net=net)
    found = outcomes(run(worker_in(tmp_path), source, net, score))
    assert [found[one.key].status for one in (source, net, score)] == ["ok", "skipped", "skipped"]
    assert (found[net.key].cause, found[score.key].cause) == ("untrained", "untrained")
    assert found[score.key].reason == found[net.key].reason
    found = outcomes(run(worker_in(tmp_path / "b"), source, net, score, skip_untrained=False))
    assert found[score.key].flags == ("untrained_source",)


def test_a_failure_within_a_call_skips_what_reads_it(tmp_path: Path) -> None:
    net = toys.tune.bind(init=toys.base.bind(seed=0), lr=1e6)
    score = toys.score.bind(net=net)
    found = outcomes(run(worker_in(tmp_path), net.inputs[0], net, score))
    assert found[net.key].status == "diverged" and found[net.key].reason.startswith("Diverged: loss is nan")
    assert (found[score.key].status, found[score.key].cause) == ("skipped", "diverged")


def test_what_is_not_wanted_runs_only_when_it_must(tmp_path: Path) -> None:
    worker, source = worker_in(tmp_path), toys.base.bind(seed=0)
    net = toys.tune.bind(init=source)
    specs = [spec(source, wanted=False), spec(net, wanted=False)]
    reply = run(worker, specs=[*specs, spec(toys.score.bind(net=net))])
    assert [result.key for result in reply.results] == [toys.score.bind(net=net).key]
    ran = worker.stages_run
    run(worker, specs=[*specs, spec(toys.score.bind(net=net, split="val"))])
    assert worker.stages_run == ran + 1, "both nets are still in memory"


def test_rows_are_plain_numbers(tmp_path: Path) -> None:
    def odd() -> Measurements:
        return toys.measured(torch.tensor(0.5))

    odd.__annotations__["return"] = Measurements
    kind = declare(version=1, name="odd_numbers")(odd)
    (result,) = run(worker_in(tmp_path), kind.bind()).results
    assert result.rows is not None and type(result.rows[0].value) is float


def test_a_value_that_is_no_json_fails(tmp_path: Path) -> None:
    def odd() -> Value:
        return Value({"x": object()})

    odd.__annotations__["return"] = Value
    kind = declare(version=1, name="odd_value")(odd)
    (result,) = run(worker_in(tmp_path), kind.bind()).results
    assert result.status == "failed" and "not JSON serializable" in result.reason


def test_no_batch_begins_once_told_to_stop(tmp_path: Path) -> None:
    worker = worker_in(tmp_path)
    worker.stop()
    assert run(worker, *(toys.noop.bind(index=i) for i in range(3))).results == []


def test_a_stage_told_to_stop_is_neither_done_nor_failed(tmp_path: Path) -> None:
    worker = worker_in(tmp_path)
    stage = toys.patient.bind(index=0, steps=100, log=str(tmp_path / "log"), pause=0.01)
    threading.Timer(0.2, worker.stop).start()
    (result,) = run(worker, stage).results
    assert result.status == "stopped"
    assert (tmp_path / "store" / "scratch" / stage.key).is_dir()


def test_the_pulse_says_what_was_begun(tmp_path: Path) -> None:
    worker = worker_in(tmp_path)
    path = pulse_path(tmp_path / "store", "w")
    run(worker, toys.noop.bind(index=0))
    beat = read_pulse(path)
    assert beat is not None and (beat.call, beat.keys) == (0, ()) and beat.count == 2
    worker.pulse.begin(9, ("a", "b"))
    beat = read_pulse(path)
    assert beat is not None and (beat.call, beat.keys) == (9, ("a", "b"))
    worker.close()


def test_a_lost_device_blames_the_batch_and_retires_the_worker(tmp_path: Path) -> None:
    def broken(index: int) -> Measurements:
        raise RuntimeError("CUDA error: device-side assert triggered")

    broken.__annotations__["return"] = Measurements
    kind = declare(version=1, name="broken_device")(broken)
    stages = [kind.bind(index=i) for i in range(3)]
    reply = run(worker_in(tmp_path), *stages)
    assert reply.results == [] and reply.suspects == (stages[0].key,)
    assert reply.retire.startswith("its GPU failed")


def test_a_worker_retires_after_enough_stages(tmp_path: Path) -> None:
    worker = worker_in(tmp_path, max_stages=3)
    assert run(worker, toys.noop.bind(index=0)).retire == ""
    assert "3 stages" in run(worker, *(toys.noop.bind(index=i) for i in range(2))).retire


def test_a_worker_retires_when_its_memory_has_grown(tmp_path: Path) -> None:
    worker = worker_in(tmp_path, rss_growth=-(2**40))
    assert "memory" in run(worker, toys.noop.bind(index=0)).retire


def test_a_smaller_width_is_remembered(tmp_path: Path) -> None:
    worker = worker_in(tmp_path)
    stages = [toys.hungry.bind(index=i, fits=2) for i in range(16)]
    run(worker, *stages[:8])
    found = outcomes(run(worker, *stages[8:]))
    assert {result.width for result in found.values()} == {2}
    assert all(not result.tries for result in found.values())


def test_the_driver_may_ask_for_a_lower_rung(tmp_path: Path) -> None:
    found = outcomes(run(worker_in(tmp_path), toys.hungry.bind(index=0, fits=4), rung=Rung(divide=4)))
    assert {(result.width, len(result.tries)) for result in found.values()} == {(2, 0)}


# --- contexts ------------------------------------------------------------------------------------------------------


def context(folder: Path, **more: Any) -> tuple[Context, Place]:
    place = Place(folder / "scratch", MemoryCache(2**20), threads=3)
    return Context(place, "key", **more), place


def test_a_context_is_what_stages_are_promised(tmp_path: Path) -> None:
    made, place = context(tmp_path, attempt=2, micro_batches=4)
    promised: StageContext = made
    assert (promised.device, promised.threads, promised.attempt, promised.micro_batches) == ("cpu", 3, 2, 4)
    assert promised.world is None and promised.deadline is None and not promised.should_stop()
    batch: BatchContext = Batch([made], 4)
    assert (batch.device, batch.threads, batch.micro_batches, list(batch.members)) == ("cpu", 3, 4, [made])
    place.stop.set()
    assert made.should_stop() and batch.should_stop()


def test_a_deadline_asks_to_stop(tmp_path: Path) -> None:
    assert context(tmp_path, deadline=time.monotonic() - 1)[0].should_stop()
    assert not context(tmp_path, deadline=time.monotonic() + 60)[0].should_stop()


def test_generators_depend_on_what_they_serve_alone(tmp_path: Path) -> None:
    one, two = context(tmp_path)[0], context(tmp_path / "other", attempt=5)[0]
    draw = [torch.randn(3, generator=place.generator("order", 1, "task")).tolist() for place in (one, two)]
    assert draw[0] == draw[1]
    assert draw[0] != torch.randn(3, generator=one.generator("order", 2, "task")).tolist()


def test_scratch_is_removed_and_flags_are_kept_once(tmp_path: Path) -> None:
    made, _ = context(tmp_path)
    (made.scratch / "file").write_text("x")
    folder = made.scratch
    made.flag("odd")
    made.flag("odd")
    made.curve("loss", 1, 2)
    made.close(keep_checkpoint=False)
    assert not folder.exists() and made.flags == ["odd"] and made.curves == [("loss", 1, 2.0)]


def test_checkpoints_are_replaced_kept_and_removed(tmp_path: Path) -> None:
    made, _ = context(tmp_path, version="1:a")
    assert made.checkpoint.load() is None
    for step in (1, 2):
        made.checkpoint.save({"w": torch.full((2,), float(step))}, {"step": step})
    made.close(keep_checkpoint=True)
    again, _ = context(tmp_path, version="1:a")
    state = again.checkpoint.load()
    assert state is not None and state[1] == {"step": 2} and state[0]["w"].tolist() == [2.0, 2.0]
    assert context(tmp_path, version="1:b")[0].checkpoint.load() is None, "another version of the code"
    again.close(keep_checkpoint=False)
    assert context(tmp_path, version="1:a")[0].checkpoint.load() is None


def test_a_torn_checkpoint_is_none(tmp_path: Path) -> None:
    made, _ = context(tmp_path)
    made.checkpoint.save({"w": torch.zeros(100)}, {})
    (path,) = (tmp_path / "scratch").rglob("*.safetensors")
    path.write_bytes(path.read_bytes()[:50])
    assert made.checkpoint.load() is None


def test_progress_is_passed_on(tmp_path: Path) -> None:
    made, place = context(tmp_path)
    made.progress(1, 2)
    told: list[tuple[str, int, int]] = []
    place.on_progress = lambda key, done, total: told.append((key, done, total))
    made.progress(2, 2)
    assert told == [("key", 2, 2)]


# --- memory cache --------------------------------------------------------------------------------------------------


def test_the_least_recently_used_goes_first() -> None:
    cache = MemoryCache(100)
    for name in "abc":
        assert cache.put(name, name.upper(), 30)
    assert cache.get("a") == "A"
    cache.put("d", "D", 30)
    assert [name in cache for name in "abcd"] == [True, False, True, True]
    assert cache.take_dropped() == ["b"] and cache.take_dropped() == []
    assert cache.used == 90


def test_what_is_too_large_is_not_kept() -> None:
    cache = MemoryCache(100)
    cache.put("a", 1, 50)
    assert not cache.put("b", 2, 101) and "a" in cache
    cache.put("a", 3, 10)
    assert cache.used == 10
    cache.clear()
    assert cache.used == 0 and cache.get("a") is None


def test_cached_makes_once() -> None:
    cache, made = MemoryCache(10_000), []
    for _ in range(3):
        assert cache.cached("data", lambda: made.append(1) or torch.zeros(10)) is not None
    assert made == [1] and cache.used == 40
    assert cache.cached("sized", lambda: object(), nbytes=7) is not None and cache.used == 47


@pytest.mark.parametrize(
    ("value", "nbytes"),
    [
        (torch.zeros(10, dtype=torch.float64), 80),
        ({"a": torch.zeros(4), "b": torch.zeros(2)}, 24 + 64),
        ([torch.zeros(4)] * 2, 32 + 64),
        (Weights({"w": torch.zeros(25)}), 100 + 64 + 64 + 64),
        (torch.nn.Linear(3, 2), 32 + 64),
    ],
)
def test_sizes_are_those_of_the_tensors(value: Any, nbytes: int) -> None:
    assert nbytes_of(value) == nbytes


def test_threads_are_set_and_given_back() -> None:
    before = torch.get_num_threads()
    assert use_threads(2) == before and torch.get_num_threads() == 2
    use_threads(before)
