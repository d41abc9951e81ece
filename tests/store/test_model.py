"""Long random histories against a model of the store in plain dictionaries."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from harness.store import AttemptRow, Group, MeasurementRow, Store, outcomes, trial_states
from tests.store.samples import key_of, record

NAMES = range(14)
METRICS = ("accuracy", "loss")


@dataclass
class Model:
    """What a store should say, by the rules as they are written for users."""

    plans: dict[str, dict[str, int | None]] = field(default_factory=dict)
    values: dict[int, list[tuple[str, float]]] = field(default_factory=dict)
    status: dict[int, str] = field(default_factory=dict)
    failures: dict[int, tuple[str, str]] = field(default_factory=dict)

    def commit(self, name: int, status: str, values: list[tuple[str, float]]) -> bool:
        if name in self.status:
            return False
        self.status[name], self.values[name] = status, values
        return True

    def withdraw(self, name: int) -> None:
        if self.status.pop(name, None):
            del self.values[name]
            self.failures.pop(name, None)

    def states(self) -> set[tuple[str, str, str, str | None]]:
        found = set()
        for study, trials in self.plans.items():
            for trial, name in trials.items():
                state, why = self._state(name)
                found.add((study, trial, state, why))
        return found

    def _state(self, name: int | None) -> tuple[str, str | None]:
        if name is None:
            return "excluded", "not asked for"
        if name in self.status:
            nan = "the loss became NaN or infinite"
            return ("done", None) if self.status[name] == "ok" else ("diverged", nan)
        if name in self.failures:
            status, why = self.failures[name]
            return ("skipped" if status == "skipped" else "failed"), why
        return "pending", None

    def rows(self) -> list[tuple]:
        found: list[tuple] = []
        for study, trials in self.plans.items():
            for trial, name in trials.items():
                state, _ = self._state(name)
                if name in self.status:
                    empty = [(None, None)]
                    found += [(study, trial, self.status[name], *pair) for pair in self.values[name] or empty]
                elif state not in ("pending", "excluded"):
                    found.append((study, trial, self.failures[name][0], None, None))  # type: ignore[index]  # planned
        return sorted(found, key=str)


class History:
    """Random moves made both on the model and on one of several stores open on the same directory."""

    def __init__(self, results: Path, seed: int) -> None:
        self.rng = random.Random(seed)
        self.results = results
        self.model = Model()
        self.drivers = [Store.open(results, create=True) for _ in range(3)]
        self.clock = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        self.clock += timedelta(seconds=1)
        return self.clock

    def move(self) -> None:
        driver = self.rng.choice(self.drivers)
        moves = [self.commit] * 6 + [self.fail] * 3 + [self.withdraw] * 2 + [self.replan, self.compact, self.reopen]
        self.rng.choice(moves)(driver)

    def commit(self, driver: Store) -> None:
        group, expected = Group(), set()
        for name in self.rng.sample(NAMES, self.rng.randint(1, 4)):
            status = "ok" if self.rng.random() < 0.8 else "diverged"
            row = record(name, status=status, finished_at=self.now())
            count = self.rng.randint(0, 2) if status == "ok" else 0
            values = [(metric, self.rng.random()) for metric in METRICS[:count]]
            group.records.append(row)
            group.measurements += [MeasurementRow(row.key, row.attempt, "t", "test", *pair) for pair in values]
            if self.model.commit(name, status, values):
                expected.add(row.key)
        self.rng.shuffle(group.records)
        result = driver.commit(group)
        assert set(result.committed) == expected
        assert {second.key for second in result.duplicates} == {row.key for row in group.records} - expected

    def fail(self, driver: Store) -> None:
        name = self.rng.choice(NAMES)
        status = self.rng.choice(["failed", "oom", "timeout", "crashed", "preempted", "skipped"])
        why = f"reason {self.rng.random()}"
        attempt = AttemptRow(key_of(name), "evaluate", "a" * 32, status, why, finished_at=self.now())
        driver.commit(Group(attempts=[attempt]))
        self.model.failures[name] = (status, why)

    def withdraw(self, driver: Store) -> None:
        from harness.store.commit import withdrawals

        name = self.rng.choice(NAMES)
        rows = withdrawals(driver.refresh(), [key_of(name)], "stale")
        for row in rows:
            row.finished_at = self.now()
        driver.commit(Group(records=rows))
        self.model.withdraw(name)

    def replan(self, driver: Store) -> None:
        study = self.rng.choice(["one", "two", "three"])
        names = [self.rng.choice([None, *NAMES]) for _ in range(self.rng.randint(0, 9))]
        trials = {f"t{index}": name for index, name in enumerate(names)}
        driver.write_trials(
            study,
            {
                "trial_id": list(trials),
                "key": [None if name is None else key_of(name) for name in trials.values()],
                "reason": ["not asked for" if name is None else None for name in trials.values()],
                "plan": [str(self.now())] * len(trials),
            },
        )
        self.model.plans[study] = trials

    def compact(self, driver: Store) -> None:
        driver.compact(force=self.rng.random() < 0.5)

    def reopen(self, driver: Store) -> None:
        self.drivers[self.drivers.index(driver)] = Store.open(self.results)

    def check(self) -> None:
        for reader in (self.rng.choice(self.drivers), Store.open(self.results)):
            table = outcomes(reader).select(["study", "trial_id", "status", "metric", "value"])
            assert sorted((tuple(row.values()) for row in table.to_pylist()), key=str) == self.model.rows()
            states = trial_states(reader).select(["study", "trial_id", "state", "reason"]).to_pylist()
            assert {tuple(row.values()) for row in states} == self.model.states()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_the_store_says_what_the_model_says(results: Path, seed: int) -> None:
    history = History(results, seed)
    for _ in range(8):
        for _ in range(9):
            history.move()
        history.check()
    store = Store.open(results)
    assert [finding for finding in store.verify() if finding.severity == "error"] == []
    store.compact(force=True)
    history.check()
    statuses = store.table("records").read(["status"]).column("status").to_pylist()
    assert len(statuses) - statuses.count("withdrawn") == len(history.model.status)
    assert store.table("measurements").read().num_rows == sum(map(len, history.model.values.values()))
