"""Runs a plan: what it still needs, on Ray or in this process, into the store."""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError
from harness.execution.batches import MAX_UNITS, Pace, Queue
from harness.execution.calls import CallBuilder
from harness.execution.committer import Committer
from harness.execution.driver import Driver
from harness.execution.ledger import Ledger
from harness.execution.options import ResourceRules, RunOptions, RunSummary, usable_cores
from harness.execution.outcomes import Outcomes
from harness.execution.pools import Executor
from harness.execution.progress import Display, Tally, make_display
from harness.execution.rows import RowMaker, as_measurement
from harness.execution.signals import Signals, leave_at_once
from harness.graph import Measurement, Node, Resources, Stage

if TYPE_CHECKING:
    from harness.execution.worker import WorkerSetup
    from harness.planning import Plan
    from harness.store import ArtifactRef, StageRecord, Store

TINY_STAGE = 1.0
"""Seconds that a stage of unknown cost counts for in the order of work."""


class LockedRecords:
    """The records of a store, read under its lock: the committer's thread changes them."""

    def __init__(self, store: Store) -> None:
        self._records = store.records()
        self.lock = store.lock

    def status(self, key: str) -> str | None:
        """Return ``ok`` or ``diverged``, or None without a record."""
        with self.lock:
            return self._records.status(key)

    def attempt(self, key: str) -> str | None:
        """Return the attempt whose record counts."""
        with self.lock:
            return self._records.attempt(key)

    def flags(self, key: str) -> tuple[str, ...]:
        """Return the flags of the record."""
        with self.lock:
            return self._records.flags(key)

    def value(self, key: str) -> str | None:
        """Return the JSON text of a small value."""
        with self.lock:
            return self._records.value(key)

    def artifact(self, key: str) -> ArtifactRef | None:
        """Return where the artifact is, if it was kept."""
        with self.lock:
            return self._records.artifact(key)

    def full_record(self, key: str) -> StageRecord | None:
        """Return the whole record of a key."""
        with self.lock:
            return self._records.get(key)


