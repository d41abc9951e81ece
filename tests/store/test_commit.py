"""Groups become permanent whole, once, and whatever other drivers do meanwhile."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from deltalake import DeltaTable

import harness.store.commit as protocol
from harness.store import AttemptRow, CurveRow, Group, Store, StoreError
from tests.store.samples import key_of, measured, one, record


def interrupted(monkeypatch: pytest.MonkeyPatch, name: str, action) -> None:
    """Run ``action`` once, just before the protocol's step ``name``."""
    step, pending = getattr(protocol, name), [action]

    def wrapped(*arguments):
        if pending:
            pending.pop()()
        return step(*arguments)

    monkeypatch.setattr(protocol, name, wrapped)


def raw(results: Path, table: str) -> list[dict]:
    """Read a table with the Delta library itself."""
    return DeltaTable(str(results / "store" / table)).to_pyarrow_table().to_pylist()


def test_a_group_is_seen_by_others_once_committed(store: Store, results: Path) -> None:
    other = Store.open(results)
    assert len(other.records()) == 0
    group = one("a", 0.25, flags=("not_trained",), value='{"index": 3}', inputs='{"b": "c"}', preimage="äöü☃")
    group.curves.append(CurveRow(key_of("a"), group.records[0].attempt, "loss", 3, 1.5))
    result = store.commit(group)
    assert result.committed == (key_of("a"),)
    assert key_of("a") not in other.records()
    other.refresh()
    expected = group.records[0]
    expected.writer = store.writer
    assert other.records()[key_of("a")] == expected
    assert other.measurements(key_of("a")) == group.measurements
    assert other.curves(key_of("a")) == group.curves


def test_special_numbers_and_text_come_back(store: Store) -> None:
    row = record("a")
    values = [math.nan, math.inf, -math.inf, -0.0, 5e-324, 0.1 + 0.2, None]
    rows = [measured(row, value, metric=f'größe, "{i}"\n') for i, value in enumerate(values)]
    store.commit(Group([row], rows))
    back = store.measurements(row.key)
    assert [repr(m.value) for m in back] == [repr(value) for value in values]
    assert [m.metric for m in back] == [m.metric for m in rows]


def test_committing_a_group_twice_changes_nothing(store: Store, results: Path) -> None:
    group = one("a")
    assert store.commit(group) == store.commit(group)
    assert len(raw(results, "records")) == 1
    assert len(store.measurements(key_of("a"))) == 1
    assert store.attempts() == []


@pytest.mark.parametrize(("value", "agreed"), [(0.5, True), (0.75, False), (math.nan, False)])
def test_the_first_success_counts(store: Store, results: Path, value: float, agreed: bool) -> None:
    first, second = one("a", 0.5), one("a", value)
    store.commit(first)
    result = Store.open(results).commit(second)
    assert result.committed == ()
    (duplicate,) = result.duplicates
    assert (duplicate.winner, duplicate.agreed) == (first.records[0].attempt, agreed)
    assert store.refresh().attempt(key_of("a")) == first.records[0].attempt
    assert [m.value for m in store.measurements(key_of("a"))] == [0.5]
    (attempt,) = store.attempts([key_of("a")])
    assert (attempt.status, attempt.agreed, attempt.attempt) == ("duplicate", agreed, second.records[0].attempt)


def test_nan_agrees_with_nan(store: Store) -> None:
    store.commit(one("a", math.nan))
    assert store.commit(one("a", math.nan)).duplicates[0].agreed


def test_losing_the_race_between_measurements_and_records(store: Store, results: Path, monkeypatch) -> None:
    other = Store.open(results)
    ours = Group()
    for name, value in (("a", 0.1), ("b", 0.2)):
        group = one(name, value)
        ours.records += group.records
        ours.measurements += group.measurements
    interrupted(monkeypatch, "_swap", lambda: other.commit(one("a", 0.9)))
    result = store.commit(ours)
    assert result.committed == (key_of("b"),)
    assert [second.key for second in result.duplicates] == [key_of("a")]
    assert [m.value for m in store.measurements(key_of("a"))] == [0.9]
    assert [m.value for m in store.measurements(key_of("b"))] == [0.2]
    assert len(raw(results, "records")) == 2


