"""The process beside a run: ``python -m harness.trackers TRACKER STUDY RESULTS``, until standard input ends."""

from __future__ import annotations

import os
import sys
import threading

from harness.errors import HarnessError


def main(name: str, study: str, results: str) -> int:
    """Follow a study into a tracker; a complaint is one sentence on standard error."""
    from harness.store import Store
    from harness.store.places import local_folder
    from harness.trackers import follow, open_tracker
    from harness.trackers.exporting import EVERY

    ended = threading.Event()
    threading.Thread(target=_watch, args=(ended,), daemon=True).start()
    try:
        tracker = open_tracker(name, study, local_folder(results) / study)
        follow(Store.open(results), study, tracker, lambda: ended.wait(EVERY))
    except Exception as error:  # whatever a client library raises: the run goes on without it
        said = str(error) if isinstance(error, HarnessError) else f"{type(error).__name__}: {error}"
        sys.stderr.write(f"harness: tracker {name} stopped: {' '.join(said.split())} (later: harness track {study})\n")
        return 1
    return 0


def _watch(ended: threading.Event) -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    ended.set()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
