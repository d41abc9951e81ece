"""A merge in a process of its own, in groups of five, for tests that kill it: says so after every group.

Usage: merging_process.py INTO OTHER
"""

from __future__ import annotations

import sys
import time

from harness.store import CommitResult, Group, Store, merge


class Slow(Store):
    """A store whose every commit is announced, and followed by a pause in which the process may be killed."""

    def commit(self, group: Group) -> CommitResult:
        print("before", flush=True)
        time.sleep(0.02)
        done = super().commit(group)
        print("after", len(done.committed), flush=True)
        time.sleep(0.02)
        return done


if __name__ == "__main__":
    merge.GROUP = 5
    store = Slow.open(sys.argv[1], create=True)
    merge.merge(store, Store.open(sys.argv[2]))
    print("done", flush=True)
