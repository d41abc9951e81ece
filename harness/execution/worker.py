"""What runs stages, the same in an actor and in the driver's own process: a call in, a reply out, never a row."""

from __future__ import annotations

import gc
import json
import time
import uuid
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.backbones.base import Backbone
from harness.errors import HarnessError
from harness.execution import ladder
from harness.execution.cache import MemoryCache, nbytes_of
from harness.execution.context import Batch, Context, Place
from harness.execution.inputs import Larder, Made, Obstacle
from harness.execution.ledger import flags_after
from harness.execution.messages import Call, Reply, Result, Rung, Spec, Try
from harness.execution.meters import MemoryMeter, Pulse, limit_memory, resident_bytes
from harness.execution.warming import warm
from harness.graph import Artifact, Measurement, Measurements, StageKind, Value, World
from harness.store import ArtifactRef, ArtifactStore, CacheStore
from harness.store import Place as StorePlace
from harness.tasks.base import Task

FLUSH_BYTES = 64 * 2**20
"""Artifacts of a call are written together, at its end or when this many bytes wait."""

_EXPECTED = {"artifact": Artifact, "value": Value, "measurements": Measurements}


@dataclass(frozen=True)
class WorkerSetup:
    """What a worker is told once. ``root`` is the store's directory, seen by all nodes; ``artifacts``: where artifacts
    lie when not there, but in object storage. ``warm``: data and weights to bring to the node before the first stage.

    ``threads``, ``loaders``: cores to compute with, and further ones to load data with. ``cache_bytes``: memory for
    loaded data and artifacts. ``disk_cache``: the node-local folder for cached artifacts (None: keep none).
    ``max_stages`` and ``rss_growth`` say when a worker asks to be replaced; ``memory_limit`` bounds in bytes what it
    may allocate beyond what it starts with.
    """

    name: str
    root: Path
    threads: int = 1
    gpu: bool = False
    cache_bytes: int = 2**30
    disk_cache: Path | None = None
    disk_cache_bytes: int = 10 * 2**30
    memory_limit: int | None = None
    max_stages: int = 1_000_000
    rss_growth: int = 8 * 2**30
    loaders: int = 0
    artifacts: StorePlace | None = None
    warm: tuple[Task | Backbone, ...] = ()


@dataclass(slots=True)
class _Member:
    """One stage on its way through the ladder."""

    spec: Spec
    arguments: dict[str, Any]
    inputs: list[tuple[bool, tuple[str, ...]]]
    tries: list[Try] = field(default_factory=list)
    shortage: BaseException | None = None
    seconds: float = 0.0


class Worker:
    """Runs calls, one at a time. `stop` may be called from another thread."""

    def __init__(self, setup: WorkerSetup, world: World | None = None) -> None:
        self.setup = setup
        device = _device(setup.gpu)
        self.place = Place(
            setup.root / "scratch",
            MemoryCache(setup.cache_bytes),
            device,
            setup.threads,
            world,
            loaders=setup.loaders,
        )
        self.artifacts = ArtifactStore(setup.artifacts or setup.root)
        self.cache = None if setup.disk_cache is None else CacheStore(setup.disk_cache, setup.disk_cache_bytes)
        self.meter = MemoryMeter(device)
        self.device_name = _device_name(device)
        self.pulse = Pulse(pulse_path(setup.root, setup.name) if setup.name else None)
        self.leads = world is None or world.rank == 0
        self.rungs: dict[tuple[str, Hashable], Rung] = {}
        self.stages_run = 0
        self.trouble = ""
        warm(setup.warm)
        self.baseline = resident_bytes()
        if setup.memory_limit is not None:
            limit_memory(setup.memory_limit)

    def stop(self) -> None:
        """Ask the running stage to save its state and stop; begin no other."""
        self.place.stop.set()

    def run(self, call: Call) -> Reply:
        """Run a call. Never raises for what a stage does."""
        started = time.monotonic()
        self.meter.start()
        running = _Running(self, call)
        for wave in call.waves:
            running.run_wave(wave)
        running.flush()
        self.pulse.rest()
        return Reply(
            call=call.number,
            results=running.results,
            held=tuple(running.held),
            dropped=self._dropped(),
            device=self.device_name,
            threads=self.setup.threads,
            seconds=time.monotonic() - started,
            retire=self._retire(),
            suspects=running.suspects,
        )

    def _dropped(self) -> tuple[str, ...]:
        """Return the keys of artifacts that left the memory cache since the last call."""
        gone = self.place.memory.take_dropped()
        return tuple(key[1] for key in gone if isinstance(key, tuple) and key[0] == "artifact")

    def _retire(self) -> str:
        if self.trouble:
            return self.trouble
        if self.stages_run >= self.setup.max_stages:
            return f"it has run {self.stages_run} stages"
        if resident_bytes() - self.baseline > self.setup.rss_growth + self.place.memory.used:
            return "its memory has grown"
        return ""

    def free_memory(self) -> None:
        """Give back what can be given back, before a stage is tried with less."""
        self.place.memory.clear()
        gc.collect()
        if self.place.device.startswith("cuda"):
            import torch

            torch.cuda.empty_cache()

    def close(self) -> None:
        """Close what the worker holds open."""
        self.pulse.close()


