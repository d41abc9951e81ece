"""Dropping what no study's newest plan reaches."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from harness.store.errors import StoreError
from harness.store.places import name_in
from harness.store.rows import Pruning

if TYPE_CHECKING:
    from harness.store.records import Records
    from harness.store.store import Store

UNNAMED_SECONDS = 86_400.0
"""An artifact file that no record names is deleted at this age: a worker may have written it for a record to come."""


def prune(store: Store, keep: Collection[str], dry_run: bool, force: bool) -> Pruning:
    """Withdraw unreached records and delete unreferenced artifact files; see :meth:`harness.store.Store.prune`.

    A driver that publishes an artifact in the very moment in which its only record is pruned finds the file missing
    when it loads it, and computes it again.

    Raises:
        StoreError: a study is unfinished and its stages are not known, and ``force`` is false.
    """
    records = store.refresh()
    reached = reachable(records, {*_roots(store, records, force), *keep})
    dropped = tuple(key for key in records if key not in reached)
    kept = {records.field(key, "location") for key in records if key in reached}
    named = {records.field(key, "location") for key in dropped} - {None}
    files, nbytes = _unreferenced(store, kept, named)
    if not dry_run:
        store.withdraw(dropped, "pruned")
        for name in files:
            (store.root / name).unlink(missing_ok=True)
    return Pruning(dropped, files, nbytes, dry_run)


def reachable(records: Records, roots: Iterable[str]) -> set[str]:
    """Return ``roots`` and, through the inputs of the records, everything they were made from."""
    inputs = dict(zip(records, records.column("inputs"), strict=True))
    reached: set[str] = set()
    waiting = list(roots)
    while waiting:
        key = waiting.pop()
        if key not in reached:
            reached.add(key)
            text = inputs.get(key)
            waiting.extend(json.loads(text) if text else ())
    return reached


def _roots(store: Store, records: Records, force: bool) -> set[str]:
    """Return the terminal keys of all trials, and the keys of all stages of the plans that stated them."""
    from harness.store.trials import stage_keys

    trials = store.trials(columns=["study", "key"])
    stated = stage_keys(store)
    roots: set[str] = set().union(*stated.values()) if stated else set()
    for study, key in zip(trials.column("study").to_pylist(), trials.column("key").to_pylist(), strict=True):
        if key is None:
            continue
        if key not in records and study not in stated and not force:
            raise StoreError(
                f"study {study!r} is unfinished and its plan does not say which stages it needs: "
                "finish it first, or prune with --force and lose what its open trials could reuse"
            )
        roots.add(key)
    return roots


def _unreferenced(store: Store, kept: Collection[str | None], named: Collection[str]) -> tuple[tuple[str, ...], int]:
    """Return the artifact files that can go, and their bytes."""
    files, nbytes = [], 0
    for path in store.artifacts.files():
        name = name_in(store.root, path)
        state = path.stat()
        if name not in kept and (name in named or time.time() - state.st_mtime > UNNAMED_SECONDS):
            files.append(name)
            nbytes += state.st_size
    return tuple(sorted(files)), nbytes
