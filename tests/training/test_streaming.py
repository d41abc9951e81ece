"""Batches made ahead: the same whatever the number of threads, few at a time, and no thread is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest
import torch
from torch import Tensor

from harness.training import streaming
from harness.training.augmentation import augmented
from harness.training.streaming import Batches, loaders_for

PICTURES = torch.rand(20, 3, 12, 12, generator=torch.Generator().manual_seed(0))


def make(step: int) -> Tensor:
    chosen = PICTURES[[step % 20, (3 * step) % 20]]
    return augmented(chosen, ("random_resized_crop", "colour_jitter", "random_crop"), 4, "t", step)


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("loader")]


def taken(workers: int, first: int = 0, last: int = 30) -> list[Tensor]:
    with Batches(make, first, last, workers, 1) as batches:
        return [batches.take() for _ in range(first, last)]


@pytest.mark.parametrize("workers", [1, 3, 7])
def test_batches_are_the_same_whatever_the_number_of_threads(workers: int) -> None:
    for one, other in zip(taken(0), taken(workers), strict=True):
        assert torch.equal(one, other)
    assert not threads()


def test_a_later_start_gives_the_later_batches() -> None:
    for one, other in zip(taken(2)[17:], taken(3, first=17), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(("workers", "nbytes", "ahead"), [(3, 1, 6), (3, 2**27, 2), (2, 2**40, 1), (0, 1, 0)])
def test_few_batches_wait(workers: int, nbytes: int, ahead: int) -> None:
    begun: list[int] = []
    with Batches(lambda step: begun.append(step) or step, 0, 100, workers, nbytes) as batches:
        for expected in range(10):
            assert batches.take() == expected
            time.sleep(0.01)
            assert len(begun) <= expected + 1 + ahead
    assert len(begun) <= 10 + ahead, "nothing is made that nobody asked for"


def test_they_are_made_while_the_step_computes() -> None:
    def slow(step: int) -> int:
        time.sleep(0.05)
        return step

    with Batches(slow, 0, 8, 2, 1) as ahead:
        for _ in range(8):
            ahead.take()
            time.sleep(0.05)
        hidden = ahead.share_waited()
    with Batches(slow, 0, 8, 0, 1) as alone:
        for _ in range(8):
            alone.take()
            time.sleep(0.05)
        open_share = alone.share_waited()
    assert open_share == pytest.approx(0.5, abs=0.15), "as long for the batch as for the step"
    assert hidden < 0.6 * open_share
    assert 0 <= hidden <= 1


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_what_goes_wrong_in_a_batch_is_raised_at_its_step(workers: int) -> None:
    def broken(step: int) -> int:
        if step == 5:
            raise OSError("the disk is gone")
        return step

    with pytest.raises(OSError, match="the disk is gone"), Batches(broken, 0, 20, workers, 1) as batches:
        for expected in range(6):
            assert batches.take() == expected
    assert not threads()


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_leaving_early_leaves_no_thread(error: type[BaseException]) -> None:
    before = threading.active_count()
    with pytest.raises(error), Batches(make, 0, 1000, 3, 1) as batches:
        batches.take()
        assert len(threads()) == 3
        raise error
    assert threading.active_count() == before


def test_nothing_to_do_starts_nothing() -> None:
    with Batches(make, 7, 7, 3, 1) as batches:
        assert not threads() and batches.waited == 0.0


def test_sigterm_ends_a_process_that_loads() -> None:
    """The way the harness stops: the handler sets a flag, the loop sees it between steps and leaves."""
    script = textwrap.dedent(
        """
        import signal, sys, threading, time
        from harness.training.streaming import Batches

        stop = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: stop.set())
        with Batches(lambda step: time.sleep(0.02), 0, 10**9, 3, 1) as batches:
            print("ready", flush=True)
            while not stop.is_set():
                batches.take()
        print(threading.active_count(), flush=True)
        """
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=os.getcwd())
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    rest, _ = process.communicate(timeout=20)
    assert process.returncode == 0 and rest == "1\n"


def test_how_many_threads_make_batches() -> None:
    assert loaders_for(0, 4) == 4, "as many as the slot has cores"
    assert loaders_for(2, 8) == 2, "those set apart for it"
    assert loaders_for(500, 1) == streaming.MOST_LOADERS