@pytest.mark.parametrize("with_orphans", [False, True])
def test_a_sweep_between_measurements_and_records_loses_nothing(
    store: Store, results: Path, monkeypatch, with_orphans: bool
) -> None:
    store.commit(one("before"))
    other = Store.open(results)
    interrupted(monkeypatch, "_swap", lambda: other.compact(force=True))
    group = one("a", 0.75)
    group.curves.append(CurveRow(key_of("a"), group.records[0].attempt, "loss", 1, 2.0))
    assert store.commit(group).committed == (key_of("a"),)
    assert [m.value for m in Store.open(results).measurements(key_of("a"))] == [0.75]
    if with_orphans:
        store.compact(force=True)
    assert [c.value for c in Store.open(results).curves(key_of("a"))] == [2.0]
    assert [m.value for m in Store.open(results).measurements(key_of("before"))] == [0.5]


def test_a_commit_on_a_log_that_was_cleaned_meanwhile(store: Store, results: Path) -> None:
    store.commit(one("a"))
    other = Store.open(results)
    for name in range(4):
        other.commit(one(name))
        other.compact(force=True)
    log = results / "store" / "records" / "_delta_log"
    assert not (log / f"{store.table('records').version + 1:020d}.json").exists()
    assert store.table("measurements").version < other.table("measurements").version
    store.commit(one("late", 0.125))
    fresh = Store.open(results)
    assert set(fresh.records()) == {key_of(name) for name in ("a", 0, 1, 2, 3, "late")}
    assert [m.value for m in fresh.measurements(key_of("late"))] == [0.125]


def test_a_log_cleaned_under_a_commit_that_met_nobody(store: Store, results: Path, monkeypatch) -> None:
    """The checkpoint that this version was read from is gone, and no newer version has come: try again."""
    from deltalake.exceptions import DeltaError

    from harness.store.tables import Table

    inner, failures = Table._commit, []

    def failing(self, actions, writer, expect):
        if len(failures) < 3:
            failures.append(self.name)
            raise DeltaError(f"{self.path}/_delta_log/00000000000000000220.checkpoint.parquet not found: No such file")
        return inner(self, actions, writer, expect)

    monkeypatch.setattr(Table, "_commit", failing)
    store.commit(one("a", 0.25))
    assert len(failures) == 3
    assert [m.value for m in Store.open(results).measurements(key_of("a"))] == [0.25]


@pytest.mark.parametrize("name", ["measurements", "records", "attempts"])
def test_a_commit_into_a_cleaned_place_of_the_log_is_noticed(
    store: Store, results: Path, monkeypatch, name: str
) -> None:
    """Should the library ever let a commit land below the newest checkpoint, where nobody reads it, we notice."""
    import harness.store.tables as tables

    table, real, lost = store.table(name), tables.newest_checkpoint, []
    commit = table._commit
    monkeypatch.setattr(table, "_commit", lambda *arguments: commit(*arguments) if lost else lost.append(1))
    newest = lambda path, after=0: 10**6 if path == table.path and len(lost) == 1 else real(path, after)  # noqa: E731
    monkeypatch.setattr(tables, "newest_checkpoint", newest)
    monkeypatch.setattr(table, "reopen", lambda: lost.append(2) or tables.Table.reopen(table))
    group = one("a", 0.5)
    group.attempts.append(AttemptRow(key_of("b"), "train", "f" * 32, "failed"))
    assert store.commit(group).committed == (key_of("a"),)
    assert lost == [1, 2]
    fresh = Store.open(results)
    assert [m.value for m in fresh.measurements(key_of("a"))] == [0.5] and len(fresh.attempts()) == 1


