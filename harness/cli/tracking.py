"""``harness track``: show stored curves and outcomes in TensorBoard, MLflow or Weights & Biases."""

from __future__ import annotations

import argparse
import time

from harness.cli.lookup import find
from harness.cli.text import plural


def track(arguments: argparse.Namespace) -> int:
    """Write what the tracker lacks; with ``--follow`` go on until Ctrl-C."""
    from harness.store import Store
    from harness.store.places import local_folder
    from harness.trackers import export, follow, open_tracker

    name = find(arguments.study, arguments.results).name
    store = Store.open(arguments.results)
    tracker = open_tracker(arguments.to, name, local_folder(arguments.results) / name, arguments.at)
    if not arguments.follow:
        print(f"{plural(export(store, name, tracker), 'new run')}; look: {tracker.place()}")
        return 0
    print(f"look: {tracker.place()}", flush=True)

    def wait() -> bool:
        try:
            time.sleep(arguments.every)
        except KeyboardInterrupt:
            return True
        return False

    follow(store, name, tracker, wait, lambda count: print(plural(count, "new run"), flush=True))
    return 0
