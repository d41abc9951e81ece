"""The loop: how much a worker gets in advance, what other drivers have done, and how a run ends early."""

from __future__ import annotations

import errno
import io
import os
import signal
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from harness.errors import HarnessError
from harness.execution import RunOptions
from harness.execution.committer import Committer
from harness.execution.in_process import InProcess
from harness.execution.messages import Call, Event
from harness.execution.pools import Seat
from harness.execution.progress import PlainDisplay
from harness.execution.study_run import _Run
from harness.graph import Resources
from harness.store import ArtifactStore, Store, StoreWriteError
from tests.execution.lab import Lab, chains, toys, tuned_choice
from tests.execution.stand_ins import InTurns, Unlucky

Use = Callable[..., list[Any]]


class Watched(Unlucky):
    """Notes how many calls the worker has in its hands whenever it takes one up."""

    def __init__(self, setup: Any) -> None:
        super().__init__(setup, lambda call, keys: None)
        self.in_hand: list[int] = []
        self.stopped = 0
        self.before_wait: Callable[[], None] = lambda: None

    def wait(self, timeout: float) -> list[Event]:
        self.before_wait()
        self.in_hand.append(len(self._calls))
        return super().wait(timeout)

    def stop(self) -> None:
        self.stopped += 1
        super().stop()


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Use:
    """Have runs use a watched executor, set up by a function; return the list of those made."""

    def use(prepare: Callable[[Watched], None] = lambda made: None) -> list[Any]:
        made: list[Any] = []

        def executor(self: _Run) -> Watched:
            made.append(Watched(self._setup))
            prepare(made[-1])
            return made[-1]

        monkeypatch.setattr(_Run, "_executor", executor)
        return made

    return use


def test_a_worker_gets_a_second_call_only_when_calls_are_short(lab: Lab, watch: Use, monkeypatch: Any) -> None:
    made = watch()
    monkeypatch.setattr("harness.execution.driver.SHORT_CALL", 1e6)
    lab.run([toys.noop.bind(index=i) for i in range(60)], batch=5)
    assert made[0].in_hand[0] == 1, "nothing is known of the pace yet"
    assert max(made[0].in_hand) == 2
    monkeypatch.setattr("harness.execution.driver.SHORT_CALL", 0.0)
    lab.run([toys.noop.bind(index=100 + i) for i in range(60)], batch=5)
    assert max(made[1].in_hand) == 1