def test_withdrawn_records_are_gone_and_can_be_made_again(store: Store, results: Path) -> None:
    store.commit(one("a", 0.1))
    assert store.withdraw([key_of("a"), key_of("unknown")], "stale") == (key_of("a"),)
    assert store.withdraw([key_of("a")], "stale") == ()
    fresh = Store.open(results)
    assert key_of("a") not in fresh.records() and fresh.measurements(key_of("a")) == []
    again = one("a", 0.2)
    assert fresh.commit(again).committed == (key_of("a"),)
    assert [m.value for m in Store.open(results).measurements(key_of("a"))] == [0.2]
    assert store.refresh().attempt(key_of("a")) == again.records[0].attempt


def test_a_rerun_can_replace_a_record_in_one_group(store: Store, results: Path) -> None:
    store.commit(one("a", 0.1))
    group = one("a", 0.2)
    group.records += protocol.withdrawals(store.records(), [key_of("a")], "stale")
    result = store.commit(group)
    assert (result.committed, result.withdrawn) == ((key_of("a"),), (key_of("a"),))
    for reader in (store, Store.open(results)):
        assert [m.value for m in reader.measurements(key_of("a"))] == [0.2]
    store.compact()
    assert [m.value for m in Store.open(results).measurements(key_of("a"))] == [0.2]


def test_attempts_keep_error_text_and_order(store: Store) -> None:
    rows = [
        AttemptRow(key_of("a"), "train", f"{i:032x}", status, reason="because", error="Traceback\n  …", log="logs/x")
        for i, status in enumerate(("oom", "timeout", "crashed"))
    ]
    store.commit(Group(attempts=rows[:2]))
    store.commit(Group(attempts=rows[2:]))
    back = store.attempts([key_of("a")])
    assert [row.status for row in back] == ["oom", "timeout", "crashed"]
    assert back[0].error == "Traceback\n  …" and back[0].writer == store.writer
    assert store.attempts([key_of("b")]) == []


def test_wrong_groups_are_refused(store: Store) -> None:
    with pytest.raises(StoreError, match="two records of one key"):
        store.commit(Group(records=[record("a"), record("a")]))
    with pytest.raises(StoreError, match="without the record"):
        store.commit(Group(measurements=[measured(record("a"), 1.0)]))
    with pytest.raises(StoreError, match="comma"):
        store.commit(Group(records=[record("a", flags=("x,y",))]))
    with pytest.raises(StoreError, match="seconds"):
        store.commit(Group(records=[record("a", seconds="long")]))
    assert not store.commit(Group()).committed
    assert len(store.refresh()) == 0


def test_two_drivers_on_the_same_keys(results: Path, other_driver) -> None:
    drivers = [other_driver("race", results, seed, 70, seed) for seed in (1, 2)]
    outputs = [process.communicate(timeout=120) for process in drivers]
    assert [process.returncode for process in drivers] == [0, 0], outputs
    won = [{line.split()[1] for line in out.splitlines() if line.startswith("won")} for out, _ in outputs]
    second = [{line.split()[1] for line in out.splitlines() if line.startswith("second")} for out, _ in outputs]
    everything = {key_of(i) for i in range(70)}
    assert won[0] | won[1] == everything and not won[0] & won[1]
    assert second == [everything - won[0], everything - won[1]]
    rows = raw(results, "records")
    assert sorted(row["key"] for row in rows) == sorted(everything)
    store = Store.open(results)
    for key in everything:
        (row,) = store.measurements(key)
        assert row.value == (1.0 if key in won[0] else 2.0)
    duplicates = [row for row in store.attempts() if row.status == "duplicate"]
    assert len(duplicates) == 70 and not any(row.agreed for row in duplicates)
    store.compact(force=True)
    assert len(raw(results, "measurements")) == 70


