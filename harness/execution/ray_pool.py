"""Long-lived Ray actors in elastic pools, one pool a resource class. Only our own ladder ever retries anything."""

from __future__ import annotations

import math
import os
import pickle
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.execution.actor import Luggage
from harness.execution.messages import Call, Event, Lost, LostCause, Refused, Replied
from harness.execution.meters import read_pulse
from harness.execution.pools import Seat
from harness.execution.session import Session, load_ray, start_session, thread_variables
from harness.execution.shipping import Plugin, package_digest, package_root
from harness.execution.worker import WorkerSetup, pulse_path
from harness.graph import Resources, World

MAX_START_FAILURES = 3
LOOK_INTERVAL = 0.5
TENURE = 30.0
"""Seconds before a busy worker may have to make room for another class: starting one costs seconds."""
_START, _FOLLOWER = 0, -1
"""What a reference stands for when it is not a call's number: a worker starting, a gang's call on a further rank."""


@dataclass(slots=True, eq=False)
class _Crew:
    """The actors behind one seat: one, or a gang of which the first one's replies count."""

    seat: Seat
    actors: list[Any]
    starting: list[Any]
    group: Any = None
    calls: dict[int, tuple[list[Any], Call]] = field(default_factory=dict)
    watched: tuple[int, float] = (0, 0.0)
    doomed: LostCause | None = None
    hired: float = field(default_factory=time.monotonic)


