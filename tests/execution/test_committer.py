"""Group commits beside the driver, what is shown, and signals."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import pytest

from harness.execution.committer import Committer
from harness.execution.progress import (
    Display,
    KindCount,
    PlainDisplay,
    RichDisplay,
    Tally,
    clock,
    make_display,
    summary_line,
)
from harness.execution.signals import Signals
from harness.store import CommitResult, Group, StageRecord, StoreWriteError


@dataclass
class SlowStore:
    """A store that remembers its groups, takes as long as its gate is closed, and fails when told to."""

    groups: list[Group] = field(default_factory=list)
    broken: bool = False
    gate: threading.Event = field(default_factory=threading.Event)
    entered: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    def commit(self, group: Group) -> CommitResult:
        self.entered.set()
        self.gate.wait(120)
        if self.broken:
            raise StoreWriteError("no space left on device")
        self.groups.append(group)
        return CommitResult(committed=tuple(row.key for row in group.records))


def group(*keys: str) -> Group:
    return Group(records=[StageRecord(key, "noop") for key in keys])


def test_rows_that_come_close_together_are_committed_together() -> None:
    store = SlowStore()
    committer = Committer(store, interval=3600)
    for i in range(50):
        committer.offer(group(f"k{i}"), [f"k{i}"])
    committer.close()
    assert [len(one.records) for one in store.groups] == [50]


def test_nothing_counts_before_it_is_committed() -> None:
    store = SlowStore()
    store.gate.clear()
    committer = Committer(store, interval=0.0)
    committer.offer(group("a"), ["a"])
    assert store.entered.wait(120)
    assert committer.taken() == []
    store.gate.set()
    assert committer.flush()
    (done,) = committer.taken()
    assert done.keys == ("a",) and done.result.committed == ("a",)
    assert committer.taken() == []
    committer.close()


def test_rows_do_not_wait_longer_than_the_interval() -> None:
    store = SlowStore()
    committer = Committer(store, interval=0.3)
    begun = time.monotonic()
    committer.offer(group("a"), ["a"])
    assert store.entered.wait(120), "nobody has to ask for it"
    assert time.monotonic() - begun >= 0.3
    committer.close()


def test_rows_offered_during_a_commit_wait_for_the_next() -> None:
    store = SlowStore()
    store.gate.clear()
    committer = Committer(store, interval=0.05)
    for i in range(10):
        committer.offer(group(f"k{i}"), [f"k{i}"])
        assert store.entered.wait(120)
    store.gate.set()
    committer.close()
    assert [[row.key for row in one.records] for one in store.groups] == [["k0"], [f"k{i}" for i in range(1, 10)]]


def test_a_failed_commit_is_said_and_nothing_more_is_written() -> None:
    store = SlowStore(broken=True)
    committer = Committer(store, interval=0.0)
    committer.offer(group("a"), ["a"])
    assert not committer.flush()
    assert isinstance(committer.error, StoreWriteError)
    store.broken = False
    committer.offer(group("b"), ["b"])
    committer.close()
    assert store.groups == [] and committer.taken() == []


def test_a_flush_may_be_limited_in_time() -> None:
    store = SlowStore()
    store.gate.clear()
    committer = Committer(store, interval=0.0)
    committer.offer(group("a"), ["a"])
    assert not committer.flush(timeout=0.1), "without the limit it would wait for the gate"
    store.gate.set()
    committer.close()
    assert len(committer.taken()) == 1


def test_nothing_to_commit_is_no_commit() -> None:
    store = SlowStore()
    committer = Committer(store)
    assert committer.flush()
    committer.close()
    assert store.groups == []


# --- what is shown -------------------------------------------------------------------------------------------------


def tally() -> Tally:
    made = Tally()
    made.kinds["train"] = KindCount(total=10, done=4, failed=1, running=2)
    made.kinds["score"] = KindCount(total=30, done=5, skipped=3)
    return made


def test_counts_add_up() -> None:
    total = tally().total()
    assert (total.total, total.done, total.failed, total.skipped, total.running, total.left) == (40, 9, 1, 3, 2, 27)
    assert summary_line(tally()).startswith("9/40 stages done, 2 running, 1 failed, 3 skipped")


def test_the_time_left_follows_the_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("harness.execution.progress.time.monotonic", lambda: now[0])
    made = Tally()
    count = made.of("train")
    count.total = 100
    assert made.eta() is None
    for _ in range(10):
        now[0] += 1.0
        count.done += 2
        made.rate()
    assert made.rate() == pytest.approx(2.0, rel=0.15)
    assert made.eta() == pytest.approx(40.0, rel=0.15)
    count.done = 100
    assert made.eta() == 0.0


def test_plain_lines_say_failures_at_once_and_counts_now_and_then() -> None:
    stream = io.StringIO()
    with PlainDisplay(tally(), stream, interval=1000) as display:
        display.update()
        assert stream.getvalue() == ""
        display.say("failed: train 0123: boom")
        assert stream.getvalue() == "failed: train 0123: boom\n"
    assert stream.getvalue().splitlines()[-1].startswith("9/40 stages done")


def test_plain_lines_are_bounded() -> None:
    stream = io.StringIO()
    display = PlainDisplay(tally(), stream)
    for i in range(1000):
        display.say(f"failed: {i}")
    lines = stream.getvalue().splitlines()
    assert len(lines) == 200 and "every failure has its row" in lines[-1]


def test_a_terminal_gets_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    with RichDisplay(tally()) as display:
        display.say("failed: [train] boom")
        display.update()
    shown = capsys.readouterr().err
    assert "failed: [train] boom" in shown
    assert all(word in shown for word in ("train", "score", "done", "running", "failed", "skipped", "9/40"))


def test_displays_by_name() -> None:
    assert type(make_display(Tally(), "none")) is Display
    assert type(make_display(Tally(), "plain")) is PlainDisplay
    assert type(make_display(Tally(), "auto")) is PlainDisplay, "standard error is no terminal here"
    assert type(make_display(Tally(), "rich")) is RichDisplay
    with make_display(Tally(), "none") as silent:
        silent.update()
        silent.say("nothing")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.4, "59 s"), (60, "1:00"), (125, "2:05"), (3600, "1:00:00"), (7325, "2:02:05")],
)
def test_durations_read_well(seconds: float, text: str) -> None:
    assert clock(seconds) == text


# --- signals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_and_the_second_insists(number: int) -> None:
    heard: list[str] = []
    before = signal.getsignal(number)
    with Signals(lambda: heard.append("first"), lambda: heard.append("second")) as signals:
        assert signals.received is None
        os.kill(os.getpid(), number)
        assert heard == ["first"] and signals.received == number
        os.kill(os.getpid(), signal.SIGTERM)
        assert heard == ["first", "second"] and signals.received == number
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("first", [signal.SIGUSR1, signal.SIGTERM])
def test_two_announcements_of_one_end_are_no_hurry(first: signal.Signals) -> None:
    """Slurm's pre-emption may reach the driver both ways; what comes again is meant."""
    heard: list[str] = []
    other = signal.SIGTERM if first == signal.SIGUSR1 else signal.SIGUSR1
    with Signals(lambda: heard.append("first"), lambda: heard.append("second")) as signals:
        for number in (first, other):
            os.kill(os.getpid(), number)
        assert heard == ["first"] and signals.received == first
        os.kill(os.getpid(), other)
        assert heard == ["first", "second"]


def test_outside_the_main_thread_signals_are_left_alone() -> None:
    found: list[Any] = []

    def enter() -> None:
        with Signals(lambda: None, lambda: None) as signals:
            found.append((signals.received, signal.getsignal(signal.SIGTERM)))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert found == [(None, before)]


def test_leaving_at_once_has_the_status_of_the_signal() -> None:
    script = "from harness.execution.signals import leave_at_once\nleave_at_once(15)"
    assert subprocess.run([sys.executable, "-c", script], timeout=300).returncode == 143