@pytest.mark.slow
def test_whatever_is_killed_what_was_acknowledged_is_there(results: Path, other_driver) -> None:
    import random
    import time

    rng = random.Random(0)
    acknowledged: dict[str, tuple[str, float]] = {}
    upkeep = Store.open(results, create=True)
    for turn in range(10):
        drivers = [other_driver("endless", results, f"{turn}-{i}") for i in range(2)]
        lines = [process.stdout.readline() for process in drivers]
        end = time.monotonic() + rng.uniform(0.0, 0.8)
        while time.monotonic() < end:
            upkeep.compact(force=True)
        for process in drivers:
            assert process.poll() is None, process.communicate()
            process.kill()
            lines += process.communicate()[0].splitlines()
        for line in lines:
            if line.startswith("ack") and len(line.split()) == 4:
                _, key, attempt, value = line.split()
                acknowledged[key] = (attempt, float(value))
    assert len(acknowledged) > 100
    store = Store.open(results)
    records = store.records()
    for key, (attempt, _) in acknowledged.items():
        assert records.attempt(key) == attempt
    before = {key: [m.value for m in rows] for key, rows in _all_measurements(store).items()}
    assert all(before[key] == [value] for key, (_, value) in acknowledged.items())
    assert all(len(before[key]) == 1 for key in records)
    store.compact(force=True)
    assert {key: [m.value for m in rows] for key, rows in _all_measurements(Store.open(results)).items()} == before
    rows = raw(results, "records")
    assert len(rows) == len({row["key"] for row in rows}) == len(records)
    assert len(raw(results, "measurements")) == len(records)
    assert [finding for finding in store.verify() if finding.severity == "error"] == []


def _all_measurements(store: Store):
    from harness.store.lookup import measurements_of

    return measurements_of(store, list(store.records()))


def test_a_full_disk_is_one_sentence_and_loses_nothing(results: Path, other_driver) -> None:
    process = other_driver("full", results, 20_000)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    message, records, again = out.splitlines()
    assert "could not be written (File too large); what was committed before is intact" in message
    assert (records, again) == ("5", "3000")
    store = Store.open(results)
    assert len(store.records()) == 3005
    assert all(len(rows) == 1 for rows in _all_measurements(store).values())
    assert [finding for finding in store.verify() if finding.severity == "error"] == []


def test_the_log_names_the_writer(store: Store, results: Path) -> None:
    store.commit(one("a"))
    newest = max((results / "store" / "records" / "_delta_log").glob("*.json"))
    entries = [json.loads(line) for line in newest.read_text().splitlines()]
    assert [entry["commitInfo"]["writer"] for entry in entries if "commitInfo" in entry] == [store.writer]


def test_a_driver_that_sleeps_through_compactions(results: Path, other_driver) -> None:
    """Stopped anywhere in its commits, and woken after sweeps and cleanings, it goes on without losing or doubling."""
    import os
    import signal
    import time

    store = Store.open(results, create=True)
    process = other_driver("endless", results, "x")
    said = []
    for turn in range(12):
        said.append(process.stdout.readline())  # it has got on since it was woken
        time.sleep(0.013 * turn)
        os.kill(process.pid, signal.SIGSTOP)
        store.commit(one(f"awake-{turn}"))
        store.compact(force=True)
        store.compact(force=True)
        os.kill(process.pid, signal.SIGCONT)
    said.append(process.stdout.readline())
    assert process.poll() is None, process.communicate()
    process.kill()
    said += process.stdout.read().splitlines()
    acknowledged = [line.split() for line in said if line.count(" ") == 3]
    records, found = store.refresh(), _all_measurements(store)
    assert len(acknowledged) > 10 and all(key_of(f"awake-{turn}") in records for turn in range(12))
    for _, key, attempt, value in acknowledged:
        assert records.attempt(key) == attempt and [row.value for row in found[key]] == [float(value)]
    assert all(len(rows) == 1 for rows in found.values()) and set(found) == set(records)