@dataclass
class _Run:
    """One run of a plan."""

    plan: Plan
    store: Store
    options: RunOptions
    nodes: Sequence[Node] | None = None

    def __post_init__(self) -> None:
        execution = self.plan.study.execution
        self.options = self.options.over(execution)
        self.started = time.monotonic()
        self.records = LockedRecords(self.store)
        self.rules = ResourceRules(
            dict(getattr(execution, "resources", {}) or {}),
            self.options.cpus_per_worker,
            self.options.gpus_per_worker,
        )
        self.retention: Mapping[str, Any] = dict(getattr(execution, "retention", {}) or {})
        self.resources: dict[str, Resources] = {}
        self.read_rows: dict[str, tuple[Measurement, ...]] = {}
        self.ledger = Ledger(
            self.records,
            self.rows_of,
            self.resources_of,
            self.keep_of,
            self.cost,
            skip_untrained=self.plan.study.on_untrained_source == "skip",
        )

    # --- what stages get ------------------------------------------------------------------------------------------

    def resources_of(self, stage: Stage) -> Resources:
        """Return the resources of a stage, which the study may have changed."""
        found = self.resources.get(stage.kind.name)
        if found is None:
            found = self.resources[stage.kind.name] = self.rules.of(stage.kind.resources, stage.kind.name)
        return found

    def keep_of(self, stage: Stage) -> Any:
        """Return where a stage's artifact lives, which the study may have changed."""
        return self.retention.get(stage.kind.name, stage.kind.keep)

    def cost(self, stage: Stage) -> float:
        """Return the expected seconds of a stage."""
        past = self.plan.past.get(stage.kind.name)
        return TINY_STAGE if past is None else past.mean_seconds

    def code_of(self, stage: Stage) -> str:
        """Return the digest of the code behind a stage."""
        return self.plan.code_of(stage).digest

    def rows_of(self, key: str) -> tuple[Measurement, ...]:
        """Return the measurements of a recorded stage; the first question reads those of all that may be asked for."""
        if key not in self.read_rows:
            from harness.store.lookup import measurements_of

            wanted = [key, *(one for one in self.ledger.recorded_rows() if one not in self.read_rows)]
            with self.store.lock:
                found = measurements_of(self.store, wanted)
            for one in wanted:
                self.read_rows[one] = tuple(as_measurement(row) for row in found.get(one, ()))
        return self.read_rows[key]

    # --- the run --------------------------------------------------------------------------------------------------

    def run(self) -> RunSummary:
        """Run what is needed; without anything to run, Ray is not even imported."""
        self._refuse_stale()
        for node in self.plan.terminals.values() if self.nodes is None else self.nodes:
            self.ledger.want(node)
        from harness.store.drivers import leave

        display = make_display(Tally(), self.options.progress)
        committer = Committer(self.store)
        try:
            with display:
                driver = self._driver(display, committer)
                interrupted = self._drive(driver, committer)
                if not committer.flush() and committer.error is None:
                    driver.halt("rows could not be committed in time")
                driver.show()
        finally:
            committer.close()
            leave(self.store.root, self.store.writer)
        if committer.error is not None:
            raise HarnessError(f"{committer.error}; everything reported as done is kept: run again to go on")
        if driver.outcomes.stages_run and self.options.compact and interrupted is None:
            self._compact()
        return self._summary(driver, interrupted)

    def _refuse_stale(self) -> None:
        stale = self.plan.stale
        if stale and self.options.stale == "stop":
            count = sum(group.count for group in stale)
            modules = sorted({module for group in stale for module in group.changed})
            because = f" ({', '.join(modules[:5])} changed)" if modules else ""
            raise HarnessError(
                f"{count} records were made by other code than today's{because}: "
                "choose --stale keep to count them as done, or --stale rerun to make them again"
            )
        if self.options.stale == "rerun":
            self.store.withdraw(self.plan.demand.withdrawn, "stale")

    def _driver(self, display: Display, committer: Committer) -> Driver:
        pace = Pace()
        queue = Queue(pace, salt=random.getrandbits(16) << 4, max_units=self.options.batch or MAX_UNITS)
        rows = RowMaker(self.code_of, self.keep_of, None, self.store.writer)
        builder = CallBuilder(self.ledger, self.code_of, self.options.time_limit)
        outcomes = Outcomes(
            self.ledger, queue, pace, committer, rows, display, self.records,
            halt=lambda reason: driver.halt(reason),
            crash_retries=self.options.crash_retries,
            stop_at_failure=(self.options.on_failure or self.plan.study.on_failure) == "stop",
            tries=builder.tries,
        )  # fmt: skip
        executor = self._executor()
        driver = Driver(
            self.ledger, queue, builder, outcomes, executor, committer, display,
            refresh=lambda: self._refresh(driver),
            received=lambda: None,
            refresh_interval=self.options.refresh,
            grace=self.options.seconds_of_grace,
        )  # fmt: skip
        return driver

    def _drive(self, driver: Driver, committer: Committer) -> int | None:
        self._begin(driver)
        if not len(driver.queue):
            return None
        driver.outcomes.rows.provenance = self._provenance()
        with self._signals(driver) as signals:
            driver.received = lambda: signals.received
            try:
                driver.run()
            except KeyboardInterrupt:
                committer.flush(timeout=10.0)
            finally:
                driver.executor.close()
            return signals.received

    def _begin(self, driver: Driver) -> None:
        """Queue what can start, and write the rows of what cannot run, unless they are there already."""
        outcomes = driver.outcomes
        for unit in outcomes.form():
            driver.queue.push(unit)
        dead = self.ledger.newly_dead
        if dead:
            known = {row.key: row.reason for row in self.store.attempts(dead) if row.status == "skipped"}
            said = [key for key in dead if known.get(key) == self.ledger.dead[key].reason]
            for key in said:
                if key in self.ledger.stages:
                    outcomes.display.tally.of(self.ledger.stages[key].kind.name).skipped += 1
            self.ledger.newly_dead = [key for key in dead if key not in set(said)]
        outcomes.settle()

    @contextlib.contextmanager
    def _signals(self, driver: Driver) -> Iterator[Signals]:
        """Let the first signal stop politely; a second one, or the end of the grace in this process, at once."""
        in_process = self.options.in_process
        timers: list[threading.Timer] = []

        def first() -> None:
            if in_process:
                driver.executor.stop()
                timer = threading.Timer(driver.grace, os.kill, (os.getpid(), signals.received))
                timer.daemon = True
                timer.start()
                timers.append(timer)

        def second() -> None:
            if in_process:
                raise KeyboardInterrupt
            session = getattr(driver.executor, "session", None)
            if session is not None:
                session.abandon()
            leave_at_once(signals.received or 2)

        signals = Signals(first, second)
        try:
            with signals:
                yield signals
        finally:
            for timer in timers:
                timer.cancel()

    def _refresh(self, driver: Driver) -> None:
        """Take in what other drivers have done, of what is not in our own workers' hands."""
        self.store.refresh()
        running = driver.running_keys()
        with self.store.lock:
            found = [
                key
                for key in self.ledger.open_keys()
                if key not in running and key not in self.ledger.withdrawn and self.records.status(key) is not None
            ]
        driver.outcomes.take_over(found)

    # --- workers --------------------------------------------------------------------------------------------------

    def _executor(self) -> Executor:
        if self.options.in_process:
            from harness.execution.in_process import InProcess

            return InProcess(self._setup)
        from harness.execution.ray_pool import RayPools
        from harness.execution.shipping import pack_plugins

        return RayPools(
            self._setup,
            self.store.local.resolve(),
            usable_cores(),
            self.options.workers,
            pack_plugins(self.plan.study.plugins),
            self.options.address,
            self.options.dashboard,
            self.options.seconds_of_grace,
            self.options.spare_head,
        )

    def _setup(self, name: str, resources: Resources) -> WorkerSetup:
        from harness.execution.warming import named_values
        from harness.execution.worker import WorkerSetup
        from harness.store import node_root

        limit = self.options.memory_limit
        return WorkerSetup(
            name,
            self.store.local.resolve(),
            artifacts=None if self.store.local == self.store.root else self.store.root,
            threads=max(1, int(resources.cpus)),
            loaders=resources.loaders,
            gpu=resources.gpus > 0,
            cache_bytes=self.options.cache_bytes or 2**30,
            disk_cache=self.options.disk_cache or node_root(),
            memory_limit=None if self.options.in_process else limit,
            max_stages=self.options.max_stages,
            warm=named_values(self.ledger.stages.values()),
            rss_growth=limit or 8 * 2**30,
        )

    # --- the end --------------------------------------------------------------------------------------------------

    def _provenance(self) -> str:
        """Record how this run is made: the resolved study, and the files behind every code digest."""
        from harness.study import task_attributes

        digests = {}
        for stage in self.ledger.stages.values():
            found = self.plan.code_of(stage)
            if found.digest not in digests:
                digests[found.digest] = dict(found.files)
        study = self.plan.study
        return self.store.provenance(study.resolved(), digests, task_attributes(study))

    def _compact(self) -> None:
        """Tidy the tables; what goes wrong there costs no row and must not fail the run."""
        with contextlib.suppress(HarnessError):
            self.store.compact()

    def _summary(self, driver: Driver, interrupted: int | None) -> RunSummary:
        counts = {"done": 0, "failed": 0, "skipped": 0, "diverged": 0, "pending": 0}
        for key in self._asked_for():
            counts[self._state(key, driver)] += 1
        return RunSummary(
            **counts,
            stages_run=driver.outcomes.stages_run,
            interrupted=interrupted,
            stopped=None if interrupted is not None else driver.stopped,
            seconds=time.monotonic() - self.started,
        )

    def _asked_for(self) -> Iterator[str]:
        """Yield the key of every trial, or of every node of the part that was asked for."""
        if self.nodes is not None:
            yield from (node.key for node in self.nodes)
            return
        for block in self.plan.blocks:
            yield from (node.key for node in block.terminals)

    def _state(self, key: str, driver: Driver) -> str:
        if key in driver.outcomes.uncommitted:
            return "pending"
        death = self.ledger.dead.get(key)
        if death is not None:
            if not death.own:
                return "skipped"
            return "diverged" if death.cause == "diverged" else "failed"
        return "done" if key in self.ledger.finished else "pending"


def execute(
    plan: Plan, store: Store, options: RunOptions | None = None, nodes: Sequence[Node] | None = None
) -> RunSummary:
    """Run what a plan still needs and return how its trials stand.

    nodes: only these of the plan's trials and stages are asked for, and counted.

    Raises HarnessError: stale records without a decision what to do about them, no Ray, or a store that cannot be
    written. Whatever was reported as done before is kept.
    """
    return _Run(plan, store, options or RunOptions(), nodes).run()
