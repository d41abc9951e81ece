"""The share of time that was waited: bounds that hold however busy the machine is."""

from __future__ import annotations

import time

import pytest

from harness.training.waiting import Waiting


def test_nothing_waited_is_nothing() -> None:
    clock = Waiting()
    time.sleep(0.01)
    assert clock.share() == 0.0 and clock.seconds == 0.0


def test_what_is_inside_counts_and_what_is_outside_does_not() -> None:
    clock = Waiting()
    for _ in range(2):
        with clock:
            time.sleep(0.02)
    waited = clock.seconds
    assert waited >= 0.04
    time.sleep(0.02)
    assert clock.seconds == waited and 0 < clock.share() < 1


def test_waiting_that_fails_counts_too() -> None:
    clock = Waiting()
    with pytest.raises(OSError, match="gone"), clock:
        time.sleep(0.01)
        raise OSError("gone")
    assert clock.seconds >= 0.01 and clock.share() <= 1.0