def test_what_another_driver_does_meanwhile_is_not_done_again(
    lab: Lab, watch: Use, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a clock by which every turn takes a minute, so that a look at the store is due at each."""
    stages = [toys.where.bind(index=i) for i in range(30)] + chains(3, 1)
    other = Lab(lab.results, lab.defaults)
    turns = iter(range(1000))
    clock = SimpleNamespace(now=0.0, monotonic=lambda: clock.now)
    monkeypatch.setattr("harness.execution.driver.time", clock)

    def prepare(made: Watched) -> None:
        def meanwhile() -> None:
            clock.now += 60
            if next(turns) == 3:
                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr(_Run, "_executor", lambda run: InProcess(run._setup))
                    other.run(stages[10:])

        made.before_wait = meanwhile

    made = watch(prepare)
    summary = lab.run(stages, batch=1, refresh=1.0)
    assert summary.done == 33
    assert made[0] is not None and summary.stages_run < 30, "of 37"
    assert all(len(lab.store.measurements(stage.key)) == 1 for stage in stages)


def test_what_needs_the_same_input_goes_where_it_is(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two workers make two sources each. What reads a source then runs where it was made: nothing is loaded twice."""
    made: list[InTurns] = []

    def executor(run: _Run) -> InTurns:
        made.append(InTurns(run._setup))
        return made[-1]

    monkeypatch.setattr(_Run, "_executor", executor)
    sources = [toys.base.bind(seed=seed) for seed in range(4)]
    readers = [toys.loner.bind(net=net, pause=i / 1e6) for i in range(12) for net in sources]
    assert lab.run(readers, batch=1).done == 48
    homes = {key: worker for worker, key in made[0].ran}
    assert len(made[0].ran) == len(homes) == 52
    assert sorted(homes[net.key] for net in sources) == ["worker0"] * 2 + ["worker1"] * 2
    assert [homes[one.key] for one in readers] == [homes[net.key] for net in sources] * 12


def test_first_signals_stop_and_nothing_is_lost(lab: Lab, watch: Use) -> None:
    turns = iter(range(1000))

    def prepare(made: Watched) -> None:
        made.before_wait = lambda: os.kill(os.getpid(), signal.SIGTERM) if next(turns) == 4 else None

    made = watch(prepare)
    stages = [toys.noop.bind(index=i) for i in range(20)]
    summary = lab.run(stages, batch=1, grace=5.0)
    assert summary.interrupted == signal.SIGTERM and summary.exit_status == 143
    assert made[0].stopped >= 1 and 0 < summary.done < 20 and summary.pending == 20 - summary.done
    assert summary.done == len(lab.store.records())


def test_a_store_that_cannot_be_written_ends_the_run(lab: Lab, watch: Use, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second commit fails; the worker waits until the first has been made, and later until the second was."""
    commits: list[int] = []
    tried = threading.Semaphore(0)
    real = Store.commit
    turns = iter(range(1000))

    def commit(self: Store, group: Any) -> Any:
        commits.append(1)
        tried.release()
        if len(commits) > 1:
            raise StoreWriteError("the disk is full")
        return real(self, group)

    def prepare(made: Watched) -> None:
        made.before_wait = lambda: next(turns) in (3, 8) and tried.acquire(timeout=120)

    watch(prepare)
    monkeypatch.setattr(Store, "commit", commit)
    stages = [toys.where.bind(index=i) for i in range(60)]
    monkeypatch.setattr("harness.execution.study_run.Committer", lambda store: Committer(store, interval=0.0))
    with pytest.raises(HarnessError, match=r"the disk is full; everything reported as done is kept: run again"):
        lab.run(stages, batch=2)
    monkeypatch.setattr(Store, "commit", real)
    kept = len(lab.store.records())
    assert 0 < kept < 60
    assert lab.run(stages).stages_run == 60 - kept


def test_artifacts_without_space_stop_the_run_after_writing_the_row(lab: Lab, monkeypatch: Any) -> None:
    def put_many(self: ArtifactStore, artifacts: Any) -> Any:
        raise StoreWriteError("not written: No space left on device") from OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(ArtifactStore, "put_many", put_many)
    bases = [toys.base.bind(seed=i) for i in range(10)]
    summary = lab.run([toys.score.bind(net=net) for net in bases], batch=1)
    assert summary.failed + summary.skipped >= 1 and summary.stopped is not None
    assert "no space left" in summary.stopped
    failed = [net for net in bases if lab.attempts(net)]
    assert len(failed) < 10 and "No space left" in lab.attempts(failed[0])[0].reason
    monkeypatch.undo()
    assert lab.run([toys.score.bind(net=net) for net in bases]).done == 10


def test_what_is_shown_adds_up(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Any] = []
    stream = io.StringIO()

    def display(tally: Any, how: str) -> PlainDisplay:
        shown.append(tally)
        return PlainDisplay(tally, stream)

    monkeypatch.setattr("harness.execution.study_run.make_display", display)
    choice, _ = tuned_choice([0.1, 500.0])
    bad = toys.tune.bind(init=toys.base.bind(seed=7), lr=500.0)
    lost = [toys.score.bind(net=bad, task=task) for task in "ab"]
    lab.run([choice, toys.fussy.bind(index=0, how="raise"), *lost])
    kinds = shown[0].kinds
    assert {kind: (count.total, count.done, count.failed, count.skipped) for kind, count in kinds.items()} == {
        "base": (2, 2, 0, 0),
        "tune": (3, 3, 0, 0),
        "score": (5, 2, 0, 3),
        "pick": (1, 1, 0, 0),
        "fussy": (1, 0, 1, 0),
    }
    assert all(count.running == 0 for count in kinds.values())
    said = stream.getvalue()
    assert said.count("diverged: tune") == 2 and "failed: fussy" in said and "this stage always fails" in said
    lab.run([choice, lost[0]])
    assert shown[1].of("score").skipped == 1


def test_a_stage_done_twice_with_another_result_is_told(lab: Lab, watch: Use, capsys: Any) -> None:
    stage = toys.where.bind(index=0)
    turns = iter(range(1000))

    def prepare(made: Watched) -> None:
        def meanwhile() -> None:
            if next(turns) == 0:
                other = Lab(lab.results, lab.defaults)
                forged = toys.where.function
                toys.where.function = lambda index, pause: toys.measured(-1.0)
                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr(_Run, "_executor", lambda run: InProcess(run._setup))
                    other.run([stage])
                toys.where.function = forged

        made.before_wait = meanwhile

    watch(prepare)
    assert lab.run([stage], progress="plain").done == 1
    assert lab.value(stage) == -1.0, "the first commit counts"
    (row,) = lab.attempts(stage)
    assert (row.status, row.agreed) == ("duplicate", False)
    assert "the first one counts" in capsys.readouterr().err


def test_seats_serve_every_class_in_this_process(lab: Lab) -> None:
    plan: Any = SimpleNamespace(study=plain_study(), past={})
    made = InProcess(_Run(plan, lab.store, RunOptions())._setup)
    made.scale({Resources(): 3, Resources(cpus=2.0): 1})
    made.scale({Resources(): 1})
    assert [seat.resources.cpus for seat in made.seats()] == [1.0, 2.0]
    assert made.wait(0.0) == []
    call = Call(1, ((),), {})
    made.submit(made.seats()[0], call)
    assert made.seats()[0].calls == {1: 0.0}
    made.kill()
    assert made.seats()[0].calls == {} and made.wait(0.0) == []
    made.close()


def plain_study() -> Any:
    return SimpleNamespace(
        execution=SimpleNamespace(resources={}, retention={}), on_untrained_source="skip", on_failure="continue"
    )


def test_runs_outside_the_main_thread_work(lab: Lab) -> None:
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(lab.run(chains(2, 1)).done))
    thread.start()
    thread.join()
    assert found == [2]


def test_seats_are_told_apart() -> None:
    one, two = Seat("a", Resources()), Seat("a", Resources())
    assert one != two and one.holds is not two.holds
