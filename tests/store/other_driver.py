"""A driver in a process of its own, for tests: commits, compacts, and prints what was acknowledged.

Usage: other_driver.py race|endless|upkeep|full RESULTS ...
"""

from __future__ import annotations

import hashlib
import random
import resource
import sys
import time

from harness.store import Group, MeasurementRow, StageRecord, Store, StoreWriteError


def group(names: list[str], value: float) -> Group:
    rows = [StageRecord(hashlib.sha256(name.encode()).hexdigest()[:32], "evaluate") for name in names]
    return Group(rows, [MeasurementRow(row.key, row.attempt, "digits", "test", "accuracy", value) for row in rows])


def say(*words: object) -> None:
    print(*words, flush=True)


def race(results: str, seed: str, names: str, value: str) -> None:
    """Commit the names 0..names-1 in an order of one's own, in groups of seven."""
    store = Store.open(results, create=True)
    order = list(range(int(names)))
    random.Random(int(seed)).shuffle(order)
    say("ready")
    for at in range(0, len(order), 7):
        done = store.commit(group([str(name) for name in order[at : at + 7]], float(value)))
        for key in done.committed:
            say("won", key)
        for second in done.duplicates:
            say("second", second.key)


def endless(results: str, prefix: str) -> None:
    """Commit new keys for ever; print each once its commit has returned."""
    store = Store.open(results, create=True)
    for at in range(10**9):
        made = group([f"{prefix}-{at}-{i}" for i in range(3)], at / 8)
        store.commit(made)
        for row, number in zip(made.records, made.measurements, strict=True):
            say("ack", row.key, row.attempt, number.value)
        if at % 7 == 6:
            store.compact()


def upkeep(results: str, seconds: str) -> None:
    """Commit and compact, deleting superseded files at once, for some seconds."""
    store = Store.open(results, create=True)
    end = time.monotonic() + float(seconds)
    at = 0
    while time.monotonic() < end:
        store.commit(group([f"upkeep-{at}"], 1.0))
        store.compact(force=True)
        at += 1
    say("commits", at)


def full(results: str, limit: str) -> None:
    """Commit under a limit on the file size until that fails, then lift it and commit the same group again."""
    store = Store.open(results, create=True)
    for at in range(5):
        store.commit(group([f"before-{at}"], 1.0))
    big = group([f"big-{at}" for at in range(3000)], 2.0)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), resource.RLIM_INFINITY))
    try:
        store.commit(big)
        message = "no error"
    except StoreWriteError as error:
        message = str(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    say(message)
    say(len(Store.open(results).records()))
    say(len(store.commit(big).committed))


if __name__ == "__main__":
    {"race": race, "endless": endless, "upkeep": upkeep, "full": full}[sys.argv[1]](*sys.argv[2:])