@dataclass
class RayPools:
    """Implements :class:`harness.execution.pools.Executor` on Ray.

    ``setup`` describes the worker of a name and resource class; ``workers`` bounds their number (None: as many as fit
    the cores). ``plugins`` are shipped; ``address``, ``dashboard`` and ``spare_head`` are as in `start_session`.
    """

    setup: Callable[[str, Resources], WorkerSetup]
    root: Path
    cores: int
    workers: int | None = None
    plugins: tuple[Plugin, ...] = ()
    address: str | None = None
    dashboard: bool = False
    grace: float = 20.0
    spare_head: bool = False
    depth: int = 2

    def __post_init__(self) -> None:
        """Start with no session: Ray is brought up by the first demand."""
        self.session: Session | None = None
        self._crews: dict[str, _Crew] = {}
        self._refs: dict[Any, tuple[str, int]] = {}
        self._events: list[Event] = []
        self._run = f"{os.getpid()}-{int(time.time())}"
        self._count = 0
        self._start_failures = 0
        self._stopping = False
        self._capacity = (0.0, 0.0)
        self._capacity_at = -math.inf
        self._look_at = 0.0
        self._digest = ""

    # --- pools ----------------------------------------------------------------------------------------------------

    def scale(self, demand: Mapping[Resources, int]) -> None:
        """Start workers while units wait and there is room; make room where another class has none to do."""
        if self._stopping or not demand:
            return
        self._open()
        for resources, units in demand.items():
            crews = [crew for crew in self._crews.values() if crew.seat.resources == resources]
            staying = [crew for crew in crews if not crew.seat.leaving]
            while len(staying) < units:
                while not self._fits(resources) and self._make_room(resources, demand, bool(staying)):
                    continue
                if not self._fits(resources):
                    break
                staying.append(self._hire(resources))

    def _open(self) -> None:
        if self.session is not None:
            return
        slots = self.workers or self.cores
        self.session = start_session(
            max(slots, self.cores), None, self.address, self.dashboard, self.root / "logs", self.spare_head
        )
        self._digest = package_digest()
        self._resource_actor = _actor_class()

    def _room(self) -> tuple[float, float]:
        """Return the cores and GPUs of the cluster, which may grow and shrink."""
        if time.monotonic() - self._capacity_at > 5.0:
            found = load_ray().cluster_resources()
            self._capacity = (float(found.get("CPU", 0.0)), float(found.get("GPU", 0.0)))
            self._capacity_at = time.monotonic()
        return self._capacity

    def _fits(self, resources: Resources) -> bool:
        cpus, gpus = self._room()
        need = _need(resources)
        if need[0] > cpus or need[1] > gpus:
            what = f"{need[0]:g} cores and {need[1]:g} GPUs"
            raise HarnessError(f"a stage needs {what}, but there are {cpus:g} cores and {gpus:g} GPUs")
        if self.workers is not None and len(self._crews) >= self.workers:
            return False
        used = [_need(crew.seat.resources) for crew in self._crews.values()]
        return sum(c for c, _ in used) + need[0] <= cpus and sum(g for _, g in used) + need[1] <= gpus + 1e-6

    def _make_room(self, resources: Resources, demand: Mapping[Resources, int], has_one: bool) -> bool:
        """Dismiss an idle worker of a class that waits for nothing; let one of a busy class go when ours has none."""
        others = [crew for crew in self._crews.values() if crew.seat.resources != resources]
        for crew in others:
            if not crew.calls and not demand.get(crew.seat.resources):
                self._dismiss(crew)
                return True
        seasoned = [crew for crew in others if time.monotonic() - crew.hired >= TENURE]
        if not has_one and seasoned and not any(crew.seat.leaving for crew in others):
            min(seasoned, key=lambda crew: len(crew.calls)).seat.leaving = True
            self._part_with_leavers()
        return False

    def _hire(self, resources: Resources) -> _Crew:
        self._count += 1
        name = f"{self._run}-{self._count}"
        log = f"logs/{self._run}/worker-{self._count}.log"
        seat = Seat(name, resources, log=log)
        group = _placement(resources) if resources.world > 1 else None
        actors = [self._actor(resources, rank, group) for rank in range(max(1, resources.world))]
        worlds = _worlds(actors)
        luggage = Luggage(self.setup(name, resources), self._digest, self.plugins, log)
        starting = []
        for rank, (actor, world) in enumerate(zip(actors, worlds, strict=True)):
            own = luggage
            if rank:
                setup = replace(luggage.setup, name=f"{name}-{rank}")
                own = replace(luggage, setup=setup, log=log.replace(".log", f"-{rank}.log"))
            starting.append(actor.start.remote(pickle.dumps(replace(own, world=world), protocol=5)))
        crew = self._crews[name] = _Crew(seat, actors, starting, group)
        for ref in starting:
            self._refs[ref] = (name, _START)
        return crew

    def _actor(self, resources: Resources, rank: int, group: Any) -> Any:
        threads = max(1, int(resources.cpus))
        options: dict[str, Any] = {
            "num_cpus": resources.cpus + resources.loaders,
            "num_gpus": resources.gpus,
            "max_restarts": 0,
            "max_task_retries": 0,
            "runtime_env": {"env_vars": thread_variables(threads)},
        }
        if group is not None:
            from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

            options["scheduling_strategy"] = PlacementGroupSchedulingStrategy(group, rank)
        return self._resource_actor.options(**options).remote(*_path_changes())

    def _dismiss(self, crew: _Crew) -> None:
        """End a crew that has no calls."""
        ray = load_ray()
        self._crews.pop(crew.seat.name, None)
        for ref in crew.starting:
            self._refs.pop(ref, None)
        for actor in crew.actors:
            ray.kill(actor)
        if crew.group is not None:
            ray.util.remove_placement_group(crew.group)
        pulse_path(self.root, crew.seat.name).unlink(missing_ok=True)

    def _part_with_leavers(self) -> None:
        for crew in list(self._crews.values()):
            if crew.seat.leaving and not crew.calls:
                self._dismiss(crew)

    def seats(self) -> Sequence[Seat]:
        """Return the workers that take calls."""
        return [crew.seat for crew in self._crews.values() if not crew.seat.leaving]

    # --- calls ----------------------------------------------------------------------------------------------------

    def submit(self, seat: Seat, call: Call) -> None:
        """Hand a call to a worker."""
        crew = self._crews[seat.name]
        try:
            text = pickle.dumps(call, protocol=5)
        except Exception as error:
            from harness.execution.ladder import trace

            self._events.append(Refused(seat.name, call.number, trace(error), seat.log))
            return
        refs = [actor.run.remote(text) for actor in crew.actors]
        crew.calls[call.number] = (refs, call)
        seat.calls[call.number] = time.monotonic()
        self._refs.update(dict.fromkeys(refs[1:], (seat.name, _FOLLOWER)))
        self._refs[refs[0]] = (seat.name, call.number)

    def wait(self, timeout: float) -> list[Event]:
        """Return what happened, waiting up to ``timeout`` seconds for the first thing."""
        events, self._events = self._events, []
        if self._refs:
            for ref in self._ready(0 if events else timeout):
                events += self._received(ref)
        elif not events:
            time.sleep(min(timeout, 0.05))
        events += self._overdue()
        self._part_with_leavers()
        return events

    def _ready(self, timeout: float) -> list[Any]:
        """Return the references that have an answer, waiting for the first one."""
        ray, refs = load_ray(), list(self._refs)
        try:
            first, _ = ray.wait(refs, num_returns=1, timeout=timeout)
            ready, _ = ray.wait(refs, num_returns=len(refs), timeout=0) if first else ([], None)
        except ray.exceptions.RayError as error:
            raise HarnessError(f"the connection to Ray was lost ({error}): run again to go on") from error
        return list(ready)

    def _received(self, ref: Any) -> list[Event]:
        ray = load_ray()
        found = self._refs.pop(ref, None)
        if found is None:
            return []
        name, number = found
        crew = self._crews.get(name)
        if crew is None:
            return []
        try:
            answer = ray.get(ref)
        except ray.exceptions.RayTaskError as error:
            answer = (False, pickle.dumps(str(error)))
        except ray.exceptions.RayError as error:
            return [self._lost(crew, error)]
        if number == _START:
            return self._started(answer)
        if number == _FOLLOWER:
            return []
        del crew.calls[number], crew.seat.calls[number]
        fine, text = answer
        value = pickle.loads(text)  # noqa: S301  (from our own worker, through Ray's transport)
        if not fine:
            return [Refused(name, number, value, crew.seat.log)]
        if value.retire:
            crew.seat.leaving = True
        return [Replied(name, value)]

    def _started(self, problem: Any) -> list[Event]:
        if not problem:
            self._start_failures = 0
            return []
        text = problem if isinstance(problem, str) else "its first call failed"
        raise HarnessError(f"a worker could not start: {text.splitlines()[0]}")

    def _lost(self, crew: _Crew, error: Exception) -> Lost:
        """Clear up after a worker that is gone, and say what it was doing."""
        name = crew.seat.name
        beat = read_pulse(pulse_path(self.root, name))
        calls = tuple(crew.calls)
        cause, reason = crew.doomed or _cause(error), _reason(error, crew)
        for ref in [ref for ref, (owner, _) in self._refs.items() if owner == name]:
            del self._refs[ref]
        crew.calls.clear()
        self._dismiss(crew)
        if not calls:
            self._start_failures += 1
            if self._start_failures >= MAX_START_FAILURES:
                raise HarnessError(f"workers die before they start: {reason}")
        active = beat.call if beat is not None and beat.call in calls else None
        return Lost(name, calls, active, beat.keys if beat is not None and active else (), cause, reason)

    def _overdue(self) -> list[Event]:
        """Kill workers that run one batch for longer than the time limit and the grace."""
        now = time.monotonic()
        if now < self._look_at:
            return []
        self._look_at = now + LOOK_INTERVAL
        events: list[Event] = []
        for crew in list(self._crews.values()):
            limit = next((call.time_limit for _, call in crew.calls.values() if call.time_limit is not None), None)
            beat = None if limit is None else read_pulse(pulse_path(self.root, crew.seat.name))
            if limit is None or beat is None or not beat.keys:
                continue
            if crew.watched[0] != beat.count:
                crew.watched = (beat.count, now)
            if now - crew.watched[1] >= limit + self.grace:
                crew.doomed = "timeout"
                events.append(self._lost(crew, TimeoutError(f"over its time limit of {limit:g} s")))
        return events

    # --- the end --------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Ask every worker to save its state and stop."""
        self._stopping = True
        for crew in self._crews.values():
            for actor in crew.actors:
                actor.stop.remote()

    def kill(self) -> None:
        """End every worker now."""
        self._refs.clear()
        for crew in list(self._crews.values()):
            crew.calls.clear()
            self._dismiss(crew)

    def close(self) -> None:
        """End workers and Ray; remove its temporary directory and the logs that nothing was written to."""
        if self.session is None:
            return
        try:
            self.kill()
        finally:
            self.session.close()
        folder = self.root / "logs" / self._run
        for log in folder.glob("*.log"):
            if log.stat().st_size == 0:
                log.unlink(missing_ok=True)
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _actor_class() -> Any:
    """Return the actor class. It is defined here, inside a function, so that Ray ships it by value: its first act, to
    put the worker's import path in order, must come before anything of ours is imported."""
    ray = load_ray()

    class Actor:
        def __init__(self, dropped: tuple[str, ...], root: str) -> None:
            import importlib.util
            import sys

            sys.path[:] = [entry for entry in sys.path if entry not in dropped]
            if importlib.util.find_spec("harness") is None:
                sys.path.append(root)
            from harness.execution.actor import Desk

            self.desk = Desk()

        def start(self, luggage: bytes) -> str:
            return self.desk.start(luggage)

        def run(self, call: bytes) -> tuple[bool, bytes]:
            return self.desk.run(call)

        @ray.method(concurrency_group="control")  # type: ignore[untyped-decorator]  # Ray's decorator has no types
        def stop(self) -> None:
            self.desk.stop()

        def address(self) -> str:
            import socket

            with socket.socket() as free:
                free.bind(("", 0))
                return f"{ray.util.get_node_ip_address()}:{free.getsockname()[1]}"

    return ray.remote(concurrency_groups={"control": 1})(Actor)


