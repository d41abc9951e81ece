"""120,000 trials: reading them takes well under a second of a processor; the bounds here are loose."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from harness.store import Group, MeasurementRow, StageRecord, Store, outcomes
from tests.store.samples import key_of

TRIALS = 120_000


@pytest.mark.slow
def test_many_trials(results: Path) -> None:
    store = Store.open(results, create=True)
    keys = [key_of(i) for i in range(TRIALS)]
    start = time.process_time()
    for at in range(0, TRIALS, 2000):
        rows = [StageRecord(key, "noop", preimage=f'{{"key": "{key}"}}', code="c" * 32) for key in keys[at : at + 2000]]
        numbers = [MeasurementRow(row.key, row.attempt, "t", "test", "accuracy", 0.5) for row in rows]
        store.commit(Group(rows, numbers))
    assert time.process_time() - start < 60
    store.write_trials("s", _plan(keys))
    store.compact()
    files = [path for path in (results / "store").rglob("*") if path.is_file()]
    assert len(files) <= TRIALS / 1000

    start = time.process_time()
    records = Store.open(results).records()
    assert all(code == "c" * 32 for code in (records.code(key) for key in keys))
    loaded = time.process_time()
    table = outcomes(results)
    assert table.num_rows == TRIALS and table.column("shots").to_pylist()[7] == 2
    assert loaded - start < 5 and time.process_time() - loaded < 5


def _plan(keys: list[str]) -> dict[str, list[str]]:
    n = len(keys)
    return {
        "trial_id": [key[:16] for key in keys],
        "source": [f"s{i % 100}" for i in range(n)],
        "target": [f"t{i // 100 % 100}" for i in range(n)],
        "method": ["noop"] * n,
        "seed": [str(i % 12) for i in range(n)],
        "params": [json.dumps({"shots": i % 5}) for i in range(n)],
        "key": keys,
    }