class _Running:
    """One call being run."""

    def __init__(self, worker: Worker, call: Call) -> None:
        self.worker = worker
        self.call = call
        self.larder = Larder(call.inputs, worker.place.memory, worker.artifacts, worker.cache, call.skip_untrained)
        self.results: list[Result] = []
        self.held: list[str] = []
        self.suspects: tuple[str, ...] = ()
        self._unsaved: list[tuple[Result, Artifact]] = []
        self._unsaved_bytes = 0

    # --- what to run ----------------------------------------------------------------------------------------------

    def run_wave(self, wave: Sequence[Spec]) -> None:
        """Run the wanted stages of a wave, and those they need, in batches of equal depth, kind and group."""
        plain = all(spec.wanted and spec.keep != "cache" for spec in wave)
        if plain and (len(wave) == 1 or all(not spec.inputs for spec in wave)):
            for batch in _alike(wave, {}):
                self._run_batch(batch)
            return
        needed = self._needed(wave)
        depth: dict[str, int] = {}
        for spec in wave:
            depth[spec.key] = 1 + max((depth.get(key, -1) for key in spec.inputs), default=-1)
        for batch in _alike([spec for spec in wave if spec.key in needed], depth):
            self._run_batch(batch)

    def _needed(self, wave: Sequence[Spec]) -> set[str]:
        """Return the keys that must run: an unwanted stage only when a needed one reads it and nobody kept it."""
        within = {spec.key for spec in wave}
        needed = {spec.key for spec in wave if spec.wanted and not (spec.keep == "cache" and self._recall(spec))}
        for spec in reversed(wave):
            if spec.key not in needed:
                continue
            if not spec.wanted and self.larder.recall(spec):
                needed.discard(spec.key)
                continue
            needed.update(key for key in spec.inputs if key in within and key not in self.larder.made)
        return needed

    def _recall(self, spec: Spec) -> bool:
        """Answer for a cached stage that is still in the cache without running it."""
        if not self.larder.recall(spec):
            return False
        made = self.larder.made[spec.key]
        self.results.append(Result(spec.key, "ok", made.attempt or uuid.uuid4().hex, flags=made.flags))
        return True

    def _run_batch(self, batch: Sequence[Spec]) -> None:
        kind = batch[0].kind
        assert kind.result in _EXPECTED  # asking for it resolves the annotations, which happens on first use
        width = 1 if kind.batch is None else kind.batch.width
        members = []
        for spec in batch:
            if self._halted():
                return
            found = self.larder.arguments(spec)
            if isinstance(found, Obstacle):
                self._blocked(spec, found)
            else:
                members.append(_Member(spec, *found))
                if len(members) == width:
                    self._climb(kind, members)
                    members = []
        if members:
            self._climb(kind, members)

    def _blocked(self, spec: Spec, obstacle: Obstacle) -> None:
        status: Any = obstacle.status
        cause = obstacle.key or obstacle.cause
        self._settle(Result(spec.key, status, uuid.uuid4().hex, obstacle.reason, cause=cause), spec)

    # --- the memory ladder ----------------------------------------------------------------------------------------

    def _climb(self, kind: StageKind[Any, Any], members: list[_Member]) -> None:
        """Run one batch; where memory is short, run it again on the next rung, down to one stage at a time."""
        width = 1 if kind.batch is None else kind.batch.width
        place = (kind.name, members[0].spec.group)
        start = self._start(place)
        left = members
        for rung in ladder.rungs(start, width, kind.accumulates, again=self.worker.place.memory.used > 0):
            for part in _parts(left, max(1, width // rung.divide)):
                if self._halted():
                    return
                self._execute(kind, part, rung)
            left = [member for member in left if member.shortage is not None]
            if not left:
                if rung != start:
                    self.worker.rungs[place] = rung
                return
            self._note_shortage(left, rung, width)
        for member in left:
            self._out_of_memory(member)

    def _start(self, place: tuple[str, Hashable]) -> Rung:
        """Return the rung to begin on: the one the driver asks for, or a lower one that was needed here before."""
        known = self.worker.rungs.get(place, Rung())
        return max(self.call.rung, known, key=lambda rung: (rung.divide, rung.micro_batches))

    def _halted(self) -> bool:
        """Say whether to begin nothing more: the driver asked to stop, or the device failed."""
        return self.worker.place.stop.is_set() or bool(self.worker.trouble)

    def _note_shortage(self, members: Iterable[_Member], rung: Rung, width: int) -> None:
        for member in members:
            error = member.shortage
            assert error is not None
            reason = f"out of memory with {ladder.describe_rung(rung, width)}: {ladder.one_sentence(error)}"
            member.tries.append(Try("oom", reason, ladder.trace(error), member.seconds))
        self.worker.free_memory()

    def _out_of_memory(self, member: _Member) -> None:
        last = member.tries.pop() if member.tries else Try("oom", "out of memory", "", member.seconds)
        result = Result(member.spec.key, "oom", uuid.uuid4().hex, last.reason, last.error, tries=tuple(member.tries))
        result.seconds = last.seconds
        self._settle(result, member.spec)

    def _execute(self, kind: StageKind[Any, Any], members: list[_Member], rung: Rung) -> None:
        """Run one batch on one rung. When a batch fails as a whole, its halves are run, so that one fails alone."""
        worker = self.worker
        for member in members:
            member.shortage = None
        limit = self.call.time_limit
        deadline = None if limit is None else time.monotonic() + limit
        contexts = [self._context(member, kind, deadline, rung) for member in members]
        worker.pulse.begin(self.call.number, tuple(member.spec.key for member in members))
        started = time.monotonic()
        try:
            outputs = _call(kind, members, contexts, rung, self._padding(kind, members, contexts, rung))
        except Exception as error:
            if self._device_lost(error, members):
                return
            if len(members) > 1 and ladder.classify(error) in ("failed", "diverged"):
                self._halve(kind, members, contexts, rung)
                return
            outputs = [error] * len(members)
        seconds = (time.monotonic() - started) / len(members)
        memory = worker.meter.recent(seconds * len(members))
        worker.stages_run += len(members)
        width = 1 if kind.batch is None else max(1, kind.batch.width // rung.divide)
        for member, context, output in zip(members, contexts, outputs, strict=True):
            member.seconds = seconds
            result = self._judge(member, context, output)
            if result is not None:
                result.seconds, result.memory_bytes, result.width = seconds, memory, width
                result.data_wait = context.data_wait
                self._settle(result, member.spec)
            context.close(keep_checkpoint=result is not None and result.status in ("stopped", "timeout"))

    def _halve(self, kind: StageKind[Any, Any], members: list[_Member], contexts: list[Context], rung: Rung) -> None:
        """Run the halves of a batch that failed as a whole, each padded to the same width."""
        for context in contexts:
            context.close(keep_checkpoint=True)
        for half in _parts(members, -(-len(members) // 2)):
            if not self._halted():
                self._execute(kind, half, rung)

    def _device_lost(self, error: BaseException, members: list[_Member]) -> bool:
        """Note that the device failed and who was running; these have no result, and nothing more is begun here."""
        if not ladder.is_device_lost(error):
            return False
        self.worker.trouble = f"its GPU failed: {ladder.one_sentence(error)}"
        self.suspects = tuple(member.spec.key for member in members)
        return True

    def _context(self, member: _Member, kind: StageKind[Any, Any], deadline: float | None, rung: Rung) -> Context:
        return Context(
            self.worker.place,
            member.spec.key,
            version=f"{kind.version}:{member.spec.code}",
            deadline=deadline,
            attempt=member.spec.attempt + len(member.tries),
            micro_batches=rung.micro_batches,
        )

    def _padding(
        self, kind: StageKind[Any, Any], members: list[_Member], contexts: list[Context], rung: Rung
    ) -> list[Context]:
        """Return throw-away contexts that fill a short batch to its width."""
        if kind.batch is None:
            return []
        missing = max(1, kind.batch.width // rung.divide) - len(members)
        last = members[-1]
        return [self._context(last, kind, contexts[-1].deadline, rung) for _ in range(missing)]

    # --- what came of it ------------------------------------------------------------------------------------------

    def _judge(self, member: _Member, context: Context, output: Any) -> Result | None:
        """Turn a member's output into its result; None when memory was short and another rung may be tried."""
        spec, attempt = member.spec, uuid.uuid4().hex
        if isinstance(output, BaseException):
            return self._judge_error(member, context, output, attempt)
        expected = _EXPECTED[spec.kind.result]
        if not isinstance(output, expected):
            reason = f"stage {spec.kind.name} returned {type(output).__name__} instead of {expected.__name__}"
            return Result(spec.key, "failed", attempt, reason)
        result = Result(spec.key, "ok", attempt)
        result.flags = flags_after(context.flags, member.inputs)
        result.curves = tuple(context.curves)
        result.tries = tuple(member.tries)
        try:
            self._take(result, spec, output, member.seconds)
        except (TypeError, ValueError) as error:
            return Result(spec.key, "failed", attempt, ladder.one_sentence(error), ladder.trace(error))
        return result

    def _judge_error(self, member: _Member, context: Context, error: BaseException, attempt: str) -> Result | None:
        failure = ladder.classify(error)
        if failure == "oom":
            member.shortage = error
            return None
        result = Result(member.spec.key, failure, attempt, ladder.one_sentence(error), ladder.trace(error))
        result.tries = tuple(member.tries)
        result.flags = flags_after(context.flags, member.inputs)
        result.curves = tuple(context.curves)
        if failure == "stopped" and not self.worker.place.stop.is_set():
            late = context.deadline is not None and time.monotonic() >= context.deadline
            result.status = "timeout" if late else "failed"
            if late:
                result.reason = f"stopped at its time limit of {self.call.time_limit:g} s; its state is saved"
        return result

    def _take(self, result: Result, spec: Spec, output: Any, seconds: float) -> None:
        if isinstance(output, Value):
            result.value = json.loads(json.dumps(dict(output.data)))
            self.larder.made[spec.key] = Made(output, result.flags, result.attempt)
        elif isinstance(output, Measurements):
            result.rows = tuple(_plain(row) for row in output.rows)
            self.larder.made[spec.key] = Made(output, result.flags, result.attempt)
        else:
            self.larder.keep(spec.key, output, result.attempt, spec.code, result.flags)
            self.held.append(spec.key)
            if spec.keep == "cache" and self.worker.leads:
                self.larder.cache_artifact(spec, output, seconds)
            elif spec.wanted and (spec.keep == "durable" or spec.save):
                self._unsaved.append((result, output))
                self._unsaved_bytes += nbytes_of(output)

    def _settle(self, result: Result, spec: Spec) -> None:
        result.kind = spec.kind.name
        if result.status not in ("ok", "stopped"):
            self.larder.failed[spec.key] = result
        if spec.wanted:
            result.inputs = {
                key: made.attempt for key in spec.inputs if (made := self.larder.made.get(key)) is not None
            }
            self.results.append(result)
        if self._unsaved_bytes > FLUSH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write the artifacts that wait, small ones into one file; where that fails, each on its own."""
        unsaved, self._unsaved, self._unsaved_bytes = self._unsaved, [], 0
        if not unsaved or not self.worker.leads:
            return
        try:
            self._write(unsaved)
        except Exception as error:
            if len(unsaved) == 1:
                _spoil(unsaved[0][0], error)
                return
            for one in unsaved:
                try:
                    self._write([one])
                except Exception as own:
                    _spoil(one[0], own)

    def _write(self, unsaved: Sequence[tuple[Result, Artifact]]) -> None:
        members = {result.key: (artifact.tensors, artifact.header) for result, artifact in unsaved}
        refs: dict[str, ArtifactRef] = self.worker.artifacts.put_many(members)
        for result, _ in unsaved:
            result.artifact = refs[result.key]


def _spoil(result: Result, error: BaseException) -> None:
    """Turn a result whose artifact could not be written into a failure."""
    result.status = "no_space" if ladder.classify(error) == "no_space" else "failed"
    result.reason = ladder.one_sentence(error) if not isinstance(error, HarnessError) else str(error)
    result.error = ladder.trace(error)


def _call(
    kind: StageKind[Any, Any], members: list[_Member], contexts: list[Context], rung: Rung, padding: list[Context]
) -> Sequence[Any]:
    """Call the stage, or its batched form with exactly its width of members."""
    if kind.batch is None:
        arguments = members[0].arguments
        if kind.takes_context:
            return [kind.function(**arguments, ctx=contexts[0])]
        return [kind.function(**arguments)]
    given = [member.arguments for member in members] + [members[-1].arguments] * len(padding)
    outputs = kind.batch.function(given, Batch([*contexts, *padding], rung.micro_batches))
    for context in padding:
        context.close(keep_checkpoint=True)
    if len(outputs) != len(given):
        raise HarnessError(f"the batched form of stage {kind.name} returned {len(outputs)} results for {len(given)}")
    return list(outputs)[: len(members)]


def _plain(row: Measurement) -> Measurement:
    """Return a measurement whose numbers are Python's own, so that the driver needs no other library to read it."""
    if type(row.value) is float and type(row.n_eval) in (int, type(None)) and type(row.step) in (int, type(None)):
        return row
    n_eval, step = (None if number is None else int(number) for number in (row.n_eval, row.step))
    return Measurement(row.metric, float(row.value), row.split, row.task, n_eval, step, tuple(row.flags))


def _parts(members: list[_Member], size: int) -> Iterator[list[_Member]]:
    for first in range(0, len(members), size):
        yield members[first : first + size]


def _alike(specs: Iterable[Spec], depth: dict[str, int]) -> list[list[Spec]]:
    """Group stages that may share a batch, shallower ones first."""
    groups: dict[tuple[int, str, Hashable], list[Spec]] = {}
    for spec in specs:
        groups.setdefault((depth.get(spec.key, 0), spec.kind.name, spec.group), []).append(spec)
    return [groups[key] for key in sorted(groups, key=lambda key: key[0])]


def _device(gpu: bool) -> str:
    if not gpu:
        return "cpu"
    import torch

    return "cuda:0" if torch.cuda.is_available() else "cpu"


def _device_name(device: str) -> str:
    if device == "cpu":
        return "cpu"
    import torch

    return f"cuda ({torch.cuda.get_device_name(0)})"


def pulse_path(root: Path, name: str) -> Path:
    """Return the file in which a worker notes what it begins; its folder is made when it is missing."""
    folder = root / "scratch" / "pulses"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / name


def use_threads(threads: int) -> int:
    """Let torch use ``threads`` threads in this process; return how many it used before (0: torch not installed)."""
    try:
        import torch
    except ImportError:
        return 0
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    return int(before)