def _path_changes() -> tuple[tuple[str, ...], str]:
    """Return the entries that a worker drops from its import path, and where this package can be found otherwise.

    Ray puts the driver's current directory and script directory first: a user's `analysis.py` would shadow ours.
    """
    script = os.path.dirname(os.path.realpath(sys.argv[0])) if sys.argv and sys.argv[0] else ""
    return ("", ".", os.getcwd(), os.path.realpath(os.getcwd()), script), str(package_root())


def _placement(resources: Resources) -> Any:
    from ray.util.placement_group import placement_group

    bundle = {"CPU": resources.cpus + resources.loaders, "GPU": resources.gpus}
    group = placement_group(
        [{name: count for name, count in bundle.items() if count}] * resources.world, strategy="PACK"
    )
    load_ray().get(group.ready())
    return group


def _worlds(actors: Sequence[Any]) -> list[World | None]:
    if len(actors) == 1:
        return [None]
    address = load_ray().get(actors[0].address.remote())
    return [World(rank, len(actors), address) for rank in range(len(actors))]


def _need(resources: Resources) -> tuple[float, float]:
    """Return the cores and GPUs of all processes of a slot."""
    size = max(1, resources.world)
    return size * (resources.cpus + resources.loaders), size * resources.gpus


def _cause(error: Exception) -> LostCause:
    if getattr(error, "preempted", False) is True or type(error).__name__ == "NodeDiedError":
        return "preempted"
    text = str(error).lower()
    if type(error).__name__ == "OutOfMemoryError" or "running low on memory" in text or "out of memory" in text:
        return "oom"
    return "crashed"


def _reason(error: Exception, crew: _Crew) -> str:
    if crew.doomed == "timeout":
        return f"{error}; it did not stop when asked, so its worker was ended"
    found = re.search(r"Worker exit detail: ([^.]+)", str(error))
    detail = found.group(1).strip() if found else ""
    if not detail or "connection error code 2" in detail:  # all that Ray knows of a process that is suddenly gone
        return "its worker process was killed or ended itself"
    return f"its worker process ended: {detail[:300]}"
